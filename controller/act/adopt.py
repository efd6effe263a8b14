"""Takes over a version that the index already serves: its bytes are the version, its source is not read."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from builder.contract import VerifyRun, wheel_requires
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.parts import Parts
from controller.clients.runs import Run
from controller.clients.signing import signed
from controller.model.actions import Adopt
from controller.model.errors import Terminal, Transient
from controller.model.package import IndexFile
from controller.model.record import ReleaseRecord


async def adopt(parts: Parts, document: WorkspaceRuntime, action: Adopt) -> str:
    """Download the wheel, prove it like one of our own, and record it as published; one that is recorded is only noted as such.

    A yanked one is taken, too: a document asks for exactly one version, as `==` does (PEP 592), and it is said.

    Raises:
        Terminal: the index serves no usable wheel of this version, or one that fails the proof.
        Transient: the index was away, or serves the version no longer.
    """
    wanted = document.spec.package
    release = await parts.index.release(wanted.name, action.version)
    if release is None:
        raise Transient(f"The index no longer serves {wanted.name} {action.version}")
    if release.wheel is None:
        raise Terminal(
            "AdoptRefused",
            f"The index serves {wanted.name} {action.version} without one wheel that installs everywhere.",
            fix="Choose another version, or upload the missing wheel.",
        )
    served, now = release.wheel.sha256 or "", datetime.now(UTC)
    known = (await parts.records.records({action.version})).get(action.version)
    if known is not None and known.wheel.sha256 == served:
        # Another object built it and is about to note this itself: its record says more, and it stays the publisher.
        await parts.amend(action.version, lambda current: current.published(now), wheel_sha256=served)
        return f"{known.wheel.file} {served[:12]}, as it is recorded and as the index serves it"
    wheel = await _keep(parts, release.wheel)
    sdist = await _keep(parts, release.sdist) if release.sdist else None
    # its boot is the gate's, in each template's image
    given = VerifyRun(
        wheel=wheel, name=wanted.name, module=wanted.module, version=action.version, static=True
    )
    run = Run("verify", given.arguments(), {"wheel": served}, reads=(wheel,))
    report = await parts.runs.run(run, progress=parts.say)
    record = ReleaseRecord(
        package=wanted.name,
        version=action.version,
        publisher=document.key,
        wheel=await parts.records.put_blob(wheel.name, await asyncio.to_thread(wheel.read_bytes)),
        sdist=await parts.records.put_blob(sdist.name, await asyncio.to_thread(sdist.read_bytes))
        if sdist
        else None,
        content_sha256=report.facts["contentSha256"],
        requires=await asyncio.to_thread(wheel_requires, wheel),
        published_time=now,
        recorded_time=now,
    )
    await parts.records.put(signed(record, wanted.signing, parts.settings))
    yanked = (
        "; it was yanked there, and is taken because exactly it is asked for" if release.wheel.yanked else ""
    )
    return f"{wheel.name} {record.wheel.sha256[:12]}, as the index serves it{yanked}"


async def _keep(parts: Parts, file: IndexFile) -> Path:
    content = await parts.index.download(file)
    path = parts.folder / "adopt" / file.name
    await asyncio.to_thread(_write, path, content)
    return path


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
