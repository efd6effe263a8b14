"""Reaches an engine of another machine over ssh: a child forwards a socket of ours to its socket, and is started anew when it ends.

The engine's protocol needs a connection that passes bytes; nothing of ours has to be on the other machine.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from controller.api.conditions import Reason
from controller.clients._ssh import ssh_command
from controller.model.errors import Terminal, Transient

KEYS: Final = ("ssh-privatekey", "known_hosts")
_USUAL_SOCKET: Final = "/var/run/docker.sock"
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05
_MOST_WORDS: Final = 1 << 16


class SshTunnel:
    """One engine, as `async with SshTunnel("ssh://USER@HOST:PORT/SOCKET", files) as tunnel`; it is at `endpoint`."""

    def __init__(self, address: str, files: Mapping[str, Path], *, named: str) -> None:
        """`files` are those of a Secret by key; `named` says which, for messages.

        Raises:
            Terminal: SecretIncomplete, with the keys that are missing.
        """
        missing = [key for key in KEYS if key not in files]
        if missing:
            raise Terminal(
                Reason.SECRET_INCOMPLETE,
                f"{named}, which has no {' and no '.join(missing)}.",
                fix="Write there a private key without a password, and the host's line as ssh-keyscan prints it, once you have compared it.",
            )
        self._address, self._files = urlsplit(address), files
        self._folder = Path()
        self._keeping: asyncio.Task[None]
        self._said: str | None = None

    @property
    def endpoint(self) -> str:
        """Where the engine is reached on this machine, while the tunnel stands."""
        return f"unix://{self._socket}"

    async def __aenter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="wsr-ssh-"))  # short: a socket's path has about 100 bytes
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def stands(self) -> None:
        """Return when the tunnel stands. Raises Transient, with the words of ssh, when that cannot connect."""
        while not self._socket.exists():
            if self._said is not None:
                raise Transient(f"Could not reach {self._address.netloc} by ssh: {self._said}")
            await asyncio.sleep(_LOOK_SECONDS)

    @property
    def _socket(self) -> Path:
        return self._folder / "engine.sock"

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            self._socket.unlink(missing_ok=True)
            began = time.monotonic()
            words = await self._forward()
            self._socket.unlink(missing_ok=True)
            self._said = words[-1].rstrip(".") if words else "it ended without a word"
            lasted = time.monotonic() - began
            pause = (
                _FIRST_PAUSE_SECONDS
                if lasted > _LONGEST_PAUSE_SECONDS
                else min(2 * pause, _LONGEST_PAUSE_SECONDS)
            )
            await asyncio.sleep(pause)

    async def _forward(self) -> list[str]:
        """Forward until the connection ends; return the lines that ssh wrote."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return [f"there is no ssh here: {error.strerror}"]
        try:
            words = b""
            while process.stderr is not None and (chunk := await process.stderr.read(1024)):
                words = (words + chunk)[-_MOST_WORDS:]
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.shield(process.wait())
        return [line.strip() for line in words.decode(errors="replace").splitlines() if line.strip()]

    def _command(self) -> list[str]:
        at = self._address
        port = ["-p", str(at.port)] if at.port is not None else []
        user = ["-l", at.username] if at.username else []
        forward = f"{self._socket}:{at.path or _USUAL_SOCKET}"
        return [
            *ssh_command(self._files),
            *("-o", "ServerAliveCountMax=2", "-o", "ExitOnForwardFailure=yes"),
            *("-n", "-N", "-T", "-L", forward, *port, *user, "--", at.hostname or ""),
        ]
