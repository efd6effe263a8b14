"""WheelChanged: no image of this template carries the wanted wheel yet."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.model.record import ReleaseRecord
from controller.plan.changes.change import Change, Question, short


def needed(template: Template, question: Question) -> Change | None:
    """Return the change when the record has no image for `template`, or one of another repository."""
    recorded = question.recorded
    if recorded is not None and recorded.repository == template.image:
        return None
    after = _words(question.record) if question.record is not None else f"runtime {question.version}"
    return Change(
        "WheelChanged", before=_words(question.earlier) if question.earlier is not None else None, after=after
    )


def _words(record: ReleaseRecord) -> str:
    return f"runtime {record.version} (wheel {short(record.wheel.sha256)})"
