"""Which images of a template a host needs no more: all but what may be wanted there, and the newest few of the others. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.plan.known_good import images_for_new, last_known_good

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def superseded(
    template: str, version: str, records: Mapping[str, ReleaseRecord], *, keep: int
) -> tuple[TemplateRecord, ...]:
    """Return the images of a template, newest first, that were followed by others, without the newest `keep` of them.

    What `version` has, in whatever state, what a new workspace may get, and what a failure of `version` goes back to are no
    such images. Records name images by digest: one that nobody here knows is not among them.
    """
    needed = {digest for image in _needed(template, version, records) for digest in image.digests}
    found: dict[str, TemplateRecord] = {}
    for record in records.values():
        for image in _all(record.templates.get(template)):
            if image.digest is not None and needed.isdisjoint(image.digests):
                found.setdefault(image.digest, image)
    newest = sorted(
        found.values(), key=lambda image: (image.built_time or _NEVER, image.identity), reverse=True
    )
    return tuple(newest[keep:])


def _needed(template: str, version: str, records: Mapping[str, ReleaseRecord]) -> Iterator[TemplateRecord]:
    if (record := records.get(version)) is not None:
        yield from _all(record.templates.get(template))
    yield from images_for_new(records, version, template)[:1]
    good = last_known_good(records, but=version, of=(template,))
    if good is not None:
        yield from _all(good.templates.get(template))


def _all(image: TemplateRecord | None) -> Iterator[TemplateRecord]:
    while image is not None:
        yield image
        image = image.previous
