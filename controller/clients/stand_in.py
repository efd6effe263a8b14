"""Where candidates meet the stand-in model: a network of the object's own that leads nowhere else.

Docker drops what leaves an internal network, and with `enable_icc` off what goes from one of its containers to another;
what is left is the network's gateway, an address of this machine, and there the stand-in listens. (The gateway is this
machine, so what else listens at all its addresses is reached there, too.) The network is one per object and reused: an
engine that makes and drops networks while containers come and go loses count of their endpoints (checked on 20.10).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from controller.api.names import LABEL_PROBE
from controller.clients.docker import Conflict, DockerEngine
from controller.clients.to_the_end import to_its_end
from controller.model.errors import NotFound, Problem
from controller.model_server.script import Script

if TYPE_CHECKING:
    from controller.model_server.server import ModelServer

_NO_ICC: Final = {"com.docker.network.bridge.enable_icc": "false"}


@dataclass(frozen=True, slots=True)
class Admission:
    """What a candidate is created with: the network's name, and the environment that leads to the stand-in."""

    network: str
    environment: Mapping[str, str]


class StandIn:
    """The stand-in of one object on one engine; it is there while at least one candidate is."""

    def __init__(self, engine: DockerEngine, owner: str) -> None:
        self.network = f"wsr-probe-{hashlib.sha256(owner.encode()).hexdigest()[:12]}"
        self._engine = engine
        self._owner = owner
        self._server: ModelServer | None = None
        self._candidates = 0
        self._changing = asyncio.Lock()

    @asynccontextmanager
    async def admitting(self, script: Script, environment: Mapping[str, str]) -> AsyncIterator[Admission]:
        """Admit one candidate, which must be gone when the block ends; `environment` is what it is told already.

        Raises:
            Terminal: GateUnreachable, when the network's gateway is no address of this machine.
            Transient, NotFound, Terminal: the engine failed, or refuses the network.
        """
        # A task of its own: a cancellation must not leave a network that the engine is just making.
        entering = asyncio.create_task(self._enter())
        try:
            server = await asyncio.shield(entering)
            with server.admitted(script, environment) as told:
                yield Admission(self.network, told)
        finally:
            await to_its_end(self._leave(entering))

    async def _enter(self) -> ModelServer:
        async with self._changing:
            if self._server is None:
                self._server = await self._open()
            self._candidates += 1
            return self._server

    async def _open(self) -> ModelServer:
        from controller.model_server.server import ModelServer  # noqa: PLC0415 -- a web server: who asks for nothing to be proven need not load it

        server = ModelServer()
        try:
            await server.listen(gateway_of(await self._made()))
        except Problem:
            await self._remove()
            raise
        return server

    async def _leave(self, entering: asyncio.Task[ModelServer]) -> None:
        await asyncio.wait([entering])
        if entering.cancelled() or entering.exception() is not None:
            return
        async with self._changing:
            self._candidates -= 1
            if self._candidates == 0 and self._server is not None:
                server, self._server = self._server, None
                await server.close()
                await self._remove()

    async def _made(self) -> Mapping[str, Any]:
        """Return the network as the engine describes it; a killed run may have left it."""
        with contextlib.suppress(NotFound):
            return await self._inspected()
        with contextlib.suppress(Conflict):  # another run of this object was faster
            await self._engine.call(
                f"create network {self.network}",
                lambda client: client.create_network(
                    self.network,
                    driver="bridge",
                    options=_NO_ICC,
                    check_duplicate=True,
                    internal=True,
                    labels={LABEL_PROBE: self._owner},
                ),
            )
        return await self._inspected()

    async def _inspected(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self._engine.call(
            f"inspect network {self.network}", lambda client: client.inspect_network(self.network)
        )
        return found

    async def _remove(self) -> None:
        # An engine that lost count of the endpoints refuses; the next run finds the network and uses it.
        with contextlib.suppress(Problem):
            await self._engine.call(
                f"remove network {self.network}", lambda client: client.remove_network(self.network)
            )


def gateway_of(network: Mapping[str, Any]) -> str:
    """Return the IPv4 address that a bridge network's host side has.

    An engine names the gateway that it chose itself only until it restarts; it always takes the subnet's first address.
    """
    for config in network["IPAM"]["Config"] or ():
        subnet = ipaddress.ip_network(config["Subnet"], strict=False)
        if subnet.version == 4:  # noqa: PLR2004 -- the version's own number
            return str(config.get("Gateway") or next(subnet.hosts()))
    raise NotFound(f"Network {network['Name']} has no IPv4 address")


async def reaches_bridge(engine: DockerEngine) -> bool:
    """Whether containers on the engine's default bridge are reached from here: the bridge's address is this machine's.

    An engine in a virtual machine, or beside the container that this runs in, has it elsewhere.
    """
    if not engine.is_local:
        return False
    try:
        bridge = await engine.call("inspect network bridge", lambda client: client.inspect_network("bridge"))
        gateway = gateway_of(bridge)
    except Problem:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        try:
            place.bind((gateway, 0))
        except OSError:
            return False
    return True
