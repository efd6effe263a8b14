"""Runs the git program: its environment, its token, and what its words mean in our error taxonomy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from controller.model.errors import Problem, Terminal, Transient

_REFUSED: Final = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|[Pp]ermission (?:to .* )?denied|error: 40[13]\b"
    r"|Repository not found",
)
_UNREACHABLE: Final = re.compile(
    r"unable to access|Could not resolve host|Connection (?:refused|timed out|reset)|Could not read from remote"
    r"|does not appear to be a git repository"
)
_HELPER: Final = '!f() { test "$1" = get || exit 0; printf "username=%s\\npassword=%s\\n" "$WSR_GIT_USER" "$WSR_GIT_TOKEN"; }; f'
TOKEN_USER: Final = "x-access-token"  # noqa: S105 -- a user name
"""The user name that goes with a token alone; hosts that take one look at the token."""
_PUSH_CURE: Final = (
    "Give a token that may push: --token-file FILE or WSR_RELEASE_TOKEN; what a workflow pushes with its own "
    "GITHUB_TOKEN starts no other workflow."
)


class GitFailed(Terminal):
    """Git said no; `said` is all that it said, without secrets. Who knows better what it means says so instead."""

    def __init__(self, said: str) -> None:
        super().__init__("GitRefused", f"Git refuses: {_because(said)}.", fix="Correct what git names.")
        self.said = said


def credentials(
    url: str, token: str | None, environment: Mapping[str, str], *, user: str = TOKEN_USER
) -> dict[str, str]:
    """Return what makes git give `token` to the remote's own address and to no other, and nothing else there."""
    if token is None or "://" not in url:
        return {}
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    # An empty value forgets what the user's configuration, or a checkout in a workflow, has set before.
    settings = [
        (f"credential.{origin}.helper", ""),
        (f"credential.{origin}.helper", _HELPER),
        (f"http.{origin}/.extraHeader", ""),
    ]
    return {"WSR_GIT_USER": user, "WSR_GIT_TOKEN": token, **configured(settings, environment)}


def configured(settings: Sequence[tuple[str, str]], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that give git `settings` beside those that `environment` gives it already."""
    first = int(environment.get("GIT_CONFIG_COUNT", "0"))
    more = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for number, (key, value) in enumerate(settings, start=first):
        more |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return more


def translated(what: str, said: str) -> Problem:
    because = _because(said)
    if "[rejected]" in said:
        return Terminal(
            "PushRefused",
            f"{what}: it has moved on since it was fetched.",
            fix="Run it again, on an up-to-date checkout.",
        )
    if _REFUSED.search(said):
        return Terminal("CredentialsMissing", f"{what}: {because}.", fix=_PUSH_CURE)
    if _UNREACHABLE.search(said):
        return Transient(f"{what}: {because}.")
    return Terminal("GitRefused", f"{what}: {because}.", fix="Correct what git names.")


def _because(said: str) -> str:
    """Return the line that says why."""
    lines = said.splitlines()
    return next(
        (line for line in lines if line.startswith(("fatal:", "error:", "remote:", " ! "))), said
    ).rstrip(" .")


async def execute(
    arguments: Sequence[str], *, environment: Mapping[str, str] | None, seconds: float, stdin: bytes = b""
) -> tuple[int, str, str]:
    """Run git and return its exit code and what it wrote; raises as `executed`."""
    code, out, err = await executed(arguments, environment=environment, seconds=seconds, stdin=stdin)
    return code, out.decode(errors="replace"), err


async def executed(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None,
    seconds: float,
    stdin: bytes = b"",
    alone: bool = False,
) -> tuple[int, bytes, str]:
    """Run git and return its exit code, the bytes that it wrote and what it said.

    `alone` puts it and all that it starts (transports, ssh) into a session of their own, without a terminal, which is
    ended as a whole: no child of a child is left behind.

    Raises:
        Terminal: there is no git.
        Transient: it takes too long.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=alone,
        )
    except OSError as error:
        raise Terminal("Invalid", f"git cannot be run: {error.strerror}.", fix="Install git.") from error
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        await _end(process, alone=alone)
        raise Transient(f"git did not end within {seconds:g} s.") from None
    except asyncio.CancelledError:
        await _end(process, alone=alone)
        raise
    return process.returncode or 0, out, err.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process, *, alone: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        if alone:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    await process.wait()
    if alone:
        await asyncio.to_thread(_reap, process.pid)


def _reap(group: int) -> None:
    """Take note of the ends of children's children: they are ours where we are the first process, as in a container."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)
