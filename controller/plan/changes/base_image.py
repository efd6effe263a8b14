"""BaseImageMoved: an image that the Dockerfile starts from is another one than it was at the full build."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.plan.changes.change import Change, Question, listed, short


def needed(template: Template, question: Question) -> Change | None:
    """Return the change when a base's digest moved; it builds only where `rebuildOn` names Base."""
    built_on = question.full_build.bases if question.full_build is not None else None
    if built_on is None or question.inputs is None:
        return None
    moved = [
        (name, built_on[name], question.bases[name])
        for name in question.inputs.bases
        if name in built_on and name in question.bases and built_on[name] != question.bases[name]
    ]
    if not moved:
        return None
    return Change(
        "BaseImageMoved",
        before=listed(f"{name} {short(before)}" for name, before, _ in moved),
        after=listed(f"{name} {short(after)}" for name, _, after in moved),
        builds="Base" in template.build.rebuild_on,
        full=True,
        rebuild_on="Base",
    )
