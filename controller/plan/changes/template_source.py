"""TemplateSourceChanged: the template's folder or build arguments are not what its full build was made from."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.plan.changes.change import Change, Question


def needed(template: Template, question: Question) -> Change | None:
    """Return the change when the inputs moved; it builds only where `rebuildOn` names Template."""
    full_build = question.record.templates[template.name].full_build
    if (
        question.inputs_sha256 is None
        or full_build is None
        or full_build.inputs_sha256 == question.inputs_sha256
    ):
        return None
    return Change(
        "TemplateSourceChanged",
        before=full_build.inputs_sha256,
        after=question.inputs_sha256,
        builds="Template" in template.build.rebuild_on,
    )
