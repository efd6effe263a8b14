"""Brings two copies of one version's record together, whoever wrote them and in whatever order: nothing is lost.

Copies of the same bytes are joined part by part; of different bytes one copy stands whole, so that the wheel of one
is never recorded beside the images of another. The order does not matter, and a copy that is in the result already
changes nothing: that is all that writers need who cannot exclude each other. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from controller.model.record import HeldBack, ReleaseRecord, Verdict
from controller.model.record_part import RecordPart
from controller.model.template_record import TemplateRecord

P = TypeVar("P", bound=RecordPart)

Note = TypeVar("Note", bound=RecordPart)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def merged(one: ReleaseRecord, other: ReleaseRecord) -> ReleaseRecord:
    """Return what both copies say together; both are of the same version."""
    if _lineage(one) != _lineage(other):
        return max(one, other, key=_rank)
    resumed = max((time for time in (one.resumed_time, other.resumed_time) if time), default=None)
    published = min((time for time in (one.published_time, other.published_time) if time), default=None)
    templates, shadows = _images(one.templates, other.templates), _images(one.shadows, other.shadows)
    held_back = _newest(one.held_back, other.held_back, lambda note: note.time, resumed or _NEVER)
    passed = {
        name for name, note in held_back.items() if _passed(note, templates.get(name), shadows.get(name))
    }
    return _joined(*sorted((one, other), key=_text)).model_copy(
        update={
            "templates": templates,
            "shadows": shadows,
            "held_back": {name: note for name, note in held_back.items() if name not in passed},
            "dispatches": _newest(
                one.dispatches, other.dispatches, lambda sent: sent.sent_time, resumed or _NEVER
            ),
            "failures": _newest(one.failures, other.failures, lambda note: note.time, resumed or _NEVER),
            "published_time": published,
            "resumed_time": resumed,
            "resume_requests": tuple(sorted({*one.resume_requests, *other.resume_requests})),
            "rollback_requests": tuple(sorted({*one.rollback_requests, *other.rollback_requests})),
            "verdict": _verdict([one.verdict, other.verdict], resumed or _NEVER),
        }
    )


def _newest(
    one: Mapping[str, Note], other: Mapping[str, Note], time: Callable[[Note], datetime], resumed: datetime
) -> dict[str, Note]:
    """Return the newer note of each template or target, without those that were taken back."""
    oldest_first = sorted((*one.items(), *other.items()), key=lambda each: (time(each[1]), _text(each[1])))
    return {name: note for name, note in oldest_first if time(note) > resumed}


def _passed(note: HeldBack, *images: TemplateRecord | None) -> bool:
    """Whether an image that was built after the note has passed the gate: a copy of before must not bring it back."""
    return any(
        each is not None and each.proven and (each.built_time or _NEVER) > note.time for each in images
    )


def _images(
    one: Mapping[str, TemplateRecord], other: Mapping[str, TemplateRecord]
) -> dict[str, TemplateRecord]:
    return {name: _template(one.get(name), other.get(name)) for name in sorted({*one, *other})}


def succeeding(record: ReleaseRecord, before: ReleaseRecord) -> ReleaseRecord:
    """Return `record` so that it stands in place of `before`: the same bytes go on, others count as newer ones."""
    time, earlier = record.recorded_time, before.recorded_time or _NEVER
    if record.wheel.sha256 == before.wheel.sha256:
        time = before.recorded_time
    elif time is not None and time <= earlier:
        time = earlier + timedelta(milliseconds=1)
    return record.model_copy(update={"recorded_time": time})


def _lineage(record: ReleaseRecord) -> tuple[str, datetime]:
    """Tell copies of one record from another record of the version: other bytes, or deleted and made anew."""
    return record.wheel.sha256, record.recorded_time or _NEVER


def _rank(record: ReleaseRecord) -> tuple[bool, datetime, str]:
    """Order records of different bytes: what is public stays, else the newer one stands."""
    return record.published_time is not None, record.recorded_time or _NEVER, record.wheel.sha256


def _template(one: TemplateRecord | None, other: TemplateRecord | None) -> TemplateRecord:
    """Return the image that was built later; what either copy knows of the very same image stays."""
    older, *rest = sorted((each for each in (one, other) if each is not None), key=_age)
    if not rest:
        return older
    newer = rest[0]
    if newer.identity != older.identity:
        # Who built it had not seen the earlier one pass: that one stays in use until this one has.
        forgot = newer.in_use is None and older.in_use is not None
        return _with_tags_of(newer, newer.following(older)) if forgot else newer
    return _with_tags_of(older, _joined(newer, older))


def _with_tags_of(known: TemplateRecord, template: TemplateRecord) -> TemplateRecord:
    return template.model_copy(
        update={
            "tags": tuple(sorted({*known.tags, *template.tags})),
            "earlier_tags": tuple(sorted({*known.earlier_tags, *template.earlier_tags})),
            "taken": tuple(sorted({*known.taken, *template.taken})),
            "followed": tuple(sorted({*known.followed, *template.followed})),
        }
    )


def _age(template: TemplateRecord) -> tuple[datetime, bool, str]:
    """Order images of one template: the one built later, then the one that has its immutable tag."""
    return template.built_time or _NEVER, ":candidate-" not in template.image, _text(template)


def _verdict(verdicts: list[Verdict | None], resumed: datetime) -> Verdict | None:
    """Return the verdict that stands: Failed until somebody resumes the version, else the latest."""
    standing = [each for each in verdicts if each is not None and each.time > resumed]
    return max(standing, key=lambda each: (each.value == "Failed", each.time, _text(each)), default=None)


def _joined(first: P, second: P) -> P:
    """Return `first` with what only `second` says."""
    said = [{**dict(each), **(each.model_extra or {})} for each in (first, second)]
    unsaid = {
        name: field.get_default(call_default_factory=True) for name, field in type(first).model_fields.items()
    }
    silent = {name for name, value in unsaid.items() if said[0][name] == value}
    missing = {name: value for name, value in said[1].items() if name in silent or name not in said[0]}
    return first.model_copy(update=missing)


def _text(part: RecordPart) -> str:
    return part.model_dump_json()
