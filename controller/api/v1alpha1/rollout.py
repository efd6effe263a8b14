"""How fast and how careful targets are replaced."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from controller.api.field_error import FieldError
from controller.api.v1alpha1._base import Distinct, Document, Name, matched
from controller.api.v1alpha1.targets import Selector
from controller.api.v1alpha1.windows import Window

LAST_CHOOSES: Final = (
    "is for waves before the last, which takes the rest; remove it, or add a wave behind this one"
)
LAST_SOAKS: Final = (
    "is for waves before the last: nothing waits behind that one; remove it, or add a wave behind this one"
)
CHOOSES_NOTHING: Final = (
    "takes no target; name a selector, hosts or a percent, or put it last: the last wave takes the rest"
)
CHOOSES_ALL: Final = "takes every target; name a label in matchLabels"
NOT_MORE: Final = "must be more than in the wave before: percentages count from the first wave on"
NO_WAVE: Final = "is the name of no wave; write one of waves, or remove it"

_PERCENTAGE: Final = r"[1-9][0-9]?%|100%"


def _amount(value: object) -> object:
    """Refuse in one sentence what neither side of the union takes; pydantic would complain once for each side."""
    counts = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if counts or (isinstance(value, str) and re.fullmatch(_PERCENTAGE, value)):
        return value
    raise ValueError(f"must be a whole number from 1, or a percentage from 1% to 100%, got {value!r}")


Amount = Annotated[
    int | str,
    Field(json_schema_extra={"minimum": 1, **matched(_PERCENTAGE)}),
    BeforeValidator(_amount),
]


class Drain(Document):
    """How long work in progress may hold a replacement up."""

    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 900
    """How long a busy target is asked to finish before `onTimeout` decides."""
    on_timeout: Literal["Wait", "Proceed"] = "Wait"
    """Wait: leave it, report it, ask again later. Proceed: replace it, work is cut."""


class Wave(Document):
    """Some of the targets: each is in the first wave that takes it, by its labels, by its host or by the percentage."""

    name: Name
    """What the wave is called, as in `status.rollout.wave`."""
    selector: Selector | None = None
    """Takes the targets that carry all of these labels: those of the container, or of the workload."""
    hosts: Annotated[list[Name], Field(max_length=50), Distinct] = []
    """Takes the targets on these Docker hosts, and in these namespaces."""
    percent: Annotated[int, Field(ge=1, le=99)] | None = None
    """Takes so many of all targets that may be moved and run, waves before this one included: rounded down, at least 1. Which ones
    follows from their names, and is the same for every version."""
    soak_seconds: Annotated[int, Field(ge=0, le=604_800)] = 0
    """How long the next wave waits once the last target of this one has proven the version."""

    max_failures: Annotated[int, Field(ge=0, le=1_000)] = 0
    """On how many targets of this wave the version may fail before it is held and `onFailure` decides. Each of these is back on its
    old image, is reported, and is left alone until `wsr resume` or another image; the others go on. A wave in which every target
    failed holds the version whatever this says."""

    @property
    def chooses(self) -> bool:
        """Whether it says which targets it takes."""
        return self.selector is not None or bool(self.hosts) or self.percent is not None


class Rollout(Document):
    """How fast and how careful targets are replaced."""

    max_unavailable: Amount = "25%"
    """How many targets may be down at a time; a percentage rounds down, at least 1."""
    max_unreachable: Amount = "10%"
    """How many targets may be silent, or hosts and namespaces away, of a wave and those before, which count as proven all the same: the
    others go on. A percentage of those targets rounds down, at least 1. Nobody who is silent is up to date, and what has to be proven by
    all, the moving tags and the verdict, waits for them."""
    waves: Annotated[list[Wave], Field(max_length=20)] = []
    """Which targets go first: a wave begins when all of the one before have proven the version, and have soaked. The last one
    takes the rest. A wave that nobody is in is passed over; without waves all go at once, as far as `maxUnavailable` lets them."""
    promote_after_wave: Name | None = None
    """The wave after which moving tags follow: once it and those before have proven the version, and it has soaked. They go back
    with a rollback. None named: after the last one, when all targets have."""
    drain: Drain = Drain()
    on_failure: Literal["Rollback", "Pause"] = "Rollback"
    """What happens to targets that already run a version which then failed on another one."""
    pre_pull: Literal["Auto", "Never"] = "Auto"
    """Auto: in a cluster a node pulls an image before a pod on it is ended for that, by a pod that ends at once, so that the gap is a
    start and not a download. A node that cannot pull it keeps what it runs. Where no such pod may be made, it goes on without."""
    in_place: Literal["Auto", "Never"] = "Auto"
    """Auto: of a StatefulSet with `OnDelete` the image of a running pod is changed, where nothing else of its template differs and
    the operator may (chart value `rbac.patchPods`): the process starts again in the same pod, without a new one being made and placed."""
    windows: Annotated[list[Window], Field(max_length=20)] = []
    """When targets may begin to be replaced: outside of all windows none does, what was begun is finished, and a version that
    failed is still rolled back. None named: at any time. Annotation `runtime.molecule.ai/override` lets them begin outside."""
    approval: Literal["None", "Required"] = "None"
    """Required: what has passed the gate is neither published nor rolled out before somebody approves it, with `wsr approve` or
    annotation `runtime.molecule.ai/approve`. What is approved is a version with its wheel, the images that are built here, and
    this rollout: when one of these changes it is asked for anew. A rollback needs no approval."""

    @model_validator(mode="after")
    def _in_order(self) -> Rollout:
        last = len(self.waves) - 1
        percent = 0
        for number, wave in enumerate(self.waves):
            if wave.name in [each.name for each in self.waves[:number]]:
                raise FieldError(
                    f"{wave.name!r} stands twice; each entry needs its own", "waves", number, "name"
                )
            if number == last:
                _check_last(wave, "waves", number)
            elif not wave.chooses:
                raise FieldError(CHOOSES_NOTHING, "waves", number)
            if wave.selector is not None and not wave.selector.match_labels:
                raise FieldError(CHOOSES_ALL, "waves", number, "selector")
            if wave.percent is not None:
                if wave.percent <= percent:
                    raise FieldError(NOT_MORE, "waves", number, "percent")
                percent = wave.percent
        known = [each.name for each in self.waves]
        if self.promote_after_wave is not None and self.promote_after_wave not in known:
            told = f"; known are {', '.join(known)}" if known else ""
            raise FieldError(f"{self.promote_after_wave!r} {NO_WAVE}{told}", "promoteAfterWave")
        return self


def _check_last(wave: Wave, *at: str | int) -> None:
    chosen = {"selector": wave.selector, "hosts": wave.hosts, "percent": wave.percent}
    for field, value in chosen.items():
        if value:
            raise FieldError(LAST_CHOOSES, *at, field)
    if wave.soak_seconds:
        raise FieldError(LAST_SOAKS, *at, "soakSeconds")
