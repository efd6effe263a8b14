"""WheelChanged: no image of this template carries the wanted wheel yet."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.plan.changes.change import Change, Question


def needed(template: Template, question: Question) -> Change | None:
    """Return the change when the record has no image for `template`, or one of another repository."""
    recorded = question.record.templates.get(template.name)
    if recorded is not None and recorded.image.rsplit(":", 1)[0] == template.image:
        return None
    return Change("WheelChanged", before=None, after=question.record.wheel.sha256)
