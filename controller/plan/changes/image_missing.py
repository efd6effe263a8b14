"""ImageMissing: the recorded image is gone from where images live."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.plan.changes.change import Change, Question


def needed(template: Template, question: Question) -> Change | None:
    """Return the change when no reference that exists serves the recorded image."""
    del template
    recorded = question.recorded
    if recorded is None or question.unread or recorded.identity in question.images.values():
        return None
    return Change("ImageMissing", before=recorded.identity, after=None)
