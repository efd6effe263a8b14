"""What would happen to one template's image: built here, or left to whoever builds it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.model.record import ReleaseRecord
from controller.plan.changes import change_of, changes_of, cure_of, question_of, update_of
from controller.plan.changes.change import Change
from controller.plan.gate import nothing_to_try_on, stays_behind, to_mend, to_try_on


@dataclass(frozen=True, slots=True)
class TemplatePreview:
    """Whether a template's image is built here, why, and what was and will be in it.

    `strategy` is its `build.strategy`, `told` the repository that is told to build it. `note` says what happens to an
    image that somebody else builds. `update` is a change that is not built because `rebuildOn` does not name it, `cure`
    what to do about that.
    """

    name: str
    strategy: str
    build: bool
    reason: str
    before: str | None = None
    after: str | None = None
    note: str | None = None
    told: str | None = None
    update: Change | None = None
    cure: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        facts = {"name": self.name, "strategy": self.strategy, "build": self.build, "reason": self.reason}
        told = {"before": self.before, "after": self.after, "note": self.note}
        return {**facts, **told, "updateAvailable": self._update_to_json()}

    def _update_to_json(self) -> dict[str, Any] | None:
        if self.update is None:
            return None
        change = {"reason": self.update.reason, "before": self.update.before, "after": self.update.after}
        return {**change, "cure": self.cure}


def preview_template(
    document: WorkspaceRuntime,
    template: Template,
    observation: Observation,
    record: ReleaseRecord | None,
    *,
    held: bool,
) -> TemplatePreview:
    """Return what becomes of `template`; `record` is that of the wanted version, `held` says that it does not go on."""
    strategy = template.build.strategy
    behind = (
        stays_behind(document, template, record, observation) if record is not None and not held else None
    )
    if not template.build.ours:
        if behind is not None:
            return TemplatePreview(template.name, strategy, build=False, reason="HeldBack")
        return _theirs(document.spec.version, template, observation, record)
    question = question_of(document, template, record, observation)
    unread = record is not None and isinstance(observation.images, Unknown)
    unbuilt = behind is not None and behind.reason == Reason.BUILD_FAILED
    asked = template if behind is None else to_mend(template)
    changes = () if unread or unbuilt else changes_of(asked, question)
    change, update = change_of(changes), update_of(changes)
    if behind is not None and (change is None or not change.builds):
        return TemplatePreview(template.name, strategy, build=False, reason="HeldBack")
    return TemplatePreview(
        template.name,
        strategy,
        build=change is not None and change.builds and not held,
        reason=change.reason if change else Reason.UP_TO_DATE,
        before=change.before if change else None,
        after=change.after if change else None,
        update=update,
        cure=cure_of(template, update) if update else None,
    )


def _theirs(
    version: str, template: Template, observation: Observation, record: ReleaseRecord | None
) -> TemplatePreview:
    """Nothing is built here but, for the gate, a shadow: their build begins when the version is public."""
    told = template.build.dispatch.repository if template.build.dispatch else None
    image = record.templates.get(template.name) if record is not None else None
    if image is not None:
        return TemplatePreview(
            template.name, template.build.strategy, build=False, reason=Reason.UP_TO_DATE, told=told
        )
    public = record is not None and record.published_time is not None
    reason, note = Reason.AWAITING_DELIVERY, _who(version, template, told, record)
    if not public:
        found = to_try_on(template, version, observation)
        if found is None and isinstance(observation.images, Known):
            reason = Reason.UNTESTED
            note = note if template.gate == "AllowUntested" else nothing_to_try_on(template, version)
        else:
            name = found[0] if found is not None else f"{template.image}:{template.tags[0]}"
            note = f"the gate tries {version} on {name}; then {note}"
    return TemplatePreview(
        template.name, template.build.strategy, build=False, reason=reason, note=note, told=told
    )


def _who(version: str, template: Template, told: str | None, record: ReleaseRecord | None) -> str:
    sent = record.dispatches.get(template.name) if record is not None else None
    if sent is not None:
        return f"{told} was told of {version} and builds the image (correlation id {sent.correlation_id})."
    if told is not None:
        return f"{told} is told once {version} is public, and builds the image."
    return f"whoever builds the image is waited for once {version} is public."
