"""What the demo in a cluster saw, as a table for people and as JSON for whoever checks it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.demo.report import timeline_lines


@dataclass(frozen=True)
class WorkloadSeen:
    """What a workload's pod said of itself before and after the bump."""

    namespace: str
    kind: str
    name: str
    before: str
    after: str


@dataclass
class Report:
    """Everything that REPORT=FILE gets; times are seconds from the bump."""

    from_version: str
    to: str
    seconds: float = 0.0
    timeline: dict[str, float] = field(default_factory=dict)
    workloads: list[WorkloadSeen] = field(default_factory=list)
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
            "timeline": {
                name: round(seconds, 1)
                for name, seconds in sorted(self.timeline.items(), key=lambda each: each[1])
            },
            "workloads": [asdict(seen) for seen in self.workloads],
            "tasksCut": self.tasks_cut,
            "tasksFinished": self.tasks_finished,
            "blocked": self.blocked,
            "published": self.published,
            "rolledBack": self.rolled_back,
        }

    def write(self, file: Path) -> None:
        """Write it as JSON."""
        file.write_text(json.dumps(self.document(), indent=2) + "\n")

    def lines(self) -> Iterator[str]:
        """The timeline and the workloads, for people."""
        yield from timeline_lines(self.document()["timeline"])
        yield f"{'workload':<36}{'before':<8}{'after':<8}"
        for seen in self.workloads:
            yield f"{f'{seen.namespace}/{seen.kind}/{seen.name}':<36}{seen.before:<8}{seen.after:<8}"
