"""What is recorded of a cascade: the image of each template, and the note of one that is held back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.parts import Parts
from controller.model.actions import TemplateBuild
from controller.model.errors import Problem, Terminal
from controller.model.record import HeldBack, ReleaseRecord
from controller.model.record_part import Artifact
from controller.model.template_record import ForeignBuild, FullBuild, PlatformImage, TemplateRecord


def held_back(document: WorkspaceRuntime, build: TemplateBuild, cause: Problem) -> HeldBack | None:
    """Return the note of a failure that stops nobody else; None for one that does."""
    if not isinstance(cause, Terminal) or cause.reason != Reason.BUILD_FAILED:
        return None
    message = cause.message
    if build.base is not None:
        text = f"{message.rstrip('.')}. So this version cannot be tried on the image that is served now."
        return HeldBack(reason=Reason.UNTESTED, message=text, refused=(build.base,), time=datetime.now(UTC))
    gate = next(each.gate for each in document.spec.templates if each.name == build.template)
    if gate != "AllowFailure":
        return None
    return HeldBack(
        reason=Reason.BUILD_FAILED,
        message=message,
        refused=(build.inputs_sha256,),
        request=build.request,
        time=datetime.now(UTC),
    )


async def recorded(  # noqa: PLR0913 -- what was asked for, what came of it, and what was known before
    parts: Parts,
    build: TemplateBuild,
    result: Mapping[str, Any],
    known: FullBuild | None,
    *,
    mode: str,
    commit: str | None,
) -> TemplateRecord:
    platforms = {
        name: await _platform(
            parts, build, child, own=child["fullBuild"]["digest"] == result["fullBuild"]["digest"]
        )
        for name, child in (result.get("platforms") or {}).items()
    }
    kept = await _kept(parts, build, result["fullBuild"])
    return TemplateRecord(
        image=result["candidate"],
        digest=result["digest"] if mode == "Remote" else None,
        image_id=result["imageId"],
        platforms=platforms,
        full_build=_full_build_of(build, result, known, commit).model_copy(update={"inventory": kept}),
        reason=result["reason"],
        before=result["before"],
        after=result["after"],
        built_time=datetime.now(UTC),
    )


def _full_build_of(
    build: TemplateBuild, result: Mapping[str, Any], known: FullBuild | None, commit: str | None
) -> FullBuild:
    """Return the full build that was used: the one that was known, or one of what the plan saw."""
    full = result["fullBuild"]
    if known is not None and known.digest == full["digest"]:
        return known.model_copy(update={"image": full["image"]})
    return FullBuild(
        image=full["image"],
        digest=full["digest"],
        inputs_sha256=build.base.removeprefix("sha256:") if build.base else build.inputs_sha256,
        inputs=build.inputs,
        bases=result["bases"] or None,
        commit=commit,
        request=build.request,
    )


async def _platform(
    parts: Parts, build: TemplateBuild, child: Mapping[str, Any], *, own: bool
) -> PlatformImage:
    full = child["fullBuild"]
    foreign = None
    if not own:
        inventory = await _kept(parts, build, full)
        foreign = ForeignBuild(image=full["image"], digest=full["digest"], inventory=inventory)
    return PlatformImage(digest=child["digest"], image_id=child["imageId"], full_build=foreign)


async def _kept(parts: Parts, build: TemplateBuild, full: Mapping[str, Any]) -> Artifact:
    """Keep the inventory of a full build beside the records."""
    content = await read_file(Path(full["inventory"]))
    return await parts.records.put_blob(f"inventory-{build.template}.json", content)


def with_templates(
    record: ReleaseRecord,
    builds: Mapping[str, TemplateBuild],
    made: Mapping[str, TemplateRecord],
    held: Mapping[str, HeldBack],
) -> ReleaseRecord:
    """Set the templates' images; what they follow stays in use until they are proven."""
    for name, template in made.items():
        shadow = builds[name].base is not None
        follows = template.following((record.shadows if shadow else record.templates).get(name))
        record = record.with_shadow(name, follows) if shadow else record.with_template(name, follows)
    for name, cause in held.items():
        record = record.holding_back(name, cause)
    return record


async def read_file(path: Path) -> bytes:
    return await asyncio.to_thread(path.read_bytes)
