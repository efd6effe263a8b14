"""What a roll of a workload is asked for, and what is written there meanwhile, so that whoever comes next can go on or back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Final, Literal, Self

from controller.api.names import GROUP
from controller.model.workload import Workload, WorkloadKind

_OWNER: Final = "owner"
_IMAGE: Final = "image"
_ROLL: Final = "roll"
CORRECTED: Final = "corrected"
_ANNOTATIONS: Final = tuple(f"{GROUP}/{name}" for name in (_OWNER, _IMAGE, _ROLL, CORRECTED))


@dataclass(frozen=True, slots=True)
class RollOrder:
    """Bring the workload `kind` `namespace`/`name` to `image`; without one, only finish or undo what was begun there.

    `digests` are what a node may call the image; `token` is what its workspaces must know to drain over HTTP, None where
    they drain when they are told to end. `edit` stands for one edit of the object, for `corrects`: put an image that somebody
    else wrote back, once for each.
    """

    owner: str
    kind: WorkloadKind
    namespace: str
    name: str
    container: str
    image: str | None
    version: str = ""
    content_sha256: str | None = None
    digests: tuple[str, ...] = ()
    token: str | None = None
    drain_timeout_seconds: float = 900.0
    on_timeout: Literal["Wait", "Proceed"] = "Wait"
    start_deadline_seconds: float = 1800.0
    corrects: bool = False
    edit: str = ""
    pulls_before: bool = False
    """Whether nodes are to pull the image before a pod is ended for it."""
    in_place: bool = False
    """Whether the image of a running pod may be changed, where its template differs in nothing else."""


@dataclass(frozen=True, slots=True)
class Roll:
    """A change of image that was begun: where it comes from, and what must report for it to be over."""

    before: str
    version: str
    content_sha256: str | None
    digests: tuple[str, ...]
    back: bool = False
    """Whether the image from before is on its way back: of pods that nobody but us replaces it has to be brought to each."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Our annotations on a workload.

    `owner` is the object that rolls it, as ``NAMESPACE/NAME``; `image` what we wrote last; `roll` what is under way;
    `corrected` the edit of the object for which an image that somebody else wrote was put back.
    """

    owner: str | None = None
    image: str | None = None
    roll: Roll | None = None
    corrected: str | None = None

    @classmethod
    def of(cls, workload: Workload) -> Self:
        """Return what is written there; what nobody can read any more is taken for absent."""
        owner, image, roll, corrected = (workload.annotations.get(name) for name in _ANNOTATIONS)
        return cls(
            owner=owner,
            image=image or workload.written,
            roll=_read(roll),
            corrected=corrected or workload.put_back,
        )

    def annotations(self) -> Mapping[str, str]:
        """Return them as they are written, by their names without the group."""
        values = {
            _OWNER: self.owner,
            _IMAGE: self.image,
            _ROLL: json.dumps(asdict(self.roll), sort_keys=True) if self.roll else None,
            CORRECTED: self.corrected,
        }
        return {name: value for name, value in values.items() if value is not None}


@lru_cache(maxsize=256)  # a fleet that is rolled has few, and each is read at every look
def _read(text: str | None) -> Roll | None:
    try:
        found = json.loads(text or "null")
        return Roll(**{**found, "digests": tuple(found["digests"])}) if found else None
    except (ValueError, TypeError, KeyError):
        return None
