"""Which candidate images nobody needs any more, so that they may be deleted: whatever is in doubt stays. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.observed import Known
from controller.model.plan import OldCandidate, Prune
from controller.model.record import ReleaseRecord, TemplateRecord
from controller.model.target import Target

PRUNED_AT_ONCE: Final = 20
"""Candidates deleted in one action; the rest follows."""


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
    """Return the candidates in the templates' repositories that are old enough and not in use, the oldest first.

    Only what a record of this object names, with its age, is told; `records` must be all there are, since what any
    other one names stays. `now` is aware UTC.
    """
    prune = document.spec.registry.prune
    if prune is None:
        return ()
    before = now - timedelta(days=prune.candidates_older_than_days)
    running = tuple(targets)
    unused = {version for version, record in records.items() if not _in_use(document, record, running)}
    leaving: list[tuple[datetime, ReleaseRecord, str, TemplateRecord, bool]] = []
    kept: set[str] = set()
    for version, record in records.items():
        for name, image, is_shadow in _images(record):
            goes = version in unused and _is_candidate(document, image)
            if goes and image.built_time is not None and image.built_time < before:
                kept.update(_beside(image))
                leaving += [(image.built_time, record, name, image, is_shadow)] if not image.pruned else []
            else:
                kept.update(_named(image))
    return tuple(
        OldCandidate(record.version, name, image.image, digests, _reason(record, built, now), is_shadow)
        for built, record, name, image, is_shadow in sorted(
            leaving, key=lambda each: (each[0], each[3].image)
        )
        if (digests := tuple(each for each in _own(document, image) if each not in kept))
        and digests[0] == image.identity
    )


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
    repository, _, tag = image.image.rpartition(":")
    listed = any(repository == template.image for template in document.spec.templates)
    return listed and tag.startswith("candidate-")


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
    yield from image.taken
    yield from _beside(image)


def _beside(image: TemplateRecord) -> Iterator[str]:
    """Yield the digests of what a recorded image stands on, and of those that it follows."""
    yield from set(image.taken) - image.digests
    if image.full_build is not None:
        yield image.full_build.digest
    for child in image.platforms.values():
        if child.full_build is not None:
            yield child.full_build.digest
    if image.previous is not None:
        yield from _named(image.previous)


def _reason(record: ReleaseRecord, built: datetime, now: datetime) -> str:
    what = "failed" if record.failed else "was not published"
    return f"{record.version} {what} and is not in use; built {(now - built).days} days ago"
