"""Whoever builds templates that are not built here: their CI, what it is told, and what it pushes when."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.delivery import DeliveredImage
from controller.model.record import ReleaseRecord


@dataclass
class Others:
    """Their CI, as the machine and its tests see it."""

    takes: dict[str, float] = field(default_factory=dict)
    """Seconds from the event (Dispatch) or the publication (Follow) to the push; a template without an entry is never built."""
    labelled: bool = True
    told: list[tuple[str, str]] = field(default_factory=list)
    """(version, template) of every event."""
    pushed: dict[str, DeliveredImage] = field(default_factory=dict)
    """By digest."""
    holds: dict[str, str] = field(default_factory=dict)
    """The version that an image really holds, by digest."""
    probed: set[str] = field(default_factory=set)
    """Digests of delivered images that passed."""
    _due: list[tuple[float, Template, ReleaseRecord]] = field(default_factory=list)

    def build(self, template: Template, record: ReleaseRecord, *, now: float) -> None:
        """Begin to build; what is pushed is there when its time has come and somebody looks."""
        seconds = self.takes.get(template.name)
        if seconds is not None:
            self._due.append((now + seconds, template, record))

    def push(
        self, template: Template, record: ReleaseRecord | None, *, edition: int = 1, tag: str | None = None
    ) -> DeliveredImage:
        """Push an image of a version, or one from before all versions; with `tag` under that one alone."""
        version = record.version if record else "0.0.9"
        digest = "sha256:" + hashlib.sha256(f"{template.name} {version} {edition}".encode()).hexdigest()
        reference = f"{template.image}:{tag or template.tags[0]}"
        says = version if self.labelled and record else None
        self.pushed[digest] = DeliveredImage(reference, digest, digest, version=says)
        self.holds[digest] = version
        return self.pushed[digest]

    def arrive(self, now: float) -> Iterable[DeliveredImage]:
        """Push what is due by now."""
        due = [each for each in self._due if each[0] <= now]
        self._due = [each for each in self._due if each[0] > now]
        return [self.push(template, record) for _, template, record in due]

    def served(
        self, document: WorkspaceRuntime, images: Mapping[str, str]
    ) -> dict[str, tuple[DeliveredImage, ...]]:
        """What is found under moving tags, and the tag of the wanted version, of what somebody else builds."""
        return {
            template.name: tuple(
                self.pushed[digest]
                for tag in (*template.tags, document.spec.version)
                if (digest := images.get(f"{template.image}:{tag}", "")) in self.pushed
            )
            for template in document.spec.templates
            if not template.build.ours
        }
