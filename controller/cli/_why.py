"""What `wsr why` does: finds one target and the release record of what it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.api.v1alpha1 import Signing, WorkspaceRuntime
from controller.clients.signing import check
from controller.model.errors import Terminal
from controller.model.observed import Known, Unknown
from controller.model.record import ReleaseRecord
from controller.model.target import Target
from controller.plan.fleet import sort_fleet
from controller.plan.outcome import failed_targets
from controller.plan.preview import wave_of
from controller.plan.state import State, classify, outstanding_of
from controller.settings import Settings
from controller.standalone.session import open_session
from controller.standalone.world import Needs


def facts_of(target: str, file: Path, *, state: Path | None, secrets: Path | None) -> dict[str, Any]:
    """Return what `target` runs and where it came from.

    Raises:
        Terminal: it is no target of the document, or the engine does not answer.
    """
    return asyncio.run(_why(target, file, state, secrets))


def table(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts as lines for people."""
    return [f"{key}: {_shown(value)}" for key, value in facts.items()]


async def _why(name: str, file: Path, state: Path | None, secrets: Path | None) -> dict[str, Any]:
    async with open_session(
        file, state=state, secrets=secrets, needs=Needs(index=False, writing=False)
    ) as session:
        observation = await session.world.observe(session.document, earlier=None)
        if isinstance(observation.targets, Unknown):
            raise Terminal(
                "Unknown",
                f"The targets cannot be read: {observation.targets.reason}",
                fix="Check that the engine answers.",
            )
        records = observation.records.value if isinstance(observation.records, Known) else {}
        target = _find(name, observation.targets.value)
        found = classify(session.document, observation, session.history())
        wave = wave_of(session.document, observation, found, target)
        wanted = records.get(session.document.spec.version)
        facts = _facts(target, records, wave=wave) | {"next": _next(session.document, target, wanted)}
        release = _release(target, records)
        signing = session.document.spec.package.signing
        return facts | {
            "contested": _contested(found, target.template),
            "provenance": _provenance(release, signing, session.world.parts.settings),
        }


def _contested(state: State, template: str | None) -> list[str]:
    """Return what is said of each moving tag of a target's template that somebody else moved."""
    return [each.message for each in outstanding_of(state).contests if each.template == template]


def _find(name: str, targets: tuple[Target, ...]) -> Target:
    for target in targets:
        if name in {target.id, target.name}:
            return target
    known = ", ".join(target.id for target in targets[:10]) or "none"
    raise Terminal("NotFound", f"{name} is no target of this document.", fix=f"Targets are: {known}.")


def _facts(target: Target, records: Mapping[str, ReleaseRecord], *, wave: str) -> dict[str, Any]:
    running = target.running.value if isinstance(target.running, Known) else None
    release = _release(target, records)
    return {
        "target": target.id,
        "template": target.template,
        "commit": release.source_commit if release else running.commit if running else None,
        "wheelSha256": release.wheel.sha256 if release else None,
        "image": target.image,
        **_image_facts(target, release),
        "wave": wave,
        "running": {"version": running.version, "contentSha256": running.content_sha256} if running else None,
        "runningUnknown": target.running.reason if isinstance(target.running, Unknown) else None,
        "verdict": release.verdict.model_dump(mode="json", by_alias=True)
        if release and release.verdict
        else None,
    }


def _image_facts(target: Target, release: ReleaseRecord | None) -> dict[str, Any]:
    """Return why the image that a target runs was built, and what its full build started from and was asked for."""
    images = (
        [image for each in release.templates.values() for image in (each, each.previous)] if release else []
    )
    image = next((each for each in images if each and each.image_id == target.image_id), None)
    full = image.full_build if image is not None else None
    return {
        "imageReason": image.reason if image else None,
        "imageBefore": image.before if image else None,
        "imageAfter": image.after if image else None,
        "imageRequest": full.request if full else None,
        "imageBases": full.bases if full else None,
        "gate": {"bootSeconds": image.boot_seconds, "memoryBytes": image.memory_bytes}
        if image and image.proven
        else None,
    }


def _release(target: Target, records: Mapping[str, ReleaseRecord]) -> ReleaseRecord | None:
    return next((each for each in records.values() if _has_image(each, target.image_id)), None)


def _provenance(
    release: ReleaseRecord | None, signing: Signing | None, settings: Settings
) -> dict[str, Any] | None:
    if release is None:
        return None
    found = check(release, signing, settings)
    return {
        "signed": found.signed,
        "keyId": found.key_id,
        "verified": found.verified,
        "reason": found.reason,
        "builderVersion": release.builder_version,
        "inputsSha256": release.inputs_sha256,
    }


def _has_image(record: ReleaseRecord, image_id: str) -> bool:
    return any(
        image is not None and image_id in image.digests
        for template in record.templates.values()
        for image in (template, template.previous)
    )


def _next(document: WorkspaceRuntime, target: Target, wanted: ReleaseRecord | None) -> str:
    """Say in one sentence what the next pass means for this target."""
    if wanted is None or not wanted.templates:
        return "The wanted version is not built yet."
    fleet = sort_fleet(wanted, [target], failed=failed_targets(document.key, wanted))
    if fleet.untouched:
        return f"It is left alone: {fleet.untouched[0].cause.rstrip('.')}."
    if wanted.failed:
        return f"Version {wanted.version} failed and is held; `wsr plan` says why, and what goes back."
    if fleet.up_to_date:
        return f"Nothing; it runs {wanted.version} as asked for."
    if fleet.unproven:
        return f"It runs the image of {wanted.version} and has not reported yet."
    earlier = isinstance(target.running, Known) and target.reports(wanted.version, wanted.content_sha256)
    what = f"a newer image of {wanted.version}" if earlier else wanted.version
    return f"It will be replaced by {what}{' when its work is done' if target.busy else ''}."


def _shown(value: Any) -> str:  # noqa: ANN401 -- any JSON value
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(map(_shown, value)) or "-"
    return "-" if value is None or value == "" else str(value)
