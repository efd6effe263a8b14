"""Whole rollouts as text, for operators to read and reviewers to compare: each the way one thing goes, or goes wrong.

Every story begins with 0.1.0 running on all targets and second 0 at the moment that 0.1.1 is asked for.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controller.model.actions import Action, Cascade, Replace
from controller.reconcile.result import Done, Pass, Result
from tests.unit.simulator.ground import Box, Event, Life, life
from tests.unit.simulator.machine import Machine
from tests.unit.simulator.virtual_time import run, seconds

_LONGEST_SECONDS = 24 * 3600.0
"""After which nothing in a story ends any more; virtual time."""

Scene = Callable[["Stage"], list[Event]]


@dataclass
class Stage:
    """The object and machine that a story plays on; times of the story begin when 0.1.1 is asked for."""

    whole: Life
    begin: float = 0.0
    lines: list[str] = field(default_factory=list)
    _told: str = ""

    @property
    def machine(self) -> Machine:
        return self.whole.world.machine

    def box(self, number: int) -> Box:
        return self.machine.boxes[f"docker/local/ws-{number}"]

    def at(self, time: float, what: str, do: Callable[[], Any]) -> Event:
        """Have something happen `time` seconds into the story."""
        return Event(self.begin + time, what, do)

    def away(self, source: str, name: str, start: float, end: float) -> list[Event]:
        """Have a source unreadable from `start` to `end`."""
        return [
            self.at(start, f"the {name} does not answer any more", lambda: self.machine.unread.add(source)),
            self.at(end, f"the {name} answers again", lambda: self.machine.unread.discard(source)),
        ]

    def happen(self, what: str) -> None:
        self._line(f"* {what}")

    def passed(self, turn: Pass) -> None:
        ready = turn.status.condition("Ready")
        text = f"{ready.reason}: {ready.message}" if ready else ""
        rolling_back = turn.status.condition("Reconciling")
        if rolling_back is not None and ready is not None and rolling_back.reason != ready.reason:
            text = f"{text}\n{rolling_back.reason}: {rolling_back.message}"
        if text != self._told:
            self._told = text
            for line in text.splitlines():
                self._line(line)

    def acted(self, action: Action, outcome: str | Exception | None) -> None:
        if outcome is None:
            self._line(f"  {_name(action)} begins: {action.reason}")
        else:
            self._line(f"  {_name(action)}: {outcome}")

    def _line(self, text: str) -> None:
        self.lines.append(f"{seconds() - self.begin:8.1f}  {text}")

    def end(self, result: Result) -> list[str]:
        """What an operator would look up when all is over."""
        status = self.whole.store.status
        rows = [
            f"{each.type:<12} {each.status:<8} {each.reason}: {each.message}" for each in status.conditions
        ]
        for box in self.machine.boxes.values():
            state = "stopped" if box.stopped else f"reports {box.version}"
            rows.append(f"{box.name:<12} image of {self._version_of(box.image_id)}, {state}")
        tags = {
            name: image for name, image in sorted(self.machine.images.items()) if name.endswith(":latest")
        }
        rows.extend(f"{name} names {self._version_of(image)}" for name, image in tags.items())
        rows.extend(
            f"template {each.name} {each.state}, {each.reason}: {each.message}"
            for each in status.templates
            if each.message
        )
        rows.append("the index serves " + ", ".join(sorted(self.machine.index)))
        rows.append("history: " + ", ".join(f"{each.version} {each.verdict}" for each in status.history))
        rows.extend(f"straggler {straggler.name}: {straggler.why}" for straggler in status.stragglers)
        rows.append("wsr run --once would exit " + ("0" if isinstance(result, Done) else "1"))
        return rows

    def _version_of(self, image: str) -> str:
        versions = [
            record.version
            for record in self.machine.records.values()
            if any(template.image_id == image for template in record.templates.values())
        ]
        return versions[0] if versions else "nobody's"


def _name(action: Action) -> str:
    kind = type(action).__name__.lower()
    if isinstance(action, Replace):
        return f"{kind} {action.target.rsplit('/', 1)[1]} by {action.version}"
    if isinstance(action, Cascade):
        return f"{kind} {action.version}"
    template = getattr(action, "template", "")
    return f"{kind} {action.version} {template}".rstrip()


@dataclass(frozen=True)
class Story:
    """One rollout: its title, and what is prepared and happens."""

    title: str
    scene: Scene
    spec: dict[str, Any] = field(default_factory=dict)
    targets: int = 4
    before: Callable[[Life], None] = lambda _: None
    """What there is before 0.1.0 is asked for."""

    def text(self) -> str:
        """The whole story, the same every time."""
        return run(self._play())

    async def _play(self) -> str:
        stage = Stage(life(self.targets, **self.spec))
        self.before(stage.whole)
        await stage.whole.live()
        stage.begin = seconds()
        stage.whole.on_pass, stage.whole.on_action, stage.whole.on_event = (
            stage.passed,
            stage.acted,
            stage.happen,
        )
        stage.whole.events = self.scene(stage)
        stage.whole.store.edit(version="0.1.1")
        stage.happen("0.1.0 runs everywhere; spec.version is edited to 0.1.1")
        async with asyncio.timeout(_LONGEST_SECONDS):
            result = await stage.whole.live()
        title = [self.title, "=" * len(self.title), "", " seconds"]
        return "\n".join(
            [*title, *stage.lines, "", "At the end", *(f"  {row}" for row in stage.end(result)), ""]
        )
