"""The nouns of a change: what is asked, and the answer with what was before and after in words for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from controller.model.record import ReleaseRecord
from controller.model.template_record import FullBuild, TemplateInputs, TemplateRecord

SHORT: Final = 12
"""How many hex digits of a hash people are shown."""
LISTED: Final = 3


@dataclass(frozen=True, slots=True)
class Question:
    """What every change of one template looks at. What is not known is None or not in it, and is no change.

    `record` is that of the wanted `version`, `earlier` that of the version released before it. `images` are those that
    exist, by reference, unless it is `unread` which; `inputs` is what the template's folder holds now, and `full_build` what was built last. `bases`
    are digests by name, `labels` those of images by identity, `unmet` pairs of what is installed and what the wheel
    needs. `request` is one for a new build that no build has answered yet.
    """

    template: str
    version: str
    record: ReleaseRecord | None
    images: Mapping[str, str] = field(default_factory=dict)
    inputs: TemplateInputs | None = None
    full_build: FullBuild | None = None
    earlier: ReleaseRecord | None = None
    bases: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unmet: tuple[tuple[str, str], ...] = ()
    request: str | None = None
    unread: bool = False

    @property
    def recorded(self) -> TemplateRecord | None:
        """The template's image of the wanted version."""
        return self.record.templates.get(self.template) if self.record is not None else None

    def moved(self) -> tuple[TemplateInputs, TemplateInputs] | None:
        """Return the template's parts at its full build and now, when both are known and differ."""
        before = self.full_build.inputs if self.full_build is not None else None
        if before is None or self.inputs is None or before.sha256 == self.inputs.sha256:
            return None
        return before, self.inputs


@dataclass(frozen=True, slots=True)
class Change:
    """Why an image is behind.

    `full` says that a layer on the last full build cannot mend it. `builds` False: shown as UpdateAvailable, because
    `rebuildOn` does not name `rebuild_on`.
    """

    reason: str
    before: str | None
    after: str | None
    builds: bool = True
    full: bool = False
    rebuild_on: Literal["Template", "Base"] | None = None

    @property
    def words(self) -> str:
        """The change as one phrase."""
        if self.before is None and self.after is None:
            return self.reason
        return f"{self.reason} ({self.before or 'nothing'} -> {self.after or 'nothing'})"


def short(sha256: str | None) -> str:
    """Return the first digits of a hash, or of a digest behind its algorithm."""
    algorithm, colon, digits = (sha256 or "none").rpartition(":")
    return f"{algorithm}{colon}{digits[:SHORT]}"


def listed(items: Iterable[str]) -> str:
    """Return the first few items as one phrase, and how many more there are."""
    names = list(items)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
