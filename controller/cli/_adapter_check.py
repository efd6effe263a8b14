"""What `wsr adapter check` does: one template, in a document of its own, up to the end of the gate; then all of it goes."""

from __future__ import annotations

import asyncio
import secrets as random
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.cli._drive import Goal, drive
from controller.cli.output import Exit
from controller.clients.docker import DockerEngine
from controller.settings import Settings
from controller.standalone.store import read_document

_GOAL: Final = Goal(once=True, until="ImagesBuilt", wait=None)


def check_adapter(directory: Path, file: Path, *, secrets: Path | None) -> int:
    """Take the template in `directory` through the gate with what the document in `file` says; return the exit code.

    Where it fails, the folder that its messages name stays, with the logs.

    Raises:
        Problem: the document, the environment or a Secret is not valid, or the engine does not answer.
    """
    document = read_document(file)
    prefix = f"wsr-check-{random.token_hex(3)}"
    folder = Path(tempfile.mkdtemp(prefix="wsr-check-"))
    alone = folder / "runtime.yaml"
    alone.write_text(yaml.safe_dump(_alone(document, directory, file, prefix)), encoding="utf-8")
    try:
        code = drive(alone, state=folder / "state", secrets=secrets, goal=_GOAL)
    finally:
        asyncio.run(_cleared(_endpoint(document), prefix))
    if code == Exit.DONE:
        shutil.rmtree(folder)
    return code


def _alone(document: WorkspaceRuntime, directory: Path, file: Path, prefix: str) -> dict[str, Any]:
    """Return a document with this template alone, whose images and records are the engine's and have a prefix of their own."""
    base = file.absolute().parent
    spec = document.model_dump(mode="json", by_alias=True, exclude_unset=True)["spec"]
    if "directory" in spec["source"]:
        spec["source"]["directory"] = str(base / spec["source"]["directory"])
    known = {
        (base / each.build.directory).resolve(): given
        for each, given in zip(document.spec.templates, spec["templates"], strict=True)
        if each.build.directory
    }
    given = known.get(directory.resolve(), {"name": directory.resolve().name})
    build = {key: value for key, value in given.get("build", {}).items() if key in {"args", "platforms"}}
    template = {
        **{key: given[key] for key in ("name", "probe", "startDeadlineSeconds") if key in given},
        "image": f"{prefix}/{given['name']}",
        "build": {**build, "directory": str(directory.absolute())},
    }
    host = {"name": "local", "endpoint": _endpoint(document), "containerPrefix": f"{prefix}-"}
    return {
        "apiVersion": document.api_version,
        "kind": document.kind,
        "metadata": {"name": prefix},
        "spec": {
            **{key: spec[key] for key in ("version", "source", "package") if key in spec},
            "registry": {"mode": "Engine", "artifacts": f"{prefix}-records"},
            "templates": [template],
            "targets": {"dockerHosts": [host]},
        },
    }


def _endpoint(document: WorkspaceRuntime) -> str:
    hosts = [
        host.endpoint for host in document.spec.targets.docker_hosts if host.endpoint.startswith("unix:")
    ]
    return hosts[0] if hosts else Settings.of_process().docker_host


async def _cleared(endpoint: str, prefix: str) -> None:
    """Remove the images and the records that were made under this prefix."""
    async with DockerEngine(endpoint, host="local") as engine:
        for tag in await engine.images():
            if tag.startswith(f"{prefix}/"):
                await engine.remove_image(tag)
        if await engine.volume_exists(f"{prefix}-records"):
            await engine.remove_volume(f"{prefix}-records")
