"""Builds wheel and sdist of a version from its source, and records them: from then on their bytes are the version."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from builder.contract import BUILDER_VERSION, PackageRun, wheel_requires
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.parts import Parts
from controller.clients.runs import Run
from controller.clients.signing import signed
from controller.model.actions import Package
from controller.model.errors import NotFound
from controller.model.record import ReleaseRecord
from controller.model.record_part import Artifact


async def package(parts: Parts, document: WorkspaceRuntime, action: Package) -> str:
    """Build, prove statically, keep the files, write the record; raises as `Runs.run` and `RecordStore` do.

    Where another run recorded the same version of the same source meanwhile, its record stays.
    """
    source = (await parts.checkouts.used(document.spec.source, action.version)).folder
    commit = await parts.checkouts.commit(document.spec.source, action.version)
    folder = parts.folder / "package" / f"{action.version}-{action.tree_sha256[:16]}"
    run = _run(document, action, source=source, folder=folder, commit=commit)
    report = await parts.runs.run(run, progress=parts.say)
    facts = report.facts
    theirs = await _recorded(parts, action.version)
    if theirs is not None and theirs.tree_sha256 == facts["treeSha256"]:
        return f"{theirs.wheel.file} {theirs.wheel.sha256[:12]}, as another run recorded it"
    built = Path(facts["wheel"]["file"])
    wheel = await _keep(parts, facts["wheel"])
    sdist = await _keep(parts, facts["sdist"])
    record = ReleaseRecord(
        package=document.spec.package.name,
        version=action.version,
        publisher=document.key,
        source_commit=commit,
        tree_sha256=facts["treeSha256"],
        inputs_sha256=run.identity,
        builder_version=facts["builderVersion"],
        wheel=wheel,
        sdist=sdist,
        content_sha256=facts["contentSha256"],
        requires=await asyncio.to_thread(wheel_requires, built),
        recorded_time=datetime.now(UTC),
    )
    await parts.records.put(signed(record, document.spec.package.signing, parts.settings))
    return f"{wheel.file} {wheel.sha256[:12]}"


def _run(
    document: WorkspaceRuntime, action: Package, *, source: Path, folder: Path, commit: str | None
) -> Run:
    wanted = document.spec.package
    given = PackageRun(
        source=source,
        version=action.version,
        out=folder / "tree",
        name=wanted.name,
        module=wanted.module,
        dist=folder / "dist",
        commit=commit,
    )
    inputs = {
        "version": action.version,
        "tree": action.tree_sha256,
        "name": wanted.name,
        "module": wanted.module,
        "commit": commit or "",
        "builder": BUILDER_VERSION,
    }
    return Run("package", given.arguments(), inputs, reads=(source,), writes=(folder / "dist",))


async def _recorded(parts: Parts, version: str) -> ReleaseRecord | None:
    try:
        return await parts.records.get(version)
    except NotFound:
        return None


async def _keep(parts: Parts, fact: Mapping[str, str]) -> Artifact:
    file = Path(fact["file"])
    return await parts.records.put_blob(file.name, await asyncio.to_thread(file.read_bytes))
