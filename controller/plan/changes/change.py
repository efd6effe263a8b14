"""The nouns of a change: what is asked, and the answer with what was before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.model.record import ReleaseRecord


@dataclass(frozen=True, slots=True)
class Question:
    """What every change looks at: the record of the wanted version, the images that exist, the inputs now."""

    record: ReleaseRecord
    images: Mapping[str, str]
    inputs_sha256: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """Why an image is behind. `builds` False: shown as UpdateAvailable, because `rebuildOn` does not name it."""

    reason: str
    before: str | None
    after: str | None
    builds: bool = True
