"""What the demo saw, as a table for people and as JSON for whoever checks it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MILESTONES = ("wheel", "candidates", "proven", "published", "firstContainer", "lastContainer", "promoted")


@dataclass
class ContainerSeen:
    """One workspace across the bump; the names are those of the report."""

    name: str
    template: str
    before: str
    after: str
    secondsDown: float  # noqa: N815
    oldId: str  # noqa: N815
    newId: str  # noqa: N815


@dataclass
class Told:
    """What REPORT=FILE gets of every demo; times are seconds from the bump."""

    from_version: str
    to: str
    seconds: float = 0.0
    timeline: dict[str, float] = field(default_factory=dict)
    tasks_cut: int = 0
    tasks_finished: int = 0
    blocked: dict[str, str] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    rolled_back: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The report as it is written."""
        return {
            "from": self.from_version,
            "to": self.to,
            "seconds": round(self.seconds, 1),
            "timeline": {name: round(self.timeline[name], 1) for name in self.milestones()},
            "tasksCut": self.tasks_cut,
            "tasksFinished": self.tasks_finished,
            "blocked": self.blocked,
            "published": self.published,
            "rolledBack": self.rolled_back,
        }

    def milestones(self) -> list[str]:
        """What the timeline has, in the order it is told in."""
        return sorted(self.timeline, key=lambda name: self.timeline[name])

    def write(self, file: Path) -> None:
        """Write it as JSON."""
        file.write_text(json.dumps(self.document(), indent=2) + "\n")

    def lines(self) -> Iterator[str]:
        """The timeline, for people."""
        yield f"{'seconds from the bump to':<28}"
        for name, seconds in self.document()["timeline"].items():
            yield f"  {_words(name):<26}{seconds:>6.1f}"


@dataclass
class Report(Told):
    """What is told of containers."""

    containers: list[ContainerSeen] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The report as it is written."""
        return {**super().document(), "containers": [asdict(container) for container in self.containers]}

    def milestones(self) -> list[str]:
        """What the timeline has, in the order of the chain."""
        return [name for name in MILESTONES if name in self.timeline]

    def lines(self) -> Iterator[str]:
        """The timeline and the containers, for people."""
        yield from super().lines()
        yield f"{'container':<22}{'before':<8}{'after':<8}{'down (s)':>8}"
        for seen in self.containers:
            yield f"{seen.name:<22}{seen.before:<8}{seen.after:<8}{seen.secondsDown:>8.1f}"


def _words(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
