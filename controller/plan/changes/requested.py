"""Requested: a person asked for a new build, and no build has answered that request yet."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.plan.changes.change import Change, Question


def needed(template: Template, question: Question) -> Change | None:
    """Return the change when a request for `template` is open; it makes new bytes whatever else is as it was."""
    del template
    if question.request is None:
        return None
    before = question.full_build.request if question.full_build is not None else None
    return Change("Requested", before=before, after=question.request, full=True)
