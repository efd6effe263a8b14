"""Runs the CLI once, without a terminal, and hands on what it reports line by line."""

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

LINE_LIMIT_BYTES = 64 << 20
"""One event is one line, also when a tool has said a lot."""
STDERR_LINES = 200
END_SECONDS = 3.0


class GeminiProcess:
    """One run of the CLI; `stderr` is the end of what it wrote there, `code` how it ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self.code: int | None = None

    async def events(self, prompt: str) -> AsyncGenerator[Mapping[str, Any], None]:
        """Give it the prompt and yield its events until it has ended."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        feeding, collecting = asyncio.create_task(self._feed(prompt)), asyncio.create_task(self._collect())
        try:
            async for line in self._process.stdout:
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict):
                        yield event
            self.code = await self._process.wait()
            # A command that it left in the background may hold its stderr open.
            await asyncio.wait({collecting}, timeout=END_SECONDS)
        finally:
            feeding.cancel()
            collecting.cancel()
            await asyncio.gather(feeding, collecting, return_exceptions=True)

    async def _feed(self, prompt: str) -> None:
        # On stdin, since an argument has a limit and every user of the machine can read it.
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(prompt.encode())
            await stdin.drain()
        stdin.close()

    async def _collect(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        async for line in self._process.stderr:
            self.stderr.append(line.decode(errors="replace").rstrip())


@asynccontextmanager
async def running(
    command: Sequence[str], *, settings: Mapping[str, Any], session: str, folder: Path
) -> AsyncIterator[GeminiProcess]:
    """Start the CLI in `folder` with a home of its own, and leave neither the process nor its children nor that home.

    `settings` is the CLI's settings.json, `session` the conversation so far, as a session file.
    """
    with tempfile.TemporaryDirectory(prefix="gemini-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        (home / ".gemini").mkdir()
        (home / ".gemini" / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        (home / "session.json").write_text(session, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *command,
            f"--session-file={home / 'session.json'}",
            cwd=folder,
            env={
                **os.environ,
                "GEMINI_CLI_HOME": name,
                "TMPDIR": name,
                "NO_COLOR": "1",
                "TERM": "xterm-256color",
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT_BYTES,
            start_new_session=True,
        )
        try:
            yield GeminiProcess(process)
        finally:
            await asyncio.shield(_end(process, name))


async def _end(process: asyncio.subprocess.Process, home: str) -> None:
    """End the CLI and what it started: commands of its shell tool are sessions of their own, known by their home."""
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            _signal(process.pid, signal.SIGKILL)
            await process.wait()
    for pid in await asyncio.to_thread(_with_home, home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _with_home(home: str) -> list[int]:
    wanted = f"GEMINI_CLI_HOME={home}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
