"""Which release a rollback returns to, and which image a new workspace should use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord


def last_known_good(
    records: Mapping[str, ReleaseRecord], *, but: str | None = None, of: Collection[str] = ()
) -> ReleaseRecord | None:
    """Return the record that was judged Good last, other than version `but`; None when there is none.

    `of` are templates that it must have images of: a version may be good that one of them was held back from.
    """
    return next(
        (
            record
            for record in good_newest_first(records)
            if record.version != but
            and all(name in record.templates and may_be_run(record.templates[name]) for name in of)
        ),
        None,
    )


def may_be_run(image: TemplateRecord) -> bool:
    """Whether targets may be brought to it: one that was judged with others may lack its immutable tag still."""
    return image.proven and not image.is_candidate


def good_newest_first(records: Mapping[str, ReleaseRecord]) -> list[ReleaseRecord]:
    """Return the records that were judged Good with their images in use, the one judged last first."""
    good = [
        (record.verdict.time, record)
        for record in records.values()
        if record.verdict is not None and record.verdict.value == "Good"
    ]
    return [record.in_use for _, record in sorted(good, key=lambda pair: pair[0], reverse=True)]


def image_for_new(
    records: Mapping[str, ReleaseRecord],
    version: str,
    template: str,
    *,
    gone: Callable[[TemplateRecord], bool] = lambda _: False,
) -> str | None:
    """Return the one answer to "which image for a new workspace": the first of `images_for_new` that is not `gone`."""
    found = images_for_new(records, version, template)
    return next((image.image for image in found if not gone(image)), None)


def images_for_new(
    records: Mapping[str, ReleaseRecord], version: str, template: str
) -> tuple[TemplateRecord, ...]:
    """Return the images that a new workspace may use, best first: the released one of `version`, then the last good ones.

    Where its owner went back from `version`, that is what they went back to, first. Released is what passed the gate, is public and is not held.
    """
    record = records.get(version)
    public = record is not None and record.published_time is not None and not record.failed
    asked = [record.in_use] if record is not None and public else []
    images = (
        release.templates.get(template)
        for release in (*asked, returned_to(records, record), *good_newest_first(records))
        if release is not None
    )
    found: dict[str, TemplateRecord] = {}
    for image in images:
        if image is not None and not image.is_candidate:
            found.setdefault(image.identity, image)
    return tuple(found.values())


def returned_to(records: Mapping[str, ReleaseRecord], record: ReleaseRecord | None) -> ReleaseRecord | None:
    """Return the release that the owner went back to from a version; None when there is none, or it failed since."""
    verdict = record.verdict if record is not None and record.failed else None
    found = records.get(verdict.returns_to or "") if verdict is not None else None
    return found.in_use if found is not None and not found.failed else None
