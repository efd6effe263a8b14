"""The container that a candidate image is booted in: made as production makes one, and gone afterwards in every case."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import secrets
import tarfile
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from controller.api.names import LABEL_PROBE
from controller.clients.docker import DockerEngine
from controller.clients.stand_in import reaches_bridge
from controller.model.errors import NotFound
from controller.model.probe import ProbeOrder, ProbeSettings

_CONFIGS: Final = "/configs"
_CONFIGS_VOLUME: Final = [{"Type": "volume", "Target": _CONFIGS}]


@asynccontextmanager
async def candidate_container(
    engine: DockerEngine, order: ProbeOrder, *, network: str | None
) -> AsyncIterator[str]:
    """Give the created container, with its files in place; remove it afterwards whatever happened.

    `network` is the one that it is alone on; None is the engine's default. There it gets a port on this machine's
    loopback unless its address is reached from here: that costs the engine a process and a handful of filter rules.
    """
    made: list[str] = []
    # A task of its own: a cancellation must not leave a container that the engine is just making.
    creation = asyncio.create_task(_create(engine, order, network, made))
    try:
        yield await asyncio.shield(creation)
    finally:
        await _whatever_happens(_remove(engine, creation, made))


async def _create(engine: DockerEngine, order: ProbeOrder, network: str | None, made: list[str]) -> str:
    """Create the candidate; every container goes to the front of `made` as soon as it exists.

    `/configs` is a volume without a name, so it goes with the last container that has it. Only through a writable
    root can the folder of a volume itself be made writable for any user: where the candidate's is read-only, the volume
    belongs to a second container that never runs.
    """
    body = _candidate_body(order, network, published=network is None and not await reaches_bridge(engine))
    if order.settings.read_only_root:
        holder = await _create_with_files(engine, order, _holder_body(order), made)
        body["HostConfig"]["VolumesFrom"] = [holder]
        made.insert(0, await engine.create_container(_name(order), body))
        return made[0]
    body["HostConfig"]["Mounts"] = _CONFIGS_VOLUME
    return await _create_with_files(engine, order, body, made)


async def _create_with_files(
    engine: DockerEngine, order: ProbeOrder, body: Mapping[str, Any], made: list[str]
) -> str:
    container = await engine.create_container(_name(order), body)
    made.insert(0, container)
    archive = _archive(order.settings.files)
    await engine.call(
        "write the probe's configuration", lambda client: client.put_archive(container, "/", archive)
    )
    return container


def _name(order: ProbeOrder) -> str:
    return f"wsr-probe-{order.template}-{secrets.token_hex(4)}"


async def _remove(engine: DockerEngine, creation: asyncio.Task[str], made: list[str]) -> None:
    await asyncio.wait([creation])
    for container in made:
        with contextlib.suppress(NotFound):
            await engine.remove(container, anonymous_volumes=True, force=True)


async def _whatever_happens(cleaning: Coroutine[object, object, None]) -> None:
    task = asyncio.create_task(cleaning)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def remove_leftovers(engine: DockerEngine, order: ProbeOrder) -> None:
    """Remove probes of this template and object that a killed run left; one template is probed once at a time."""
    ours = re.compile(rf"wsr-probe-{re.escape(order.template)}-[0-9a-f]{{8}}")
    for container in await engine.containers():
        if container.labels.get(LABEL_PROBE) == order.owner and ours.fullmatch(container.name):
            with contextlib.suppress(NotFound):
                await engine.remove(container.id, anonymous_volumes=True, force=True)


def _holder_body(order: ProbeOrder) -> dict[str, Any]:
    return {
        "Image": order.image,
        "Labels": {LABEL_PROBE: order.owner},
        "HostConfig": {"Mounts": _CONFIGS_VOLUME, "NetworkMode": "none"},
    }


def _candidate_body(order: ProbeOrder, network: str | None, *, published: bool) -> dict[str, Any]:
    """Return the create request: production's settings, and nothing that outlives the container."""
    settings: ProbeSettings = order.settings
    environment = {
        "WORKSPACE_ID": f"probe-{order.template}",
        "WORKSPACE_CONFIG_PATH": _CONFIGS,
        **settings.environment,
    }
    port = f"{settings.port}/tcp"
    host: dict[str, Any] = {
        "RestartPolicy": {"Name": "no"},
        "ReadonlyRootfs": settings.read_only_root,
        "Memory": settings.memory_bytes or 0,
        "NanoCpus": settings.nano_cpus or 0,
        **(_only(network) if network else {}),
        **({"PortBindings": {port: [{"HostIp": "127.0.0.1", "HostPort": ""}]}} if published else {}),
    }
    if settings.read_only_root:
        host["Tmpfs"] = {"/tmp": "mode=1777", "/run": "mode=1777"}  # noqa: S108 -- a mount point in the container
    return {
        "Image": order.image,
        "Env": [f"{key}={value}" for key, value in environment.items()],
        "Labels": {LABEL_PROBE: order.owner},
        "ExposedPorts": {port: {}},
        "HostConfig": host,
        **({"User": settings.user} if settings.user else {}),
    }


def _only(network: str) -> dict[str, Any]:
    """Return what puts a container on a network that leads nowhere.

    No name can be resolved from there. Without a name server of its own it would ask one that it cannot reach for ten
    seconds, which frameworks that report home at their start would wait for; so it gives up after one.
    """
    return {"NetworkMode": network, "Dns": ["127.0.0.1"], "DnsOptions": ["timeout:1", "attempts:1"]}


def _archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar whose `/configs` any user of the image may read and write, as in production."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        folder = tarfile.TarInfo(_CONFIGS.strip("/"))
        folder.type, folder.mode = tarfile.DIRTYPE, 0o777
        tar.addfile(folder)
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder.name}/{name}")
            entry.size, entry.mode = len(content), 0o666
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
