"""Deletes candidates that nobody needs, after another look at what stands on them: a deletion cannot be taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.docker import Conflict, DockerEngine
from controller.clients.records import RecordStore
from controller.clients.registry import Registry
from controller.model.actions import OldCandidate, Prune
from controller.model.errors import NotFound
from controller.model.record import ReleaseRecord
from controller.plan.prune import old_candidates


async def prune(
    store: RecordStore, place: Registry | DockerEngine, document: WorkspaceRuntime, action: Prune
) -> str:
    """Delete the action's images from a registry, or their tags from an engine, and record which are gone.

    What a record, a tag or a container turns out to need stays, and is told. A deletion that was cut off is done again.

    Raises:
        Terminal: DeletionRefused, when the registry does not allow it.
        Transient: registry, engine or records were away; what was deleted until then is found deleted.
    """
    now = datetime.now(UTC)
    # What others recorded since the plan was made counts, and a list from a cache could lack it.
    records = await store.records(await store.versions())
    still = {
        (each.version, each.template, each.image): each for each in old_candidates(document, records, (), now)
    }
    planned = {(each.version, each.template, each.image): each for each in action.images}
    images = sorted((still[key] for key in planned.keys() & still.keys()), key=lambda each: each.image)
    told: list[str] = []
    for repository, group in groupby(images, key=lambda each: each.repository):
        chosen = [_only(each, planned[each.version, each.template, each.image]) for each in group]
        if isinstance(place, Registry):
            left = await _delete(place, repository, chosen)
        else:
            left = await _untag(place, chosen)
        for image in chosen:
            field = "left_time" if image.image in left else "pruned_time"
            await store.amend(image.version, partial(_noted, image, {field: now}))
            told.append(left.get(image.image) or f"deleted {image.image} ({image.reason})")
    return "; ".join(dict.fromkeys(told)) or "nothing is left to delete: the candidates are in use by now"


def _only(found: OldCandidate, planned: OldCandidate) -> OldCandidate:
    """Return what is found now without the digests that the plan, which knows what targets run, kept."""
    digests = tuple(each for each in found.digests if each in planned.digests)
    return OldCandidate(found.version, found.template, found.image, digests, found.reason, found.part)


async def _delete(registry: Registry, repository: str, images: Iterable[OldCandidate]) -> Mapping[str, str]:
    """Delete by digest what no other tag stands on; return what was left, with why, by its reference."""
    images = list(images)
    going = {image.image.rpartition(":")[2] for image in images}
    kept = await registry.standing_on(repository, set(await registry.tags(repository)) - going)
    left: dict[str, str] = {}
    for image in images:
        index = image.digests[0]
        if index in kept:
            left[image.image] = f"left {image.image}: {repository}:{kept[index]} stands on it"
            continue
        for digest in image.digests:
            if digest not in kept:
                await registry.delete(repository, digest)
    return left


async def _untag(engine: DockerEngine, images: Iterable[OldCandidate]) -> Mapping[str, str]:
    """Remove the tags, never by force: the engine keeps an image that a container uses. Returns as `_delete`."""
    left: dict[str, str] = {}
    for image in images:
        try:
            found = await engine.inspect_image(image.image)
            if found["Id"] in image.digests:
                await engine.remove_image(image.image)
            else:
                left[image.image] = f"left {image.image}: it is another image by now"
        except NotFound:
            continue
        except Conflict:
            left[image.image] = f"left {image.image}: a container uses it"
    return left


def _noted(old: OldCandidate, times: Mapping[str, datetime], record: ReleaseRecord) -> ReleaseRecord:
    """Return the record with these times noted of an image, or of the full build under one."""
    template = old.template
    for images, put in ((record.templates, record.with_template), (record.shadows, record.with_shadow)):
        image = images.get(template)
        if image is None:
            continue
        if old.part == "full build" and image.full_build is not None and image.full_build.image == old.image:
            build = image.full_build.model_copy(update=times)
            return put(template, image.model_copy(update={"full_build": build}))
        if image.image == old.image:
            return put(template, image.model_copy(update=times))
    return record
