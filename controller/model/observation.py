"""One reading of the world: each source with its value, or the reason why it could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.model.delivery import DeliveredImage
from controller.model.observed import Observed, Unknown
from controller.model.package import ServedPackage
from controller.model.record import ReleaseRecord
from controller.model.target import Target
from controller.model.template_record import TemplateInputs


@dataclass(frozen=True, slots=True)
class Observation:
    """What one pass read.

    `source` and `index` are None when nothing depends on them: the source and the index matter only until the
    wanted version is recorded as published. `images` maps every local reference ``repository:tag`` of the listed
    templates to the identity (`sha256:…`) that the registry or engine serves under it; `unread` holds, of a registry that
    told others, those that it did not tell: they may be there or not. `templates` holds what each
    template's folder holds. `bases` are the digests of the images that the Dockerfiles start from, by the names there; a
    name that is not in it has not been looked up. `labels` are those of recorded images, by identity. `unmet` has, for
    each template whose image lacks the wanted wheel, pairs of what is installed in its full build and what the wheel needs. `deliveries`
    holds, of each template that somebody else builds, the images that are served under its moving tags or under tags of
    the wanted version, the first moving tag's first.
    """

    source: Observed[str] | None
    index: Observed[ServedPackage] | None
    records: Observed[Mapping[str, ReleaseRecord]]
    images: Observed[Mapping[str, str]]
    templates: Mapping[str, Observed[TemplateInputs]]
    targets: Observed[tuple[Target, ...]]
    bases: Mapping[str, Observed[str]] = field(default_factory=dict)
    labels: Mapping[str, Observed[Mapping[str, str]]] = field(default_factory=dict)
    unmet: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    deliveries: Mapping[str, Observed[tuple[DeliveredImage, ...]]] = field(default_factory=dict)
    unread: Mapping[str, Unknown] = field(default_factory=dict)

    @property
    def unknown(self) -> Mapping[str, Unknown]:
        """All that could not be read, by what people call it."""
        sources: dict[str, Observed[Any] | None] = {
            "source": self.source,
            "package index": self.index,
            "release records": self.records,
            "images": self.images,
            "targets": self.targets,
        }
        for words, found in (
            ("image", self.unread),
            ("template", self.templates),
            ("images delivered for template", self.deliveries),
            ("base image", self.bases),
            ("labels of image", self.labels),
        ):
            sources |= {f"{words} {name}": each for name, each in sorted(found.items())}
        return {name: each for name, each in sources.items() if isinstance(each, Unknown)}
