"""Boots one candidate image as production would and lets it answer two turns: the gate before publication.

An import smoke test is green for images whose first task fails; only a turn runs the adapter's own path, and only
a second turn in the same context shows that a conversation goes on. A probe decides nothing but how it turned out.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from controller.act._candidate import candidate_container, remove_leftovers
from controller.clients.a2a import Agent, TurnFailed
from controller.clients.docker import DockerEngine
from controller.model.errors import NotFound, Terminal, Transient
from controller.model.probe import ProbeFailed, ProbeOrder, ProbePassed, ProbeReason
from controller.model.redaction import redact, secret_values

CONFIGURATION_EXIT_CODE: Final = 78
"""EX_CONFIG of sysexits.h: how the runtime ends when its owner must change something."""
LOG_LINES: Final = 20
_KILLED: Final = 128 + signal.SIGKILL

_LINE_LIMIT: Final = 500
_MESSAGE_LIMIT: Final = 600
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 0.5
_PAUSE_GROWTH: Final = 1.15
_END_NOTICED_SECONDS: Final = 2.0
_CARD_SECONDS: Final = 10.0
"""How long one request for card or status may take: a booting process may accept and not answer yet."""


class _Failed(Exception):  # noqa: N818 -- an outcome on its way out, not an error
    def __init__(self, reason: ProbeReason, what: str, *, exit_code: int | None = None) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class _Booted:
    agent: Agent
    seconds: float


async def probe(engine: DockerEngine, order: ProbeOrder) -> ProbePassed | ProbeFailed:
    """Boot `order.image`, which the engine must have, and say whether it passes.

    The container goes in every case, also on cancellation; what a killed run left of this template's probes goes
    first.

    Raises:
        Transient, NotFound, Terminal: the engine failed, or has no such image; nothing is known of the candidate.
    """
    await remove_leftovers(engine, order)
    async with candidate_container(engine, order) as container, aiohttp.ClientSession() as session:
        try:
            booted = await _boot(engine, container, order, session)
            await _check_identity(booted.agent, order)
            turns = await _converse(engine, container, booted.agent, order)
            memory = await _memory_bytes(engine, container)
        except _Failed as failed:
            return await _report(engine, container, order, failed)
    return ProbePassed(order.template, booted.seconds, turns, memory)


async def _boot(
    engine: DockerEngine, container: str, order: ProbeOrder, session: aiohttp.ClientSession
) -> _Booted:
    """Start the process and wait until it serves its card."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    try:
        await engine.start(container)
    except Terminal as error:
        code = (await engine.inspect_container(container))["State"]["ExitCode"]
        raise _Failed(
            ProbeReason.EXITED_AT_ONCE, f"could not be started: {error.message}", exit_code=code
        ) from error
    pause = _FIRST_PAUSE_SECONDS
    last = "nothing listens"
    while (left := begun + order.start_deadline_seconds - clock()) > 0:
        for url in await _addresses(engine, container, order.settings.port):
            agent = Agent(session, url)
            try:
                async with asyncio.timeout(min(_CARD_SECONDS, left)):
                    await agent.card()
            except (Transient, NotFound, TimeoutError) as error:
                last = str(error) or "a connection without an answer"
            except Terminal as error:
                last = error.message
            else:
                return _Booted(agent, clock() - begun)
        await asyncio.sleep(pause)
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
    raise _Failed(
        ProbeReason.NEVER_READY,
        f"served no agent card within {order.start_deadline_seconds:g} s; the last attempt: {last}",
    )


async def _addresses(engine: DockerEngine, container: str, port: int) -> list[str]:
    """Return where the container may be reached now.

    The loopback port first, which answers or refuses at once where containers live in a virtual machine too; the
    bridge address for a caller that is itself a container.

    Raises:
        _Failed: its process has ended.
    """
    facts = await engine.inspect_container(container)
    _require_running(facts["State"], before="it was ready")
    bound = facts["NetworkSettings"]["Ports"].get(f"{port}/tcp") or []
    networks = facts["NetworkSettings"]["Networks"].values()
    return [
        *(f"http://127.0.0.1:{binding['HostPort']}" for binding in bound if binding["HostIp"] == "127.0.0.1"),
        *(f"http://{network['IPAddress']}:{port}" for network in networks if network["IPAddress"]),
    ]


def _require_running(state: Mapping[str, Any], *, before: str) -> None:
    if state["Running"]:
        return
    _blame_nobody_for_a_kill(state)
    code = int(state["ExitCode"])
    killed = " because it ran out of memory" if state.get("OOMKilled") else ""
    if code == CONFIGURATION_EXIT_CODE:
        raise _Failed(
            ProbeReason.BAD_CONFIGURATION,
            f"ended with exit code {code} before {before}: it says that its configuration is wrong",
            exit_code=code,
        )
    raise _Failed(
        ProbeReason.EXITED_AT_ONCE, f"ended with exit code {code}{killed} before {before}", exit_code=code
    )


