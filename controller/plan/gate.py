"""What stands between a version and its publication, template by template, as each one's `gate` has it. Pure.

Images that we build are proven themselves. For those that somebody else builds, and can only build once the version is
public, a shadow stands in: the wheel on the image that is served now, or else on the one in use.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.actions import TemplateBuild
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.record import HeldBack, ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.plan.changes import build_needed, question_of
from controller.plan.known_good import images_for_new
from controller.plan.unread import is_there, unread


@dataclass(frozen=True, slots=True)
class Gate:
    """What is left to do before every template has passed.

    `untested` says of each template why there is nothing to try the version on; `held_back` holds those that failed
    and may: the version goes on without them. `unread` says of each template why its images cannot be told: nothing is
    said of it elsewhere, but for builds that do not depend on that.
    """

    builds: tuple[TemplateBuild, ...]
    unproven: tuple[str, ...]
    untested: Mapping[str, str]
    held_back: Mapping[str, HeldBack]
    unread: Mapping[str, str]


def look(
    document: WorkspaceRuntime, record: ReleaseRecord, observation: Observation, images: Mapping[str, str]
) -> Gate:
    """Return where the document's templates stand with `record`; `images` are those that were observed."""
    spec = document.spec
    held: dict[str, HeldBack] = {}
    ours: list[Template] = []
    for template in spec.templates:
        cause = stays_behind(document, template, record, observation)
        if cause is not None:
            held[template.name] = cause
            if template.build.ours and cause.reason != Reason.BUILD_FAILED:
                ours.append(to_mend(template))
        elif template.build.ours:
            ours.append(template)
    built_here = spec.model_copy(update={"templates": ours})
    builds = build_needed(document.model_copy(update={"spec": built_here}), record, observation)
    untold = _untold(spec.templates, record, observation, held)
    left = held.keys() | untold.keys()
    unproven = [
        each.name
        for each in ours
        if each.name not in left and not _is_proven(record.templates.get(each.name))
    ]
    untested: dict[str, str] = {}
    for template in spec.templates if record.published_time is None else ():
        if template.build.ours or template.name in left or _is_proven(_shadow(template, record)):
            continue
        build = _shadow_needed(template, record, observation, images)
        if isinstance(build, TemplateBuild):
            builds = (*builds, build)
        elif build is None:
            unproven.append(template.name)
        elif template.gate != "AllowUntested":
            untested[template.name] = build
    return Gate(builds, tuple(unproven), untested, held, untold)


def _untold(
    templates: Iterable[Template], record: ReleaseRecord, observation: Observation, held: Container[str]
) -> Mapping[str, str]:
    """Return why templates' images cannot be told, of those on which the next step depends."""
    public = record.published_time is not None
    asked = (
        template
        for template in templates
        if public
        or not (template.name in held or (not template.build.ours and _is_proven(_shadow(template, record))))
    )
    return {each.name: why for each in asked if (why := unread(each, record, observation)) is not None}


def to_mend(template: Template) -> Template:
    """Return a template whose image was refused as one that a corrected folder rebuilds, whatever `rebuildOn` says."""
    rebuild_on = sorted({*template.build.rebuild_on, "Template"})
    return template.model_copy(update={"build": template.build.model_copy(update={"rebuild_on": rebuild_on})})


def to_try_on(template: Template, version: str, observation: Observation) -> tuple[str, str] | None:
    """Return name and digest of the image that a template's shadow is put on; None when there is none.

    That is the one under its first moving tag, which workspaces would get next; somebody may have deleted that tag, and
    what runs is then as good to try it on.
    """
    images = observation.images.value if isinstance(observation.images, Known) else {}
    served = f"{template.image}:{template.tags[0]}"
    if served in images:
        return served, images[served]
    records = observation.records.value if isinstance(observation.records, Known) else {}
    there = (
        (image.image, image.identity)
        for image in images_for_new(records, version, template.name)
        if is_there(template, image.identity, images)
    )
    return next(there, None)


def nothing_to_try_on(template: Template, version: str) -> str:
    """Return what it means that a template which somebody else builds has no image yet, and the cure."""
    return (
        f"Template {template.name}: no image is served as {template.image}:{template.tags[0]} yet to try {version} on. "
        "Push a first one, or set the template's gate to AllowUntested."
    )


def has_passed(template: Template, record: ReleaseRecord) -> bool:
    """Whether the gate has nothing against publishing `record` as far as `template` goes."""
    if has_failed(template, record):
        return True
    if template.build.ours:
        return _is_proven(record.templates.get(template.name))
    public = record.published_time is not None
    return public or template.gate == "AllowUntested" or _is_proven(_shadow(template, record))


def was_tried(template: Template, record: ReleaseRecord) -> bool:
    """Whether an image with the recorded version, the template's own or its shadow, booted and answered."""
    return _is_proven(record.templates.get(template.name)) or _is_proven(_shadow(template, record))


def has_failed(template: Template, record: ReleaseRecord) -> bool:
    """Whether the template's image failed, as its gate allows, so that the version goes on without it."""
    cause = record.held_back.get(template.name)
    return template.gate == "AllowFailure" and cause is not None and cause.reason in FAILURES


FAILURES = frozenset(
    {Reason.BUILD_FAILED, Reason.GATE_FAILED, Reason.GATE_MISCONFIGURED, Reason.ROLLOUT_FAILED}
)
"""Why a template is held back; anything else that is noted of it is no failure of its image."""


def stays_behind(
    document: WorkspaceRuntime, template: Template, record: ReleaseRecord, observation: Observation
) -> HeldBack | None:
    """Return why an AllowFailure template stays behind; None once something else is to take the place of what failed.

    An image that was refused stays so until another one is built; a build that failed until its inputs are others, or a
    person asks for a new one.
    """
    if not has_failed(template, record):
        return None
    cause = record.held_back[template.name]
    recorded = record.templates.get(template.name)
    if not template.build.ours:
        if record.published_time is not None:
            return cause if template.name not in record.in_use.templates else None
        recorded = _shadow(template, record)
    if cause.reason != Reason.BUILD_FAILED:
        return (
            cause
            if recorded is not None and not recorded.proven and recorded.identity in cause.refused
            else None
        )
    request = question_of(document, template, record, observation).request
    if request is not None and request != cause.request:
        return None
    inputs = observation.templates.get(template.name)
    current = inputs.value.sha256 if isinstance(inputs, Known) else None
    return cause if current is None or current in cause.refused else None


def _is_proven(image: TemplateRecord | None) -> bool:
    return image is not None and image.proven


def _shadow(template: Template, record: ReleaseRecord) -> TemplateRecord | None:
    """Return the image that stands in for the template's; None when there is none in its repository."""
    shadow = record.shadows.get(template.name)
    return shadow if shadow is not None and shadow.repository == template.image else None


def _shadow_needed(
    template: Template, record: ReleaseRecord, observation: Observation, images: Mapping[str, str]
) -> TemplateBuild | str | None:
    """Return the shadow to build, or why none can be; None when it waits for its proof."""
    shadow = _shadow(template, record)
    if shadow is not None and images.get(shadow.image) == shadow.identity:
        return None
    found = to_try_on(template, record.version, observation)
    if found is None:
        return nothing_to_try_on(template, record.version)
    _, base = found
    note = record.held_back.get(template.name)
    if note is not None and note.reason == Reason.UNTESTED and base in note.refused:
        return note.message
    return TemplateBuild(template.name, "", "WheelChanged", rebuild=False, base=base)
