"""Has one candidate image per template built with the recorded wheel, and records what each image is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.checkouts import Checkout
from controller.clients.parts import Parts
from controller.clients.registry_config import registry_access, registry_hosts, secret_folders
from controller.clients.runs import Run
from controller.clients.template_failure import failure_of, to_correct
from controller.model.actions import Cascade, TemplateBuild
from controller.model.errors import NotFound, PartlyFailed, Problem, Terminal, Transient
from controller.model.record import HeldBack, ReleaseRecord
from controller.model.record_part import Artifact
from controller.model.template_record import ForeignBuild, FullBuild, PlatformImage, TemplateRecord
from controller.plan.full_builds import last_full_build, last_platforms
from controller.settings import INDEX_CA


async def cascade(parts: Parts, document: WorkspaceRuntime, action: Cascade) -> str:
    """Build what the plan lists; templates that succeed are recorded even when another one fails.

    Raises:
        PartlyFailed: why each template that failed did: BuildFailed, what its registry wants, or what is away.
        Terminal: the run refused its input.
        Transient: the engine, the registry or the index was away.
    """
    records = await parts.records.records()
    record = records[action.version]
    folder = parts.folder / "cascade" / action.key.rsplit("/", 1)[1]
    builds = {build.template: build for build in action.builds}
    folders, unreadable = await _folders(parts, document, builds.values(), log=folder / "out")
    readable = [build for name, build in builds.items() if name not in unreadable]
    known = {
        name: _Known(
            last_full_build(name, record.version, records), last_platforms(name, record.version, records)
        )
        for name in builds
    }
    result_file = folder / "out" / "result.json"
    await asyncio.to_thread(result_file.unlink, missing_ok=True)
    away: Transient | None = None
    results: Mapping[str, Any] = {}
    if readable:
        reads = await _inputs(
            parts, document, readable, record=record, known=known, folders=folders, folder=folder
        )
        try:
            run = _run(parts, document, action, reads=reads, folder=folder)
            await parts.runs.run(run, progress=parts.say)
        except Transient as transient:
            away = transient
            if not await asyncio.to_thread(result_file.exists):
                raise
        results = json.loads(await _read(result_file))["templates"]
    made = {
        name: await _recorded(
            parts,
            builds[name],
            result,
            known[name].full_build,
            mode=document.spec.registry.mode,
            commit=folders[name].commit if name in folders else None,
        )
        for name, result in results.items()
        if "error" not in result
    }
    failed: dict[str, Problem] = {
        name: failure_of(name, result["error"], log=folder / "out")
        for name, result in results.items()
        if "error" in result
    }
    failed |= unreadable
    held = {
        name: note
        for name, cause in failed.items()
        if (note := _held_back(document, builds[name], cause)) is not None
    }
    await parts.amend(
        action.version,
        lambda current: _with_templates(current, builds, made, held),
        wheel_sha256=record.wheel.sha256,
    )
    if away is not None:
        raise away
    if final := {name: cause for name, cause in failed.items() if name not in held}:
        raise PartlyFailed(final)
    lines = [f"{name}: {_told(result)}" for name, result in results.items() if "error" not in result]
    return ", ".join([*lines, *(f"{name}: {note.reason}" for name, note in held.items())])


async def _folders(
    parts: Parts, document: WorkspaceRuntime, builds: Iterable[TemplateBuild], *, log: Path
) -> tuple[dict[str, Checkout], dict[str, Problem]]:
    """Return the folders of the templates that are built here, and what keeps the others from being read.

    The run would refuse such a folder as a whole.
    """
    templates = {template.name: template for template in document.spec.templates}
    found: dict[str, Checkout] = {}
    unreadable: dict[str, Problem] = {}
    for build in builds:
        if build.base is not None:
            continue
        name = build.template
        try:
            found[name] = await parts.checkouts.used(templates[name].build, document.spec.version)
        except Problem as problem:
            unreadable[name] = problem
            continue
        if not build.inputs_sha256:
            unreadable[name] = await _unread(name, found[name], log=log)
    return found, unreadable


async def _unread(template: str, source: Checkout, *, log: Path) -> Problem:
    """Return what it means that a template could not be read when its build was decided."""
    fetched = source.commit is not None
    if fetched and await asyncio.to_thread((source.folder / "Dockerfile").is_file):
        return Transient(f"Template {template}: {source.name} has been fetched only now")
    return to_correct(f"Template {template}: {source.name} cannot be read or has no Dockerfile.", log=log)


def _held_back(document: WorkspaceRuntime, build: TemplateBuild, cause: Problem) -> HeldBack | None:
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


def _told(result: Mapping[str, Any]) -> str:
    children: Mapping[str, Any] = result.get("platforms") or {}
    bare = [f"without byte code for {name}" for name, child in children.items() if not child["byteCode"]]
    return ", ".join([str(result["built"]), *([f"for {' and '.join(children)}"] if children else []), *bare])


@dataclass(frozen=True, slots=True)
class _Known:
    """What is recorded of a template's last images: our full build, and the images of an index by platform."""

    full_build: FullBuild | None
    platforms: Mapping[str, PlatformImage]


