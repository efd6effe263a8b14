"""Boots an installed wheel as production does and talks to it: what only fails in a running process fails here.

The process gets the environment of a workspace container and nothing of ours, a working directory that has nothing to do
with the package, and the echo adapter, which needs no model.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import socket
import sys
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp

from builder.findings import Finding

TURN_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.05
_CARD_PATH: Final = "/.well-known/agent-card.json"
_HEADERS: Final = {"A2A-Version": "1.0"}
_LOG_LINES: Final = 20
_SHOWN: Final = 400
_CONFIG: Final = "name: verify\na2a: {host: 127.0.0.1}\n"
"""On loopback only: nobody else is to talk to a process that is not proven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootOrder:
    """What to boot and what it must say it is; `deadline_seconds` is for the start, and again for the stop."""

    script: Path
    module: str
    version: str
    content_sha256: str
    deadline_seconds: float


class _Failed(Exception):  # noqa: N818 -- an outcome on its way out, not an error
    def __init__(self, rule: str, what: str) -> None:
        super().__init__(what)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class _Booted:
    process: asyncio.subprocess.Process
    url: str
    log: Path


async def examine_boot(order: BootOrder, folder: Path) -> list[Finding]:
    """Boot, ask who it is, hold two turns, stop; return the first thing that went wrong.

    `folder` is empty and for this alone. The process and all that it started are gone afterwards, whatever happened.
    """
    booted = await _start(order, folder)
    try:
        async with aiohttp.ClientSession(headers=_HEADERS) as session:
            await _await_card(session, booted, order.deadline_seconds)
            await _check_identity(session, booted, order)
            await _converse(session, booted)
        await _stop(booted.process, order.deadline_seconds)
    except _Failed as failed:
        return [_finding(failed, booted.log.read_text(errors="replace"), order.module)]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(booted.process.pid, signal.SIGKILL)
        await booted.process.wait()
    return []


async def _start(order: BootOrder, folder: Path) -> _Booted:
    (elsewhere := folder / "elsewhere").mkdir()
    (configs := folder / "configs").mkdir()
    (configs / "config.yaml").write_text(_CONFIG)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(elsewhere),
        "ADAPTER_MODULE": f"{order.module}.adapters.echo",
        "WORKSPACE_ID": "verify",
        "WORKSPACE_CONFIG_PATH": str(configs),
        "WORKSPACE_CONTROL_SOCKET": str(folder / "control.sock"),
        "PORT": str(port),
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            str(order.script),
            cwd=elsewhere,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return _Booted(process, f"http://127.0.0.1:{port}", log)


async def _await_card(session: aiohttp.ClientSession, booted: _Booted, seconds: float) -> None:
    last = "nothing listens"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                if booted.process.returncode is not None:
                    raise _Failed("BootFailed", f"{_ended(booted.process)} before it served its agent card")
                try:
                    await _ask(session, "GET", booted.url + _CARD_PATH)
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(_PAUSE_SECONDS)
                except _Unexpected as answer:
                    last = str(answer)
                    await asyncio.sleep(_PAUSE_SECONDS)
                else:
                    return
    raise _Failed("BootFailed", f"served no agent card within {seconds:g} s; the last attempt: {last}")


async def _check_identity(session: aiohttp.ClientSession, booted: _Booted, order: BootOrder) -> None:
    try:
        async with asyncio.timeout(TURN_SECONDS):
            said = await _ask(session, "GET", f"{booted.url}/runtime")
    except (_Unexpected, aiohttp.ClientError, TimeoutError) as error:
        raise _Failed("IdentityMismatch", f"does not tell its version: {_words(error)}") from error
    for name, wanted in (("version", order.version), ("contentSha256", order.content_sha256)):
        if said.get(name) != wanted:
            raise _Failed("IdentityMismatch", f"reports {name} {said.get(name)!r} instead of {wanted!r}")


async def _converse(session: aiohttp.ClientSession, booted: _Booted) -> None:
    """Say a word that nothing can have seen before, and let it be recalled in the same conversation."""
    word = secrets.token_hex(8)
    context: str | None = None
    for number, text in enumerate((word, "recall"), 1):
        try:
            async with asyncio.timeout(TURN_SECONDS):
                answer, context = await _say(session, booted.url, text, context)
        except (_Unexpected, aiohttp.ClientError, TimeoutError) as error:
            raise _Failed("TurnFailed", f"failed turn {number} of 2: {_words(error)}") from error
        if word not in answer:
            raise _Failed(
                "TurnFailed",
                f"failed turn {number} of 2: to {text!r} it answered {answer[:_SHOWN]!r}, without {word!r}",
            )


async def _say(session: aiohttp.ClientSession, url: str, text: str, context: str | None) -> tuple[str, str]:
    """Send one message (A2A 1.0, JSON-RPC binding) and return the text of the completed task, and its context."""
    message = {"messageId": uuid.uuid4().hex, "role": "ROLE_USER", "parts": [{"text": text}]}
    if context:
        message["contextId"] = context
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    answer = await _ask(session, "POST", f"{url}/", call)
    try:
        task = answer["result"]["task"]
        if task["status"]["state"] != "TASK_STATE_COMPLETED":
            raise _Unexpected(f"the task ended as {task['status']['state']}")
        parts = [part for artifact in task["artifacts"] for part in artifact["parts"]]
        return "".join(str(part.get("text", "")) for part in parts), str(task["contextId"])
    except (KeyError, TypeError, AttributeError) as error:
        raise _Unexpected(f"the answer holds no completed task: {str(answer)[:_SHOWN]}") from error


class _Unexpected(Exception):  # noqa: N818 -- what it is about, not that it is an error
    """An answer that is not what was asked for; `str()` says what it is."""


async def _ask(session: aiohttp.ClientSession, method: str, url: str, body: object = None) -> dict[str, Any]:
    async with session.request(method, url, json=body, allow_redirects=False) as answer:
        text = await answer.text(errors="replace")
        try:
            document = await answer.json(content_type=None) if answer.status == HTTPStatus.OK else None
        except ValueError:
            document = None
    if not isinstance(document, dict):
        path = url.partition("://")[2].partition("/")[2]
        raise _Unexpected(f"{method} /{path} answered {answer.status} {text[:_SHOWN]!r}")
    return document


async def _stop(process: asyncio.subprocess.Process, seconds: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        raise _Failed("StopFailed", f"still runs {seconds:g} s after SIGTERM") from None
    if process.returncode:
        raise _Failed("StopFailed", f"{_ended(process)} after SIGTERM")


def _ended(process: asyncio.subprocess.Process) -> str:
    code = process.returncode or 0
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _words(error: Exception) -> str:
    return str(error) or f"no answer within {TURN_SECONDS:g} s"


def _finding(failed: _Failed, log: str, module: str) -> Finding:
    """Place a failure where the last traceback left the package, else at its entry, and keep the last words."""
    frames = re.findall(rf'File "[^"]*/({re.escape(module)}/[^"]+)", line (\d+)', log)
    path, line = frames[-1] if frames else (f"{module}/main.py", "0")
    lines = [text for text in log.splitlines() if text.strip()][-_LOG_LINES:]
    for text in lines:
        sys.stderr.write(f"  {text}\n")
    words = f"; its last words: {lines[-1].strip()[:_SHOWN]}" if lines else ""
    return Finding(path, int(line), failed.rule, f"The process {failed}{words}.")
