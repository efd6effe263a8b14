"""What a probe, a replacement or a verdict makes of the release record: of an image, of one template, or of the version. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Template
from controller.model.actions import Probe
from controller.model.probe import ProbeFailed, ProbePassed, ProbeReason
from controller.model.record import FailedTarget, HeldBack, ReleaseRecord, Verdict
from controller.model.template_record import TemplateRecord


def held_back_by(
    template: Template, action: Probe, outcome: ProbeFailed, *, now: datetime
) -> HeldBack | None:
    """Return the note of a failure that stops nobody else; None for one that does."""
    delivered = action.delivered
    misconfigured = outcome.reason is ProbeReason.BAD_CONFIGURATION
    if delivered is None and template.gate != "AllowFailure":
        return None
    if delivered is not None and misconfigured and template.gate != "AllowFailure":
        return None
    reason = Reason.GATE_MISCONFIGURED if misconfigured else Reason.GATE_FAILED
    if delivered is not None and not delivered.is_labelled and outcome.reason is ProbeReason.WRONG_VERSION:
        reason = Reason.AWAITING_DELIVERY
    return HeldBack(reason=reason, message=outcome.told, refused=(action.digest,), time=now)


def rolled_image(record: ReleaseRecord, template: str, image_id: str) -> TemplateRecord | None:
    """Return which image of a template a target was brought to; None when another one has taken its place since.

    A second target may have been on its way to it when the first one failed: then it is refused by now.
    """
    recorded = record.templates.get(template)
    newest = recorded.in_use if recorded is not None else None
    candidates = (newest, record.in_use.templates.get(template))
    return next((each for each in candidates if each is not None and image_id in each.digests), None)


def held_back_in_fleet(
    record: ReleaseRecord, template: Template, image: TemplateRecord, message: str, *, now: datetime
) -> HeldBack | None:
    """Return the note of an image that did not come up in a target and stops nobody else; None for one that does.

    That is one which somebody else delivered after its version was judged good without it.
    """
    if template.build.ours or not came_after(image, record.verdict):
        return None
    text = f"{message} Another image must be delivered; `wsr resume` tries this one again."
    refused = _all_refused(record, template, image.identity)
    return HeldBack(reason=Reason.ROLLOUT_FAILED, message=text, refused=refused, time=now)


def _all_refused(record: ReleaseRecord, template: Template, identity: str) -> tuple[str, ...]:
    """Return what was refused of a template so far, and last what is refused now."""
    earlier = record.held_back.get(template.name)
    return (*sorted({*(earlier.refused if earlier is not None else ())} - {identity}), identity)


def came_after(image: TemplateRecord, verdict: Verdict | None) -> bool:
    """Whether a version was judged good without this image, so that the verdict does not speak for it."""
    if verdict is None or verdict.value != "Good":
        return False
    if verdict.images:
        return image.identity not in verdict.images
    return image.built_time is not None and image.built_time > verdict.time


def failed_on(
    record: ReleaseRecord, key: str, failure: FailedTarget, *, spare: int, verdict: Verdict
) -> ReleaseRecord:
    """Return the record with a target's failure noted, and the verdict on the version once its wave cannot bear it.

    `key` names the target among `failures`; on `spare` targets of its wave the version may fail. What failed with an image that
    is in use no more does not count.
    """
    noted = record.failed_on(key, failure)
    owner, in_use = key.partition(" ")[0], {each.identity for each in record.in_use.templates.values()}
    many = sum(
        1
        for name, each in noted.failures.items()
        if name.startswith(f"{owner} ") and each.wave == failure.wave and each.image in in_use
    )
    return noted if many <= spare else record.judged(verdict)


def failed_targets(owner: str, record: ReleaseRecord) -> Mapping[str, FailedTarget]:
    """Return on which targets of the object `owner` the images in use have failed, by the target's id."""
    if not record.failures:
        return {}
    in_use = {each.identity for each in record.in_use.templates.values()}
    return {
        target: each
        for key, each in record.failures.items()
        for name, _, target in [key.partition(" ")]
        if name == owner and each.image in in_use
    }


def with_passed(
    record: ReleaseRecord,
    template: Template,
    action: Probe,
    outcome: ProbePassed,
    *,
    delivered: TemplateRecord | None,
) -> ReleaseRecord:
    """Return the record with the image proven: a candidate, a shadow, or `delivered`, which becomes the template's."""
    image = delivered or _candidate(record, template, action)
    if image is None:
        return record
    facts = {"proven": True, "boot_seconds": outcome.boot_seconds, "memory_bytes": outcome.memory_bytes}
    proven = image.model_copy(update=facts)
    record = record.holding_back(template.name, None)
    if delivered is not None:
        return record.delivered(template.name, proven)
    if template.build.ours:
        return record.with_template(template.name, proven)
    return record.with_shadow(template.name, proven)


def _candidate(record: ReleaseRecord, template: Template, action: Probe) -> TemplateRecord | None:
    """Return what is recorded of the image that was probed; None when another one took its place meanwhile."""
    found = (record.templates if template.build.ours else record.shadows).get(template.name)
    return found if found is not None and found.identity == action.digest else None


def with_failed(  # noqa: PLR0913 -- each is one side of what happened
    record: ReleaseRecord,
    template: Template,
    action: Probe,
    message: str,
    cause: HeldBack | None,
    *,
    now: datetime,
) -> ReleaseRecord:
    """Return the record with the failure noted: of the template alone for a `cause`, else of the version, which it holds."""
    if action.delivered is None and _candidate(record, template, action) is None:
        return record
    if cause is not None:
        refused = _all_refused(record, template, action.digest)
        return record.holding_back(template.name, cause.model_copy(update={"refused": refused}))
    before = record.verdict.message if record.verdict and record.failed else ""
    text = f"{before} {message}".strip()
    return record.judged(Verdict(value="Failed", reason=Reason.GATE_FAILED, message=text, time=now))


def judged_time(records: Mapping[str, ReleaseRecord], version: str, *, now: datetime) -> datetime:
    """Return when a verdict falls on `version`: after all others, and after its images were recorded, whosever clock said when."""
    times = [each.verdict.time for each in records.values() if each.verdict]
    times += [each.built_time for each in records[version].in_use.templates.values() if each.built_time]
    return max([now, *(each + timedelta(milliseconds=1) for each in times)])


def with_good(record: ReleaseRecord, verdict: Verdict) -> ReleaseRecord:
    """Return the record with the verdict Good, unless a target failed while it was written."""
    return record if record.failed else record.judged(verdict).model_copy(update={"promoted": True})
