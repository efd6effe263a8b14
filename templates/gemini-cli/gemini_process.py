"""Runs the CLI once, without a terminal, and hands on what it reports line by line."""

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

OUTPUT, ERRORS = "output", "errors"
"""Files in its home, and no pipes: what a full pipe has not taken yet when the CLI exits is lost, and it exits with 0."""
ERRORS_BYTES = 64 << 10
PAUSE_SECONDS = 0.02
END_SECONDS = 3.0


class GeminiProcess:
    """One run of the CLI; once it has ended, `code` says how, and `errors` is the end of what it complained of."""

    def __init__(self, process: asyncio.subprocess.Process, home: Path) -> None:
        self._process, self._home = process, home
        self.errors: Sequence[str] = ()
        self.code: int | None = None

    async def events(self) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield its events as it writes them, until it has ended."""
        async for line in self._lines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event
        self.code = self._process.returncode
        self.errors = _end_of(self._home / ERRORS)

    async def _lines(self) -> AsyncGenerator[bytes, None]:
        line = bytearray()
        with (self._home / OUTPUT).open("rb") as output:
            while True:
                # Asked before reading, so that what it wrote last is read.
                ended = self._process.returncode is not None
                while piece := output.readline():
                    line += piece
                    if line.endswith(b"\n"):
                        yield bytes(line)
                        line.clear()
                if ended:
                    break
                await asyncio.sleep(PAUSE_SECONDS)
        yield bytes(line)


@asynccontextmanager
async def running(
    command: Sequence[str], *, settings: Mapping[str, Any], session: str, prompt: str, folder: Path
) -> AsyncIterator[GeminiProcess]:
    """Start the CLI in `folder` with a home of its own, and leave neither the process nor its children nor that home.

    `settings` is the CLI's settings.json, `session` the conversation so far, as a session file. The prompt goes to its
    stdin, since an argument has a limit and every user of the machine can read it.
    """
    with tempfile.TemporaryDirectory(prefix="gemini-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        (home / ".gemini").mkdir()
        (home / ".gemini" / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        (home / "session.json").write_text(session, encoding="utf-8")
        (home / "prompt").write_text(prompt, encoding="utf-8")
        with (
            (home / "prompt").open("rb") as stdin,
            (home / OUTPUT).open("wb") as stdout,
            (home / ERRORS).open("wb") as stderr,
        ):
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
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        try:
            yield GeminiProcess(process, home)
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


def _end_of(file: Path) -> Sequence[str]:
    with file.open("rb") as lines:
        lines.seek(max(0, file.stat().st_size - ERRORS_BYTES))
        return lines.read().decode(errors="replace").splitlines()


def _with_home(home: str) -> list[int]:
    wanted = f"GEMINI_CLI_HOME={home}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