async def _inputs(  # noqa: PLR0913 -- each is one part of the document that the run is given
    parts: Parts,
    document: WorkspaceRuntime,
    builds: Iterable[TemplateBuild],
    *,
    record: ReleaseRecord,
    known: Mapping[str, _Known],
    folders: Mapping[str, Checkout],
    folder: Path,
) -> tuple[Path, ...]:
    """Write the run's inputs, and return where they are and what they name, the document itself first."""
    wheel = folder / record.wheel.file
    await _write(wheel, await parts.records.get_blob(record.wheel))
    spec = document.spec
    templates = {template.name: template for template in spec.templates}
    content: dict[str, Any] = {
        "version": record.version,
        "wheel": str(wheel),
        "wheelSha256": record.wheel.sha256,
        "contentSha256": record.content_sha256,
        "mode": spec.registry.mode,
        "registry": registry_access(
            spec.registry, parts.settings, hosts=registry_hosts(document), folder=folder
        ),
        "index": {"url": spec.package.index.simple_url, "caFile": _index_ca(parts, document)},
        "templates": [
            await _template(
                parts,
                templates[build.template],
                build,
                known[build.template],
                source=folders.get(build.template),
                folder=folder,
            )
            for build in builds
        ],
    }
    path = folder / "inputs.json"
    await _write(path, json.dumps(content, indent=1).encode())
    return (path, wheel, *map(Path, _named(content["templates"])))


def _named(templates: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the files and folders that the templates in a run's inputs name."""
    for template in templates:
        if "directory" in template:
            yield template["directory"]
        known = (template.get("fullBuild"), *(each["known"] for each in template.get("otherPlatforms", ())))
        yield from (each["inventory"] for each in known if each and each["inventory"])


async def _template(  # noqa: PLR0913 -- what is known of one template, and the run's own folder
    parts: Parts,
    template: Template,
    build: TemplateBuild,
    known: _Known,
    *,
    source: Checkout | None,
    folder: Path,
) -> dict[str, Any]:
    platform, others = await parts.platforms(template.build)
    if source is None:
        served = f"{template.image}:{template.tags[0]}"
        shadow = {"image": served, "digest": build.base}
        return {"name": template.name, "image": template.image, "platform": platform, "shadowOf": shadow}
    full_build = known.full_build
    return {
        "name": template.name,
        "image": template.image,
        "directory": str(source.folder),
        "buildArgs": template.build.args,
        "platform": platform,
        "inputsSha256": build.inputs_sha256,
        "rebuild": build.rebuild,
        "fresh": build.fresh,
        "bases": dict(build.bases),
        "request": build.request or "",
        "reason": build.reason,
        "before": build.before,
        "after": build.after,
        "always": template.build.strategy == "Dockerfile",
        "fullBuild": full_build
        and {
            "image": full_build.image,
            "digest": full_build.digest,
            "inputsSha256": full_build.inputs_sha256,
            "inventory": await _inventory(
                parts, full_build.inventory, folder / f"inventory-{template.name}.json"
            ),
        },
        "otherPlatforms": [
            {
                "platform": other,
                "fullBuild": template.build.full_build,
                "known": await _foreign(
                    parts, known.platforms.get(other), folder / f"inventory-{template.name}-{number}.json"
                ),
            }
            for number, other in enumerate(others)
        ],
    }


async def _foreign(parts: Parts, known: PlatformImage | None, file: Path) -> dict[str, str | None] | None:
    if known is None or known.full_build is None:
        return None
    inventory = await _inventory(parts, known.full_build.inventory, file)
    return {"digest": known.full_build.digest, "inventory": inventory}


async def _inventory(parts: Parts, kept: Artifact | None, file: Path) -> str | None:
    """Return where the kept inventory of a full build now is; None when it has to be taken anew."""
    if kept is None:
        return None
    try:
        await _write(file, await parts.records.get_blob(kept))
    except NotFound:
        return None
    return str(file)


def _run(
    parts: Parts, document: WorkspaceRuntime, action: Cascade, *, reads: tuple[Path, ...], folder: Path
) -> Run:
    arguments = (f"--inputs={reads[0]}", f"--out={folder / 'out'}", *parts.engine_arguments)
    index_ca = _index_ca(parts, document)
    secrets = secret_folders(document.spec.registry, parts.settings)
    return Run(
        "cascade",
        arguments,
        {"key": action.key},
        reads=reads,
        writes=(folder / "out",),
        secrets=(*secrets, *((Path(index_ca).parent,) if index_ca else ())),
    )


async def _recorded(  # noqa: PLR0913 -- what was asked for, what came of it, and what was known before
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
    content = await _read(Path(full["inventory"]))
    return await parts.records.put_blob(f"inventory-{build.template}.json", content)


def _with_templates(
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


def _index_ca(parts: Parts, document: WorkspaceRuntime) -> str | None:
    name = document.spec.package.index.ca_secret_name
    file = parts.settings.ca_file(name, field=INDEX_CA)
    return str(file) if file else None


async def _write(path: Path, content: bytes) -> None:
    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    await asyncio.to_thread(write)


async def _read(path: Path) -> bytes:
    return await asyncio.to_thread(path.read_bytes)
