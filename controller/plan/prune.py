"""Which images made on the way to a release nobody needs any more, so that they may go: whatever is in doubt stays. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import OldCandidate, Prune
from controller.model.observed import Known
from controller.model.record import ReleaseRecord
from controller.model.target import Target
from controller.model.template_record import TemplateRecord
from controller.plan.full_builds import last_full_build

PRUNED_AT_ONCE: Final = 20
"""Images deleted in one action; the rest follows."""
LOOKED_AT_AGAIN: Final = timedelta(days=1)
"""How long one stays alone that turned out to be needed by what no record names."""


def pruning(
    document: WorkspaceRuntime,
    records: Mapping[str, ReleaseRecord],
    targets: Iterable[Target],
    now: datetime,
) -> Prune | None:
    """Return the deletion of the oldest candidates that may go, None when there are none; see `old_candidates`."""
    old = old_candidates(document, records, targets, now)[:PRUNED_AT_ONCE]
    if not old:
        return None
    days = document.spec.registry.prune.candidates_older_than_days if document.spec.registry.prune else 0
    return Prune(document.spec.version, old, f"candidates not in use are kept for {days} days")


def old_candidates(
    document: WorkspaceRuntime,
    records: Mapping[str, ReleaseRecord],
    targets: Iterable[Target],
    now: datetime,
) -> tuple[OldCandidate, ...]:
    """Return the images in the templates' repositories that are old enough and not in use, the oldest first.

    These are candidates of versions that nobody returns to, shadows of versions that are public, and full builds under
    nothing but such images. Only what a record of this object names, with its age, is told; `records` must be all there
    are, since what any other one names stays. `now` is aware UTC.
    """
    prune = document.spec.registry.prune
    if prune is None:
        return ()
    before = now - timedelta(days=prune.candidates_older_than_days)
    running = tuple(targets)
    unused = {version for version, record in records.items() if not _in_use(document, record, running)}
    run = {digest for target in running for digest in _run_by(target)}
    kept = _last_builds(document, records)
    leaving: list[_Leaving] = []
    for version, record in records.items():
        for name, image, is_shadow in _images(record):
            past = version in unused or (is_shadow and _is_over(document, record))
            goes = past and _is_candidate(document, image) and run.isdisjoint(image.digests)
            if goes and image.built_time is not None and image.built_time < before:
                kept.update(_beside(document, image))
                leaving += _leaving(document, record, name, image, is_shadow=is_shadow)
            else:
                kept.update(_named(image))
    found = (each.told(kept, now) for each in sorted(leaving, key=lambda each: (each.built, each.image)))
    return tuple(each for each in found if each is not None)


@dataclass(frozen=True, slots=True)
class _Leaving:
    """One image that a record which is past names: it goes unless anything kept names it, too."""

    built: datetime
    image: str
    digests: tuple[str, ...]
    record: ReleaseRecord
    template: str
    part: Literal["image", "shadow", "full build"]
    left_time: datetime | None

    def told(self, kept: Container[str], now: datetime) -> OldCandidate | None:
        digests = tuple(digest for digest in self.digests if digest not in kept)
        lately = self.left_time is not None and now - self.left_time < LOOKED_AT_AGAIN
        if lately or digests[:1] != self.digests[:1]:
            return None
        reason = f"{self._why()}; built {(now - self.built).days} days ago"
        return OldCandidate(self.record.version, self.template, self.image, digests, reason, self.part)

    def _why(self) -> str:
        if self.part == "full build":
            return "nothing that is kept was built on it"
        if self.record.published_time is not None:
            return f"it stood in at the gate for {self.record.version}, which is public"
        what = "failed" if self.record.failed else "was not published"
        return f"{self.record.version} {what} and is not in use"


def _leaving(
    document: WorkspaceRuntime, record: ReleaseRecord, name: str, image: TemplateRecord, *, is_shadow: bool
) -> Iterator[_Leaving]:
    """Yield the image and its full build, as far as they are still there."""
    built, own, build = image.built_time, _own(document, image), image.full_build
    if built is None:
        return
    if own and not image.pruned:
        part: Literal["image", "shadow"] = "shadow" if is_shadow else "image"
        yield _Leaving(built, image.image, own, record, name, part, image.left_time)
    if build is not None and build.pruned_time is None and _is_ours(document, build.image, "full-"):
        yield _Leaving(built, build.image, (build.digest,), record, name, "full build", build.left_time)


def _last_builds(document: WorkspaceRuntime, records: Mapping[str, ReleaseRecord]) -> set[str]:
    """Return the full builds that the next images are put on, whatever else is thought of the versions that they are of."""
    version = document.spec.version
    found = (last_full_build(template.name, version, records) for template in document.spec.templates)
    return {build.digest for build in found if build is not None}


def _is_over(document: WorkspaceRuntime, record: ReleaseRecord) -> bool:
    """Whether the gate is behind a version of ours: what stood in there is not needed again."""
    return record.publisher == document.key and record.published_time is not None


def _in_use(document: WorkspaceRuntime, record: ReleaseRecord, targets: Iterable[Target]) -> bool:
    """Whether anybody may return to this version, or it is not ours to judge."""
    good = record.verdict is not None and record.verdict.value == "Good"
    ours = record.publisher == document.key
    if good or not ours or record.published_time is not None or record.version == document.spec.version:
        return True
    digests = {digest for _, image, _ in _images(record) for digest in _named(image)}
    return any(
        record.version in _versions_of(target) or not digests.isdisjoint(_run_by(target))
        for target in targets
    )


def _versions_of(target: Target) -> Iterator[str | None]:
    yield target.pin
    if target.succession is not None:
        yield target.succession.version
    if isinstance(target.running, Known):
        yield target.running.value.version


def _run_by(target: Target) -> Iterator[str]:
    yield target.image_id
    yield target.image.rpartition("@")[2]
    if target.succession is not None:
        yield target.succession.image_id


def _images(record: ReleaseRecord) -> Iterator[tuple[str, TemplateRecord, bool]]:
    """Yield the record's newest images with their templates' names, and whether each is a shadow."""
    for is_shadow, images in ((False, record.templates), (True, record.shadows)):
        for name, image in images.items():
            yield name, image, is_shadow


def _is_candidate(document: WorkspaceRuntime, image: TemplateRecord) -> bool:
    return _is_ours(document, image.image, "candidate-")


def _is_ours(document: WorkspaceRuntime, reference: str, prefix: str) -> bool:
    """Whether a reference is in a listed repository, under a tag that nobody but a builder run gives."""
    repository, _, tag = reference.rpartition(":")
    return tag.startswith(prefix) and any(
        repository == template.image for template in document.spec.templates
    )


def _own(document: WorkspaceRuntime, image: TemplateRecord) -> tuple[str, ...]:
    """Return what there is to delete of an image where images live: an index before its children."""
    if document.spec.registry.mode == "Engine":
        return (image.image_id,) if image.image_id else ()
    if image.digest is None:
        return ()
    return (image.digest, *sorted({child.digest for child in image.platforms.values()} - {image.digest}))


def _named(image: TemplateRecord) -> Iterator[str]:
    """Yield every digest that a recorded image names, its own included."""
    yield from image.digests
    yield from (*image.taken, *image.followed)
    if image.full_build is not None:
        yield image.full_build.digest
    yield from _further(image)


def _beside(document: WorkspaceRuntime, image: TemplateRecord) -> Iterator[str]:
    """Yield the digests of what an image stands on that does not go with it, and of those that it follows."""
    yield from {*image.taken, *image.followed} - image.digests
    build = image.full_build
    if build is not None and not _is_ours(document, build.image, "full-"):
        yield build.digest
    yield from _further(image)


def _further(image: TemplateRecord) -> Iterator[str]:
    for child in image.platforms.values():
        if child.full_build is not None:
            yield child.full_build.digest
    if image.previous is not None:
        yield from _named(image.previous)