def _blame_nobody_for_a_kill(state: Mapping[str, Any]) -> None:
    """Let a candidate be tried again that somebody killed: no process of its own can do that to a container's first one.

    Raises:
        Transient: SIGKILL came from outside, and not for want of memory: an engine that ends, or another run.
    """
    if not state["Running"] and int(state["ExitCode"]) == _KILLED and not state.get("OOMKilled"):
        raise Transient(
            f"The candidate was killed from outside (exit code {_KILLED}), which says nothing of it"
        )


async def _check_identity(agent: Agent, order: ProbeOrder) -> None:
    """Read the process's own word on what it runs: the only thing that counts."""
    try:
        async with asyncio.timeout(_CARD_SECONDS):
            report = await agent.runtime()
    except (Transient, NotFound, Terminal, TimeoutError) as error:
        said = str(error) or f"no answer in {_CARD_SECONDS:g} s"
        raise _Failed(ProbeReason.WRONG_VERSION, f"does not tell its version: {said}") from error
    for name, wanted in (("version", order.version), ("contentSha256", order.content_sha256)):
        if report.get(name) != wanted:
            raise _Failed(
                ProbeReason.WRONG_VERSION, f"reports {name} {report.get(name)!r} instead of {wanted!r}"
            )


async def _converse(
    engine: DockerEngine, container: str, agent: Agent, order: ProbeOrder
) -> tuple[float, float]:
    """Let it answer two turns of one context; return the seconds of each."""
    clock = asyncio.get_running_loop().time
    context: str | None = None
    seconds = []
    for number in (1, 2):
        begun = clock()
        # A fresh nonce each time: no cache and no canned answer can have seen this question.
        text = f"This is a check. Please repeat this word: {secrets.token_hex(8)}"
        try:
            async with asyncio.timeout(order.turn_deadline_seconds):
                answer = await agent.send(text, context_id=context)
        except TimeoutError as error:
            what = f"gave no answer in turn {number} of 2 within {order.turn_deadline_seconds:g} s"
            raise _Failed(ProbeReason.TIMED_OUT, what) from error
        except TurnFailed as error:
            reason = ProbeReason.BAD_CONFIGURATION if error.configuration else ProbeReason.TURN_FAILED
            raise _Failed(reason, f"failed turn {number} of 2: {error.message}") from error
        except (Transient, NotFound, Terminal) as error:
            raise await _broken_turn(engine, container, number, error) from error
        if not answer.text.strip():
            raise _Failed(ProbeReason.TURN_FAILED, f"failed turn {number} of 2: its answer is empty")
        if context is not None and answer.context_id != context:
            raise _Failed(
                ProbeReason.TURN_FAILED, "failed turn 2 of 2: it did not continue the context of turn 1"
            )
        context = answer.context_id
        seconds.append(clock() - begun)
    return seconds[0], seconds[1]


async def _broken_turn(engine: DockerEngine, container: str, number: int, error: Exception) -> _Failed:
    """Tell a broken connection from a process that ended: the engine notices an end a little later than we do."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _END_NOTICED_SECONDS
    state = (await engine.inspect_container(container))["State"]
    while state["Running"] and clock() < deadline:
        await asyncio.sleep(_FIRST_PAUSE_SECONDS)
        state = (await engine.inspect_container(container))["State"]
    _blame_nobody_for_a_kill(state)
    code = None if state["Running"] else int(state["ExitCode"])
    what = str(error) if code is None else f"its process ended with exit code {code}"
    return _Failed(ProbeReason.TURN_FAILED, f"failed turn {number} of 2: {what}", exit_code=code)


async def _memory_bytes(engine: DockerEngine, container: str) -> int | None:
    """Return what the container uses without reclaimable page cache, as `docker stats` counts it."""
    facts: dict[str, Any] = await engine.call(
        f"read the memory use of container {container}",
        lambda client: client.stats(container, stream=False, one_shot=True),
    )
    memory = facts.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    detail = memory.get("stats") or {}
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    return int(memory["usage"]) - int(cache)


async def _report(engine: DockerEngine, container: str, order: ProbeOrder, failed: _Failed) -> ProbeFailed:
    known = secret_values(order.settings.environment)
    # The last lines may be still on their way when a process has just ended; a failure to read them hides nothing.
    tail: tuple[str, ...] = ()
    with contextlib.suppress(Transient, NotFound, Terminal):
        tail = await engine.log_tail(container, lines=LOG_LINES)
    lines = tuple(redact(line, known)[:_LINE_LIMIT] for line in tail)
    text = f"Template {order.template}: the candidate of {order.version} {failed.what}"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if failed.exit_code is not None and last:
        text += f"; its last words: {last}"
    message = " ".join(redact(text, known).split())[:_MESSAGE_LIMIT]
    return ProbeFailed(order.template, failed.reason, message, lines, failed.exit_code)
