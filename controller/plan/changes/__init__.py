"""Why a template's image must be built: one module per reason, asked in order, the first that builds is why.

What cannot be mended by a layer is asked first: of two reasons to build, it is the one that decides how.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.api.names import ANNOTATION_REBUILD
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.actions import TemplateBuild
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.record import ReleaseRecord
from controller.model.template_record import FullBuild
from controller.plan.changes import (
    base_image,
    dockerfile,
    image_missing,
    labels,
    requested,
    requirements,
    template_source,
    wheel,
)
from controller.plan.changes.change import Change, Question
from controller.plan.full_builds import answered, last_full_build, released_before
from controller.plan.unread import unread

CHANGES = (
    requested.needed,
    dockerfile.needed,
    template_source.needed,
    requirements.needed,
    base_image.needed,
    image_missing.needed,
    labels.needed,
    wheel.needed,
)


def changes_of(template: Template, question: Question) -> tuple[Change, ...]:
    """Return everything by which the image of `template` is behind."""
    found = (needed(template, question) for needed in CHANGES)
    return tuple(change for change in found if change is not None)


def change_of(changes: Iterable[Change]) -> Change | None:
    """Return why an image is built; when none of `changes` builds, the first of them."""
    return next(iter(sorted(changes, key=lambda change: not change.builds)), None)


def update_of(changes: Iterable[Change]) -> Change | None:
    """Return the first change that is only shown, as UpdateAvailable; None when there is none."""
    return next((change for change in changes if not change.builds), None)


def cure_of(template: Template, change: Change) -> str:
    """Return what to do so that a change which is only shown is built."""
    return (
        f"Add {change.rebuild_on} to build.rebuildOn of template {template.name} to have it built from now on, or "
        f"ask for this one build with annotation {ANNOTATION_REBUILD}."
    )


def question_of(
    document: WorkspaceRuntime, template: Template, record: ReleaseRecord | None, observation: Observation
) -> Question:
    """Return all that the changes of `template` depend on; `record` is that of the wanted version."""
    version, name = document.spec.version, template.name
    records = observation.records.value if isinstance(observation.records, Known) else {}
    read = observation.templates.get(name)
    inputs = read.value if isinstance(read, Known) else None
    request = document.metadata.request_for(name)
    open_ = request is not None and not answered(request, name, records)
    return Question(
        name,
        version,
        record,
        images=observation.images.value if isinstance(observation.images, Known) else {},
        inputs=inputs,
        full_build=last_full_build(name, version, records),
        earlier=released_before(name, version, records),
        bases={base: each.value for base, each in observation.bases.items() if isinstance(each, Known)},
        labels={image: each.value for image, each in observation.labels.items() if isinstance(each, Known)},
        unmet=observation.unmet.get(name, ()),
        request=request if open_ else None,
        unread=unread(template, record, observation) is not None,
    )


def build_needed(
    document: WorkspaceRuntime, record: ReleaseRecord, observation: Observation
) -> tuple[TemplateBuild, ...]:
    """Return the builds that the document's templates need before `record` can go on; empty when all are there.

    A template whose inputs cannot be read is not rebuilt for changed inputs; if it needs a build for another
    reason, the build itself reports what is wrong with its folder.
    """
    builds = []
    for template in document.spec.templates:
        question = question_of(document, template, record, observation)
        changes = changes_of(template, question)
        change = change_of(changes)
        if change is not None and change.builds:
            builds.append(_build(question, change, full=any(each.full and each.builds for each in changes)))
    return tuple(builds)


def _build(question: Question, change: Change, *, full: bool) -> TemplateBuild:
    known: FullBuild | None = question.full_build
    inputs = question.inputs
    names = inputs.bases if inputs is not None else ()
    return TemplateBuild(
        template=question.template,
        inputs_sha256=inputs.sha256 if inputs is not None else "",
        reason=change.reason,
        rebuild=full,
        before=change.before,
        after=change.after,
        inputs=inputs,
        bases=tuple((name, question.bases[name]) for name in names if name in question.bases),
        request=question.request or (known.request if known is not None else None),
        fresh=question.request is not None,
    )
