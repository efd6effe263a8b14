"""Carries TCP connections between this machine's loopback and the cluster's network, which have no route to each other.

python -m tests.cluster.forward NAMESPACE [inward=HOST:PORT=HOST:PORT]… [outward=HOST:PORT=HOST:PORT]…

Inward listens here and connects in there; outward the other way round. A socket belongs for all its life to the network
that its thread was in when it was made.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from tests.cluster.network import entered

_CHUNK_BYTES = 1 << 16
Address = tuple[str, int]
Network = Callable[[], AbstractContextManager[None]]


async def main(namespace: Path, *routes: str) -> None:
    """Carry connections until the process ends."""

    def inside() -> AbstractContextManager[None]:
        return entered(namespace)

    servers = []
    for route in routes:
        way, listen, connect = route.split("=")
        here, there = (nullcontext, inside) if way == "inward" else (inside, nullcontext)
        listener = _listener(_address(listen), here)
        servers.append(await asyncio.start_server(_carrier(_address(connect), there), sock=listener))
    await asyncio.gather(*(server.serve_forever() for server in servers))


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _listener(address: Address, network: Network) -> socket.socket:
    with network():
        return socket.create_server(address, backlog=1024)


def _carrier(
    address: Address, network: Network
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with network():
            made = socket.socket()
        made.setblocking(False)  # noqa: FBT003 -- the standard library's
        try:
            await asyncio.get_running_loop().sock_connect(made, address)
        except OSError:
            made.close()
            writer.close()
            return
        other_reader, other_writer = await asyncio.open_connection(sock=made)
        await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))
        for end in (writer, other_writer):
            end.close()

    return carry


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the sender has ended its side, then end the receiver's; one that breaks takes both along."""
    try:
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
