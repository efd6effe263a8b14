"""Runs Buildah for a builder in another container: steps of a Dockerfile are strangers, and theirs is to hold nothing secret.

`python -m builder.steps SOCKET` takes one command on each connection, in a container that has no credential; `Steps` is the
other end. A line of JSON asks, `{"command": [...], "environment": {...}}`; lines of JSON answer, `{"stdout": BASE64}` and
`{"stderr": BASE64}` as they come, `{"exit": CODE}` at last. A caller that goes ends its command.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from builder.engine import EngineUnavailable

Stream = Literal["stdout", "stderr"]

_LINE_BYTES: Final = 4 * 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_BEGIN_SECONDS: Final = 60.0


class Steps:
    """Where steps are run: the process behind a Unix socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def call(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        told: Callable[[Stream, bytes], object],
    ) -> int:
        """Run a command there to its end and return its exit code; `told` gets all that it says.

        Raises:
            EngineUnavailable: nobody is there, or no more.
        """
        reader, writer = await self._connected()
        try:
            asked = {"command": list(command), "environment": dict(environment)}
            writer.write(json.dumps(asked).encode() + b"\n")
            while line := await reader.readline():
                answer: dict[str, Any] = json.loads(line)
                if "exit" in answer:
                    return int(answer["exit"])
                for stream in ("stdout", "stderr"):
                    if stream in answer:
                        told(stream, base64.b64decode(answer[stream]))
        except (OSError, ValueError) as error:
            raise _gone(command) from error
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        raise _gone(command)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; the other container may still be on its way."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _BEGIN_SECONDS
        while True:
            try:
                return await asyncio.open_unix_connection(self._socket, limit=_LINE_BYTES)
            except OSError as error:
                if loop.time() >= deadline:
                    raise EngineUnavailable(
                        f"Nobody runs steps behind {self._socket}: {error.strerror}."
                    ) from error
            await asyncio.sleep(0.05)


def _gone(command: Sequence[str]) -> EngineUnavailable:
    return EngineUnavailable(f"What ran {command[0]} went away before it ended.")


async def serve(socket: Path) -> None:
    """Run what is asked for until SIGTERM."""
    told_to_end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_end.set)
    async with await asyncio.start_unix_server(_answer, socket, limit=_LINE_BYTES):
        await told_to_end.wait()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
        asked = json.loads(await reader.readuntil(b"\n"))
        child = await asyncio.create_subprocess_exec(
            *asked["command"],
            env={**os.environ, **asked["environment"]},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        goes = asyncio.create_task(reader.read())  # a caller says nothing more: what ends this is its going
        ends = asyncio.create_task(_told(child, writer))
        try:
            await asyncio.wait((goes, ends), return_when=asyncio.FIRST_COMPLETED)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            for task in (goes, ends):
                task.cancel()
            await asyncio.gather(goes, ends, return_exceptions=True)
            await child.wait()
    writer.close()


async def _told(child: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
    async def follow(stream: Stream, source: asyncio.StreamReader | None) -> None:
        while source is not None and (chunk := await source.read(_CHUNK_BYTES)):
            await tell({stream: base64.b64encode(chunk).decode()})

    async def tell(answer: Mapping[str, object]) -> None:
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()

    await asyncio.gather(follow("stdout", child.stdout), follow("stderr", child.stderr))
    await tell({"exit": await child.wait()})


def main(socket: Path) -> None:
    """Serve at a socket, also where one was left by a container that ended."""
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    asyncio.run(serve(socket))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
