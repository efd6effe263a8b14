"""Why a template's image must be built: one module per reason, asked in order, the first answer wins."""

from __future__ import annotations

from collections.abc import Mapping

from controller.api.v1alpha1 import Spec, Template
from controller.model.observed import Known, Observed
from controller.model.plan import TemplateBuild
from controller.model.record import ReleaseRecord
from controller.plan.changes import image_missing, template_source, wheel
from controller.plan.changes.change import Change, Question

CHANGES = (wheel.needed, image_missing.needed, template_source.needed)


def change_of(template: Template, question: Question) -> Change | None:
    """Return why `template` needs a new image, or None."""
    for needed in CHANGES:
        change = needed(template, question)
        if change is not None:
            return change
    return None


def build_needed(
    spec: Spec,
    record: ReleaseRecord,
    *,
    images: Mapping[str, str],
    inputs: Mapping[str, Observed[str]],
) -> tuple[TemplateBuild, ...]:
    """Return the builds that the templates of `spec` need before `record` can go on; empty when all are there.

    A template whose inputs cannot be read is not rebuilt for changed inputs; if it needs a build for another
    reason, the build itself reports what is wrong with its folder.
    """
    builds = []
    for template in spec.templates:
        observed = inputs.get(template.name)
        current = observed.value if isinstance(observed, Known) else None
        change = change_of(template, Question(record, images, current))
        if change is not None and change.builds:
            builds.append(
                TemplateBuild(
                    template=template.name,
                    inputs_sha256=current or "",
                    reason=change.reason,
                    rebuild="Template" in template.build.rebuild_on,
                )
            )
    return tuple(builds)
