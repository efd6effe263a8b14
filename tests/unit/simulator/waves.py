"""Objects when a target goes before its wave: the rule once more, in other words than the planner's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Replace

if TYPE_CHECKING:
    from tests.unit.simulator.box import Box
    from tests.unit.simulator.holdings import Holdings


@dataclass
class Waves:
    """Which waves were opened, by what is rolled in them."""

    opened: dict[str, int] = field(default_factory=dict)
    put_off: set[str] = field(default_factory=set)
    """Whose work has outlasted a drain: the next wave waits for none of them."""

    def begins(self, document: WorkspaceRuntime, action: Replace, box: Box, machine: Holdings) -> None:
        """Check that `box` may go now."""
        waves = document.spec.rollout.waves
        if not waves or action.version != document.spec.version:
            return
        if box.succession is not None and box.succession.image_id == action.image_id:
            return  # what was begun is finished
        record = machine.records[action.version]
        plan = repr(
            (waves, record.version, sorted(each.identity for each in record.in_use.templates.values()))
        )
        taken = self._taken(document, machine)
        mine = taken.get(box.id, len(waves) - 1)
        if self.opened.get(plan, 0) >= mine:
            return
        for other in machine.boxes.values():
            number = taken.get(other.id, len(waves) - 1)
            image = machine.goes_on(record, other.template)
            spared = machine.was_spared(document, record, other)
            if number >= mine or image is None or not other.ours or spared or other.id in self.put_off:
                continue
            assert (other.image_id, other.succession) == (image.image_id, None), (
                f"{box.name} of wave {waves[mine].name} goes before {other.name} of wave {waves[number].name} is through"
            )
            soaked = machine.seconds() - other.proven_at
            assert other.stopped or number < mine - 1 or soaked >= waves[number].soak_seconds, (
                f"{box.name} goes when {other.name} has soaked {soaked} s"
            )
        self.opened[plan] = mine

    def lets_tags(self, document: WorkspaceRuntime, machine: Holdings) -> bool:
        """Whether the waves after which moving tags follow have proven the version."""
        rollout = document.spec.rollout
        names = [wave.name for wave in rollout.waves]
        if rollout.promote_after_wave is None:
            return False
        record, last = machine.records[document.spec.version], names.index(rollout.promote_after_wave)
        taken = self._taken(document, machine)
        first = [
            box
            for box in machine.boxes.values()
            if taken.get(box.id, len(names) - 1) <= last
            and box.ours
            and machine.goes_on(record, box.template)
            and not machine.was_spared(document, record, box)
        ]
        return any(box.version == record.version for box in first) and all(
            box.stopped or box.version == record.version or box.id in self.put_off for box in first
        )

    @staticmethod
    def _taken(document: WorkspaceRuntime, machine: Holdings) -> dict[str, int]:
        """Return which boxes the waves before the last one take, by id."""
        record = machine.records[document.spec.version]
        moving = [
            box
            for box in machine.boxes.values()
            if box.ours and machine.goes_on(record, box.template) and (box.switching or not box.stopped)
        ]
        order = sorted(moving, key=lambda box: hashlib.sha256(box.id.encode()).hexdigest())
        taken: dict[str, int] = {}
        for number, wave in enumerate(document.spec.rollout.waves[:-1]):
            labels = wave.selector.match_labels if wave.selector is not None else {"no": "label"}
            named = [box for box in machine.boxes.values() if labels.items() <= box.labels.items()]
            on_host = list(machine.boxes.values()) if "local" in wave.hosts else []
            many = max(1, int(len(order) * wave.percent / 100)) if wave.percent else 0
            for box in (*named, *on_host, *order[:many]):
                taken.setdefault(box.id, number)
        return taken
