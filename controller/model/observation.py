"""One reading of the world: each source with its value, or the reason why it could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.model.observed import Observed
from controller.model.package import ServedPackage
from controller.model.record import ReleaseRecord
from controller.model.target import Target


@dataclass(frozen=True, slots=True)
class Observation:
    """What one pass read.

    `source` and `index` are None when nothing depends on them: the source and the index matter only until the
    wanted version is recorded as published. `images` maps every local reference ``repository:tag`` of the listed
    templates to the identity (`sha256:…`) that the registry or engine serves under it. `templates` holds the
    digest of each template's build inputs.
    """

    source: Observed[str] | None
    index: Observed[ServedPackage] | None
    records: Observed[Mapping[str, ReleaseRecord]]
    images: Observed[Mapping[str, str]]
    templates: Mapping[str, Observed[str]]
    targets: Observed[tuple[Target, ...]]
