"""Proves one candidate and records how it turned out: the gate that stands before anything becomes public."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.act.probe import probe
from controller.api.conditions import Reason
from controller.api.names import ANNOTATION_REBUILD
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.parts import Parts
from controller.clients.registry_config import pull_credentials
from controller.model.errors import Terminal
from controller.model.plan import Probe
from controller.model.probe import ProbeFailed, ProbePassed, ProbeReason
from controller.model.record import ReleaseRecord, Verdict
from controller.reconcile.probe_order import order_of


async def gate(parts: Parts, document: WorkspaceRuntime, action: Probe) -> str:
    """Boot the candidate, let it answer, and write the outcome into the release record.

    A candidate that fails is not an error of this action: the verdict Failed in the record holds the version.

    Raises:
        Terminal: GateMisconfigured, when the runtime refuses the probe's settings; GateFailed, when a new image of
            a version that is known to be good fails, which must not hold the version.
        Transient, Terminal: the engine or the store failed; nothing is known of the candidate.
    """
    template = next(each for each in document.spec.templates if each.name == action.template)
    record = await parts.records.get(action.version)
    image = record.templates[action.template].image
    if document.spec.registry.mode == "Remote":
        credentials = pull_credentials(document.spec.registry, parts.settings, image=image)
        await parts.engine.pull(image, credentials=credentials)
    outcome = await probe(parts.engine, order_of(document, template, record, image=image), parts.stand_in)
    if isinstance(outcome, ProbeFailed):
        for line in outcome.log_tail:
            parts.say(f"  {action.template}| {line}")
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
                fix=f"Correct template {action.template}, or ask for another build of it with annotation "
                f"{ANNOTATION_REBUILD}; what runs stays as it is.",
            )
    await parts.amend(action.version, lambda current: _amended(current, action, outcome))
    if isinstance(outcome, ProbeFailed):
        return f"failed: {outcome.told}"
    asked = f" with {outcome.model_calls} calls of its model" if outcome.model_calls else ""
    return f"booted in {outcome.boot_seconds:.1f} s and answered two turns{asked}"


def _amended(record: ReleaseRecord, action: Probe, outcome: ProbePassed | ProbeFailed) -> ReleaseRecord:
    recorded = record.templates.get(action.template)
    if recorded is None or recorded.identity != action.digest:
        return record
    if isinstance(outcome, ProbePassed):
        facts = {"proven": True, "boot_seconds": outcome.boot_seconds, "memory_bytes": outcome.memory_bytes}
        return record.with_template(action.template, recorded.model_copy(update=facts))
    earlier = record.verdict.message if record.verdict and record.failed else ""
    message = f"{earlier} {outcome.told}".strip()
    return record.judged(
        Verdict(value="Failed", reason=Reason.GATE_FAILED, message=message, time=datetime.now(UTC))
    )
