"""The container that a candidate image is booted in: made as production makes one, and gone afterwards in every case."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import secrets
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from controller.api.names import LABEL_PROBE
from controller.clients.candidate import Ended, ModelSide, Sight
from controller.clients.docker import DockerEngine
from controller.clients.stand_in import StandIn, reaches_bridge
from controller.clients.to_the_end import to_its_end
from controller.model.errors import NotFound, Terminal, Transient
from controller.model.probe import (
    CONFIGS,
    Failed,
    ModelUse,
    ProbeOrder,
    ProbeReason,
    ProbeSettings,
    candidate_environment,
)
from controller.model_server.script import Script

KILLED: Final = 137
"""128 and SIGKILL."""
_CONFIGS_VOLUME: Final = [{"Type": "volume", "Target": CONFIGS}]


@asynccontextmanager
async def docker_candidate(
    engine: DockerEngine, order: ProbeOrder, stand_in: StandIn
) -> AsyncIterator[DockerCandidate]:
    """Give the candidate of `order`, whose image the engine must have, not yet started.

    `stand_in` plays its model, except for an order whose `model` is NONE. It goes in every case, also on cancellation;
    what a killed run left of this template's probes goes first.

    Raises:
        Transient, NotFound, Terminal: the engine failed, has no such image, or the stand-in cannot be reached from it.
    """
    await _remove_leftovers(engine, order)
    if order.model is ModelUse.NONE:
        async with _container(engine, order, network=None) as container:
            yield DockerCandidate(engine, container, order.settings)
        return
    script = Script(tools=order.model is ModelUse.REQUIRED)
    async with stand_in.admitting(script, order.settings.environment) as admitted:
        settings = replace(order.settings, environment=admitted.environment)
        order = replace(order, settings=settings)
        async with _container(engine, order, network=admitted.network) as container:
            yield DockerCandidate(engine, container, settings, _OwnModel(script))


@dataclass(frozen=True, slots=True)
class _OwnModel:
    """The stand-in in this process."""

    script: Script

    async def begin(self, turn: int) -> None:
        self.script.turn = turn

    async def seen(self) -> Script:
        return self.script


@dataclass(frozen=True, slots=True)
class DockerCandidate:
    """The `Candidate` in one container."""

    engine: DockerEngine
    container: str
    settings: ProbeSettings
    model: ModelSide | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """See `Candidate`."""
        return self.settings.environment

    async def start(self) -> float:
        """See `Candidate`."""
        begun = asyncio.get_running_loop().time()
        try:
            await self.engine.start(self.container)
        except Terminal as error:
            code = (await self.engine.inspect_container(self.container))["State"]["ExitCode"]
            what = f"could not be started: {error.message}"
            raise Failed(ProbeReason.EXITED_AT_ONCE, what, exit_code=code) from error
        return begun

    async def look(self) -> Sight:
        """See `Candidate`.

        The loopback port comes first, which answers or refuses at once where containers live in a virtual machine too;
        the bridge address is for a caller that is itself a container.
        """
        facts = await self.engine.inspect_container(self.container)
        bound = facts["NetworkSettings"]["Ports"].get(f"{self.settings.port}/tcp") or []
        networks = facts["NetworkSettings"]["Networks"].values()
        return Sight(
            (
                *(f"http://127.0.0.1:{each['HostPort']}" for each in bound if each["HostIp"] == "127.0.0.1"),
                *(
                    f"http://{each['IPAddress']}:{self.settings.port}"
                    for each in networks
                    if each["IPAddress"]
                ),
            ),
            _ended(facts["State"]),
        )

    async def prove_reached(self) -> None:
        """See `Candidate`. An address passes on the moment its container ends: it was its own if it never ended."""

    async def memory_bytes(self) -> int | None:
        """See `Candidate`; as `docker stats` counts it."""
        facts: dict[str, Any] = await self.engine.call(
            f"read the memory use of container {self.container}",
            lambda client: client.stats(self.container, stream=False, one_shot=True),
        )
        memory = facts.get("memory_stats") or {}
        if "usage" not in memory:
            return None
        detail = memory.get("stats") or {}
        cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
        return int(memory["usage"]) - int(cache)

    async def log_tail(self, *, lines: int) -> tuple[str, ...]:
        """See `Candidate`."""
        return await self.engine.log_tail(self.container, lines=lines)


def _ended(state: Mapping[str, Any]) -> Ended | None:
    """Return how a container ended.

    Raises:
        Transient: SIGKILL came from outside, and not for want of memory: from an engine that ends, or another run. No
            process of its own can do that to a container's first one.
    """
    if state["Running"]:
        return None
    code, out_of_memory = int(state["ExitCode"]), bool(state.get("OOMKilled"))
    if code == KILLED and not out_of_memory:
        raise Transient(
            f"The candidate was killed from outside (exit code {KILLED}), which says nothing of it"
        )
    return Ended(code, out_of_memory)


@asynccontextmanager
async def _container(engine: DockerEngine, order: ProbeOrder, *, network: str | None) -> AsyncIterator[str]:
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
        await to_its_end(_remove(engine, creation, made))


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


async def _remove_leftovers(engine: DockerEngine, order: ProbeOrder) -> None:
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
        "Env": [f"{key}={value}" for key, value in candidate_environment(order).items()],
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
        folder = tarfile.TarInfo(CONFIGS.strip("/"))
        folder.type, folder.mode = tarfile.DIRTYPE, 0o777
        tar.addfile(folder)
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder.name}/{name}")
            entry.size, entry.mode = len(content), 0o666
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
