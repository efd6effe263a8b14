"""DockerfileChanged: the template's Dockerfile is not the one that its full build was made from."""

from __future__ import annotations

from controller.api.v1alpha1 import Template
from controller.plan.changes.change import Change, Question, short


def needed(template: Template, question: Question) -> Change | None:
    """Return the change when the Dockerfile's own hash moved; it builds only where `rebuildOn` names Template."""
    moved = question.moved()
    if moved is None or moved[0].dockerfile_sha256 == moved[1].dockerfile_sha256:
        return None
    before, after = (f"Dockerfile {short(each.dockerfile_sha256)}" for each in moved)
    builds = "Template" in template.build.rebuild_on
    return Change("DockerfileChanged", before, after, builds=builds, full=True, rebuild_on="Template")
