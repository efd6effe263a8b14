"""ImageMissing: the recorded image is gone from where the template's images live."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.plan.changes.change import Change, Question
from controller.plan.unread import is_there


def needed(template: Template, question: Question) -> Change | None:
    """Return the change when nothing in the template's repository serves the image that is recorded there."""
    recorded = question.recorded
    if recorded is None or recorded.repository != template.image or question.unread:
        return None
    if is_there(template, recorded.identity, question.images):
        return None
    return Change("ImageMissing", before=recorded.identity, after=None)
