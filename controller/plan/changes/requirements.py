"""RequirementsChanged: what is installed does not meet the wheel, or the template asks for other packages than before."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.model.template_record import TemplateInputs
from controller.plan.changes.change import Change, Question, listed, short

REASON = "RequirementsChanged"


def needed(template: Template, question: Question) -> Change | None:
    """Return the change; a wheel that cannot run builds in any case, other packages where `rebuildOn` names Template."""
    if question.recorded is None and question.unmet:
        before, after = (listed(words) for words in zip(*question.unmet, strict=True))
        return Change(REASON, before, after, full=True)
    moved = question.moved()
    if moved is None or moved[0].requirements_sha256 == moved[1].requirements_sha256:
        return None
    before, after = _words(*moved), _words(*reversed(moved))
    builds = "Template" in template.build.rebuild_on
    return Change(REASON, before, after, builds=builds, full=True, rebuild_on="Template")


def _words(one: TemplateInputs, other: TemplateInputs) -> str:
    """Return what `one` asks for and `other` does not, or what tells their files apart where that is nothing."""
    if one.requirements_sha256 is None:
        return "no requirements.txt"
    only = [line for line in one.requirements if line not in other.requirements]
    return listed(only) or f"requirements.txt {short(one.requirements_sha256)}"
