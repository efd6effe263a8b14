"""Objects when something begins that nobody approved, or outside of windows: the rules once more, in other words than the planner's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.record import ReleaseRecord

if TYPE_CHECKING:
    from tests.unit.simulator.box import Box
    from tests.unit.simulator.holdings import Holdings

_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass
class Starts:
    """What people have agreed to."""

    agreed: set[str] = field(default_factory=set)

    def agree(self, document: WorkspaceRuntime, record: ReleaseRecord) -> None:
        """A person approves what there is now."""
        self.agreed.add(_what(document, record))

    def releases(self, document: WorkspaceRuntime, record: ReleaseRecord) -> None:
        """Check that somebody approved what others are about to get."""
        wanted = record.version == document.spec.version
        if wanted and document.spec.rollout.approval == "Required":
            assert _what(document, record) in self.agreed, (
                f"{record.version} goes out, and nobody approved it"
            )

    def begins(
        self, document: WorkspaceRuntime, version: str, image: str, box: Box, machine: Holdings
    ) -> None:
        """Check that the replacement of `box` by an image of `version` may begin now."""
        if version != document.spec.version or (box.succession and box.succession.image_id == image):
            return  # a rollback, or what was begun
        self.releases(document, machine.records[version])
        windows = document.spec.rollout.windows
        shown = [(each, machine.now().astimezone(ZoneInfo(each.time_zone))) for each in windows]
        inside = any(_is_in(each.start, each.end, each.days or _WEEK, local) for each, local in shown)
        assert inside or not windows or document.metadata.override, (
            f"{box.name} begins outside of all windows"
        )


def _is_in(start: str, end: str, days: Sequence[str], local: datetime) -> bool:
    """Whether a clock shows a time of the window: counted in minutes from its start on."""
    begin, finish = (int(each[:2]) * 60 + int(each[3:]) for each in (start, end))
    length = (finish - begin) % 1440 or 1440
    since = (local.hour * 60 + local.minute - begin) % 1440
    opened_yesterday = local.hour * 60 + local.minute < begin
    return since < length and _WEEK[(local.weekday() - opened_yesterday) % 7] in days


def _what(document: WorkspaceRuntime, record: ReleaseRecord) -> str:
    ours = [each.name for each in document.spec.templates if each.build.ours]
    images = [
        record.in_use.templates[name].identity for name in sorted(ours) if name in record.in_use.templates
    ]
    return repr((record.version, record.wheel.sha256, images, document.spec.rollout))
