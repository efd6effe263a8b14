"""Replaces one target and records a version that failed on it: what a fleet learns from one container."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from controller.act.replace import replace as replace_container
from controller.api.conditions import Reason
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.host_images import remove_superseded
from controller.clients.host_room import expect_room
from controller.clients.parts import Parts
from controller.clients.registry_config import pull_credentials
from controller.model.actions import Replace
from controller.model.errors import NotFound, Terminal, Transient, Waiting
from controller.model.record import FailedTarget, Verdict
from controller.model.replacement import (
    Boundary,
    Replaced,
    ReplaceOrder,
    ReplaceResult,
    RolledBack,
    StillBusy,
    WantedImage,
)
from controller.plan.outcome import failed_on, held_back_in_fleet, rolled_image
from controller.plan.replacement import Step

BUSY_RETRY_SECONDS = 30.0
"""How long a target that stayed busy is left alone before it is asked again."""


async def roll(parts: Parts, document: WorkspaceRuntime, action: Replace) -> str:
    """Bring one target to the recorded image of a version, or end what was begun there.

    A new process that failed is not an error of this action: the old one is back, and unless the version is
    already known to be good, the verdict Failed in its record holds it.

    Raises:
        Waiting: work in progress did not end in time.
        Transient: the engine went away; the next pass goes on.
        Terminal: the target's shape or a taken name forbids it, or a known good version failed on it.
    """
    if action.image_id is None:
        return await _end(parts, document, action)
    record = await parts.records.get(action.version)
    template = next(each for each in document.spec.templates if each.name == action.template)
    recorded = record.in_use.templates[action.template]
    wanted = WantedImage(
        reference=recorded.image,
        image_id=action.image_id,
        version=record.version,
        content_sha256=record.content_sha256,
        template=action.template,
    )
    if document.spec.registry.mode == "Remote":
        reference = f"{recorded.image}@{recorded.digest}"
        there = await fetched(parts, document, template, reference, beside=_name(action))
        # of an index an engine has the image of its own platform, which need not be the one that the gate booted
        image_id = there if there in recorded.digests else action.image_id
        wanted = replace(wanted, reference=reference, image_id=image_id)
    order = _order(document, template, action, wanted=wanted)
    result = await _replaced(parts, action, order, package=record.package)
    said = await concluded(parts, document, action, result)
    await remove_superseded(parts, document, template, host=action.target.split("/")[1])
    return said


async def concluded(parts: Parts, document: WorkspaceRuntime, action: Replace, result: ReplaceResult) -> str:
    """Say in one line how a target was replaced, and record a version that failed on it. Raises as `roll`."""
    match result:
        case Replaced(awaiting_first_start=True):
            return "it is stopped and starts with it"
        case Replaced():
            return f"proven from inside, {result.seconds_down:.1f} s down"
        case StillBusy():
            raise Waiting(f"{action.target}: {result.reason}", retry_after=BUSY_RETRY_SECONDS)
        case RolledBack():
            return await _rolled_back(parts, document, action, result)


async def fetched(
    parts: Parts, document: WorkspaceRuntime, template: Template, reference: str, *, beside: str | None = None
) -> str:
    """Return what the engine calls an image, pulled unless other targets of its template came before.

    `beside` is a container of the engine that can be asked how much room there is. Raises as `expect_room` and `pull`.
    """
    try:
        return str((await parts.docker.inspect_image(reference))["Id"])
    except NotFound:
        credentials = pull_credentials(document.spec.registry, parts.settings, image=reference)
        platform, _ = await parts.platforms(template.build)
        if parts.registry is not None:
            await expect_room(parts.docker, parts.registry, reference, platform=platform, beside=beside)
        return await parts.docker.pull(reference, credentials=credentials, platform=platform)


async def _end(parts: Parts, document: WorkspaceRuntime, action: Replace) -> str:
    """Finish or undo a replacement whose template is not listed any more, or whose release is not the next one."""
    order = ReplaceOrder(
        name=_name(action),
        image=None,
        drain_timeout_seconds=float(document.spec.rollout.drain.timeout_seconds),
        on_timeout=document.spec.rollout.drain.on_timeout,
    )
    result = await _replaced(parts, action, order, package=document.spec.package.name)
    return ended(action, result)


def ended(action: Replace, result: ReplaceResult) -> str:
    """Say in one line how what was begun came to its end. Raises Waiting while work in progress does not end."""
    match result:
        case Replaced(awaiting_first_start=True):
            return "finished; it is stopped and starts with it"
        case Replaced():
            return "finished, proven from inside" if result.changed else "nothing was under way any more"
        case StillBusy():
            raise Waiting(f"{action.target}: {result.reason}", retry_after=BUSY_RETRY_SECONDS)
        case RolledBack():
            return f"taken back: {result.message}"


async def _rolled_back(parts: Parts, document: WorkspaceRuntime, action: Replace, result: RolledBack) -> str:
    template = next(each for each in document.spec.templates if each.name == action.template)
    for line in result.log_tail:
        parts.say(f"  {action.target}| {line}")
    if not result.counts:
        raise Transient(f"{action.target} was left as it was: {result.message}")
    text = f"{action.target} did not come up with {action.version} and is back on its old image: {result.message}"
    record, now = await parts.records.get(action.version), datetime.now(UTC)
    image = rolled_image(record, template.name, action.image_id or "")
    if image is None:
        return f"failed: {result.cause}: {result.message} Another image of {action.version} has taken its place since."
    cause = held_back_in_fleet(record, template, image, text, now=now)
    if cause is not None:
        await parts.amend(action.version, lambda current: current.holding_back(template.name, cause))
    elif record.verdict is not None and record.verdict.value == "Good":
        raise Terminal(
            Reason.ROLLOUT_FAILED,
            text,
            fix="Other targets run this version: look at this one's configuration, then change the document to try again.",
        )
    else:
        verdict = Verdict(value="Failed", reason=Reason.ROLLOUT_FAILED, message=text, time=now)
        key = f"{document.key} {action.target}"
        failure = FailedTarget(image=image.identity, wave=action.wave, message=text, time=now)
        await parts.amend(
            action.version,
            lambda current: failed_on(current, key, failure, spare=action.spare, verdict=verdict),
        )
    return f"failed: {result.cause}: {result.message}"


def _order(
    document: WorkspaceRuntime, template: Template, action: Replace, *, wanted: WantedImage
) -> ReplaceOrder:
    drain = document.spec.rollout.drain
    return ReplaceOrder(
        name=_name(action),
        image=wanted,
        drain_timeout_seconds=float(drain.timeout_seconds),
        on_timeout=drain.on_timeout,
        start_deadline_seconds=float(template.start_deadline_seconds),
    )


def _name(action: Replace) -> str:
    return action.target.rsplit("/", 1)[1]


async def _replaced(parts: Parts, action: Replace, order: ReplaceOrder, *, package: str) -> ReplaceResult:
    """Replace, telling every step, and that the old container is not to be asked any more once it is to stop."""

    def on_step(step: str, boundary: Boundary) -> None:
        if boundary is Boundary.BEFORE:
            parts.say(f"{action.target}: {step}")
            if step == Step.DISARM_OLD:
                parts.switching.add(order.name)

    try:
        return await replace_container(parts.docker, order, package=package, on_step=on_step)
    finally:
        parts.switching.discard(order.name)
