"""TemplateSourceChanged: the rest of the template's folder, or a build argument, is not what its full build was made from."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.plan.changes.change import Change, Question, short


def needed(template: Template, question: Question) -> Change | None:
    """Return the change when the inputs moved; it builds only where `rebuildOn` names Template.

    A full build whose record knows no parts is compared as a whole.
    """
    full_build, inputs = question.full_build, question.inputs
    if full_build is None or inputs is None:
        return None
    if full_build.inputs is None:
        hashes = (full_build.inputs_sha256, inputs.sha256)
    else:
        hashes = (full_build.inputs.rest_sha256, inputs.rest_sha256)
    if hashes[0] == hashes[1]:
        return None
    before, after = (f"files {short(each)}" for each in hashes)
    builds = "Template" in template.build.rebuild_on
    return Change("TemplateSourceChanged", before, after, builds=builds, full=True, rebuild_on="Template")
