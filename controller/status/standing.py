"""Where one template stands with the wanted version: what its image has come to, and what keeps it from going on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Template
from controller.model.actions import Action, Tag
from controller.model.observed import Known
from controller.model.plan import Failure
from controller.model.record import ReleaseRecord
from controller.plan.delivery import deleted_text
from controller.plan.gate import FAILURES, has_failed
from controller.plan.state import Unproven, images_for_new, outstanding_of
from controller.plan.unread import is_gone
from controller.status.scope import Scope

TemplateState = Literal["Missing", "Unproven", "Proven", "HeldBack", "Untested", "Awaited"]


@dataclass(frozen=True, slots=True)
class Standing:
    """State, reason and message of one template; the reason is that of its image while nothing is wrong."""

    state: TemplateState
    reason: str = ""
    message: str = ""


def standing_of(scope: Scope, template: Template, record: ReleaseRecord | None) -> Standing:
    """Return where `template` stands; `record` is that of the wanted version."""
    if record is None:
        return Standing("Missing")
    note = record.held_back.get(template.name)
    outstanding = outstanding_of(scope.state)
    if isinstance(scope.state, Unproven) and template.name in scope.state.untested:
        return Standing("Untested", Reason.UNTESTED, scope.state.untested[template.name])
    image = record.templates.get(template.name)
    gone = _gone(scope, template, record)
    if gone is not None:
        return gone
    used = record.in_use.templates.get(template.name)
    if used is not None and (image == used or not template.build.ours):
        contest = next((each for each in outstanding.contests if each.template == template.name), None)
        refused = note if not template.build.ours and note is not None and note.reason in FAILURES else None
        told = contest or refused
        return (
            Standing("Proven", used.reason) if told is None else Standing("Proven", told.reason, told.message)
        )
    if note is not None and has_failed(template, record):
        cure = "" if "`wsr resume`" in note.message else " `wsr resume` tries it again."
        lost = _lost(scope, template, record)
        return Standing("HeldBack", note.reason, f"{note.message.rstrip('.')}.{cure}{lost}")
    failure = failure_of(scope, template.name)
    if failure is None and template.build.ours:
        return Standing("Missing") if image is None else Standing("Unproven", image.reason)
    if failure is not None:
        state: TemplateState = "Unproven" if image is not None else "Missing"
        return Standing(state if template.build.ours else "Awaited", failure.reason, failure.message)
    if record.published_time is None:
        shadow = record.shadows.get(template.name)
        return Standing("Missing") if shadow is None else Standing("Unproven", shadow.reason)
    sent = record.dispatches.get(template.name)
    to_whom = (
        f"; whoever builds it was told (correlation id {sent.correlation_id})" if sent is not None else ""
    )
    said = f" {note.message}" if note is not None else ""
    due = (each for each in outstanding.deliveries if each.template == template.name)
    said += "".join(f" What is served cannot be read: {each.unread.reason}" for each in due if each.unread)
    text = f"No image of {record.version} has been delivered{to_whom}.{said}"
    return Standing("Awaited", Reason.AWAITING_DELIVERY, text)


def _gone(scope: Scope, template: Template, record: ReleaseRecord) -> Standing | None:
    """Return what to say of an image that was delivered and is not in its registry any more."""
    due = outstanding_of(scope.state).deliveries
    lost = next((each for each in due if each.template == template.name and each.gone is not None), None)
    if lost is None or lost.gone is None:
        return None
    failure = failure_of(scope, template.name)
    if failure is not None:
        return Standing("Awaited", failure.reason, failure.message)
    told = (
        f" Whoever builds it was told again (correlation id {lost.sent.correlation_id})." if lost.sent else ""
    )
    return Standing("Awaited", Reason.IMAGE_GONE, deleted_text(record, template.name, lost.gone) + told)


def _lost(scope: Scope, template: Template, record: ReleaseRecord) -> str:
    """Return what to say of a template that stays behind, and whose image in use was deleted."""
    records = scope.observation.records
    known = records.value if isinstance(records, Known) else {}
    used = next(iter(images_for_new(known, record.version, template.name)), None)
    if used is None or not is_gone(template, record, used, scope.observation):
        return ""
    return f" Its image in use, {used.image}@{used.identity}, was deleted: what runs it goes on."


def failure_of(scope: Scope, name: str) -> Failure | None:
    """Return why the plan does not go on with the image of the template with this name."""
    return next((failure for action, failure in scope.plan.failed if templates_of(action) == {name}), None)


def templates_of(action: Action) -> frozenset[str]:
    """Return the templates whose images an action is about."""
    if isinstance(action, Tag):
        return frozenset(action.templates)
    builds = getattr(action, "builds", ())
    if builds:
        return frozenset(build.template for build in builds)
    template = getattr(action, "template", None)
    return frozenset({template}) if template and not hasattr(action, "target") else frozenset()


def about_others(scope: Scope, action: Action) -> bool:
    """Whether `action` is about images that somebody else builds, which nothing else waits for."""
    awaited = {each.template for each in outstanding_of(scope.state).deliveries}
    return bool(templates_of(action)) and templates_of(action) <= awaited
