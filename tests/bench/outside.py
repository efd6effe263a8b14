"""An outside client that asks workspaces each 20 ms, as a user would who never stops: a process of its own.

python -m tests.bench.outside PORT… prints, when its input ends, the longest gap in seconds at each port as JSON.
"""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.parts.ground import REPOSITORY

EVERY_SECONDS = 0.02
ANSWER_SECONDS = 1.0
_STATUS_LINE_BYTES = 64
_REQUEST = b"GET /runtime HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Gaps:
    """The answers of one port. A gap is what lies between the last answer before a failure and the first one after."""

    longest: float = 0.0
    _last: float | None = None
    _failed: bool = False

    def note(self, asked: float, *, answered: bool) -> None:
        """Take in one attempt, begun at `asked`."""
        if not answered:
            self._failed = True
            return
        if self._failed and self._last is not None:
            self.longest = max(self.longest, asked - self._last)
        self._last, self._failed = asked, False


@dataclass
class Watch:
    """What an outside client saw; filled when it has ended: seconds by port, 0 where nothing was missed."""

    gaps: dict[int, float] = field(default_factory=dict)


@contextmanager
def watching(ports: Sequence[int]) -> Iterator[Watch]:
    """Let an outside client ask at these ports while the block runs."""
    watch = Watch()
    command = [sys.executable, "-m", __name__, *map(str, ports)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as client:
        try:
            assert client.stdout is not None
            client.stdout.readline()  # it has asked everywhere once
            yield watch
            out, _ = client.communicate()
        finally:
            client.kill()
    watch.gaps = {int(port): seconds for port, seconds in json.loads(out).items()}


async def _follow(port: int, gaps: Gaps) -> None:
    while True:
        asked = await _attempt(port, gaps)
        await asyncio.sleep(max(0.0, asked + EVERY_SECONDS - time.monotonic()))


async def _attempt(port: int, gaps: Gaps) -> float:
    asked = time.monotonic()
    gaps.note(asked, answered=await _answers(port))
    return asked


async def _answers(port: int) -> bool:
    """One request by plain socket calls: an asking that costs much would slow down what it looks at."""
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await loop.sock_connect(connection, ("127.0.0.1", port))
                await loop.sock_sendall(connection, _REQUEST)
                return b" 200 " in await loop.sock_recv(connection, _STATUS_LINE_BYTES)
        except (OSError, TimeoutError):
            return False


async def _main(ports: Sequence[int]) -> None:
    seen = {port: Gaps() for port in ports}
    # the first answers count: the next attempt may already meet a container that is being replaced
    await asyncio.gather(*(_attempt(port, gaps) for port, gaps in seen.items()))
    sys.stdout.write("asking\n")
    sys.stdout.flush()
    tasks = [asyncio.create_task(_follow(port, gaps)) for port, gaps in seen.items()]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    sys.stdout.write(json.dumps({port: round(gaps.longest, 4) for port, gaps in seen.items()}) + "\n")


if __name__ == "__main__":
    asyncio.run(_main([int(port) for port in sys.argv[1:]]))
