"""Proves one image and records how it turned out: the gate that stands before anything becomes public."""

from __future__ import annotations

from datetime import UTC, datetime

from builder.contract import candidate_tag
from controller.api.conditions import Reason
from controller.api.names import ANNOTATION_REBUILD
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.parts import Parts
from controller.model.actions import Probe
from controller.model.delivery import DeliveredImage
from controller.model.errors import Terminal
from controller.model.probe import ProbeFailed, ProbePassed, ProbeReason
from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.plan.outcome import held_back_by, with_failed, with_passed
from controller.reconcile.probe_order import order_of


async def gate(parts: Parts, document: WorkspaceRuntime, action: Probe) -> str:
    """Boot the image, let it answer, and write the outcome into the release record.

    An image that fails is not an error of this action: the record says that the version Failed and is held, or, where
    that stops nobody else, that the template is held back.

    Raises:
        Terminal: GateMisconfigured, when the runtime refuses the probe's settings; GateFailed, when a new image of
            a version that is known to be good fails, which must not hold the version.
        Transient, Terminal: the prover or the store failed; nothing is known of the image.
    """
    template = next(each for each in document.spec.templates if each.name == action.template)
    record = await parts.records.get(action.version)
    platform, _ = await parts.platforms(template.build)
    order = order_of(document, template, record, action, platform=platform)
    outcome = await parts.prover.prove(document.spec.registry, order)
    if isinstance(outcome, ProbePassed):
        delivered = _delivered(template, action.delivered) if action.delivered is not None else None
        await parts.amend(
            action.version,
            lambda current: with_passed(current, template, action, outcome, delivered=delivered),
        )
        asked = f" with {outcome.model_calls} calls of its model" if outcome.model_calls else ""
        return f"booted in {outcome.boot_seconds:.1f} s and answered two turns{asked}"
    for line in outcome.log_tail:
        parts.say(f"  {action.template}| {line}")
    now = datetime.now(UTC)
    cause = held_back_by(template, action, outcome, now=now)
    if cause is None:
        _raise_what_holds_no_version(record, template, outcome)
    await parts.amend(
        action.version,
        lambda current: with_failed(current, template, action, outcome.told, cause, now=now),
    )
    return f"failed: {outcome.told}"


def _raise_what_holds_no_version(record: ReleaseRecord, template: Template, outcome: ProbeFailed) -> None:
    if outcome.reason is ProbeReason.BAD_CONFIGURATION:
        # The image did what it should: it is the probe's settings that somebody must change.
        raise Terminal(
            Reason.GATE_MISCONFIGURED, outcome.message, fix="Correct templates[].probe, then run again."
        )
    if record.verdict is not None and record.verdict.value == "Good":
        # The version itself has proven good and runs: only this new image of it is refused.
        raise Terminal(
            Reason.GATE_FAILED,
            outcome.message,
            fix=f"Correct template {template.name}, or ask for another build of it with annotation "
            f"{ANNOTATION_REBUILD}; what runs stays as it is.",
        )


def _delivered(template: Template, image: DeliveredImage) -> TemplateRecord:
    """Return the image as one that its immutable tag is still missing for: whoever moves theirs must not lose it."""
    inputs = image.digest.removeprefix("sha256:")
    return TemplateRecord(
        image=f"{template.image}:{candidate_tag(inputs)}",
        digest=image.digest,
        image_id=image.image_id,
        commit=image.revision,
        reason="Delivered",
        built_time=datetime.now(UTC),
    )
