"""Boots one candidate image as production would and lets it answer two turns: the gate before publication.

An import smoke test is green for images whose first task fails; only a turn runs the adapter's own path, and only
a second turn in the same context shows that a conversation goes on. A probe decides nothing but how it turned out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from controller.act._turns import Conversation, end_after_silence
from controller.clients.a2a import Agent
from controller.clients.candidate import Candidate, Sight
from controller.model.errors import NotFound, Terminal, Transient
from controller.model.probe import Failed, ProbeFailed, ProbeOrder, ProbePassed, ProbeReason
from controller.model.redaction import redact, secret_values

CONFIGURATION_EXIT_CODE: Final = 78
"""EX_CONFIG of sysexits.h: how the runtime ends when its owner must change something."""
LOG_LINES: Final = 20

_LINE_LIMIT: Final = 500
_MESSAGE_LIMIT: Final = 600
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.5
"""How often it is looked whether a booting candidate still runs: that costs its engine more than a refused connection."""
_NOT_ASKED: Final = "nothing listens"
_PAUSE_GROWTH: Final = 1.15
_CARD_SECONDS: Final = 10.0
"""How long one request for card or status may take: a booting process may accept and not answer yet."""


@dataclass(frozen=True, slots=True)
class _Booted:
    agent: Agent
    seconds: float


async def probe(candidate: Candidate, order: ProbeOrder) -> ProbePassed | ProbeFailed:
    """Boot the candidate that was made for `order`, and say whether it passes.

    Raises:
        Transient, NotFound, Terminal: the place where it runs failed; nothing is known of the candidate.
    """
    async with aiohttp.ClientSession() as session:
        try:
            booted = await _boot(candidate, order, session)
            await _check_identity(candidate, booted.agent, order)
            conversation = Conversation(candidate, booted.agent, order)
            first = await conversation.turn(1)
            second, memory = await _beside(conversation.turn(2), candidate.memory_bytes())
            # NOTE: An address passes on the moment its candidate ends: all answers were its own if it never ended.
            _require_running(await candidate.look(), before="its answers were judged")
            await candidate.prove_reached()
        except Failed as failed:
            if failed.exit_code is None:
                await candidate.prove_reached()
            return await _report(candidate, order, failed)
    calls = (await candidate.model.seen()).calls.total() if candidate.model is not None else 0
    return ProbePassed(order.template, booted.seconds, (first, second), memory, calls)


async def _boot(candidate: Candidate, order: ProbeOrder, session: aiohttp.ClientSession) -> _Booted:
    """Start the process and wait until it serves its card."""
    clock = asyncio.get_running_loop().time
    begun = await candidate.start()
    pause = _FIRST_PAUSE_SECONDS
    last = _NOT_ASKED
    looked, sight = clock() - _LOOK_SECONDS, Sight()
    while (left := begun + order.start_deadline_seconds - clock()) > 0:
        if clock() - looked >= _LOOK_SECONDS:
            sight, looked = await candidate.look(), clock()
            _require_running(sight, before="it was ready")
        for url in sight.addresses:
            agent = Agent(session, url)
            try:
                async with asyncio.timeout(min(_CARD_SECONDS, left)):
                    await agent.card()
            except (Transient, NotFound) as error:
                last = str(error)
            except TimeoutError:
                if (
                    left >= _CARD_SECONDS or last == _NOT_ASKED
                ):  # one that the deadline cuts off says nothing new
                    last = "a connection without an answer"
            except Terminal as error:
                last = error.message
            else:
                return _Booted(agent, clock() - begun)
        await asyncio.sleep(pause)
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
    raise Failed(
        ProbeReason.NEVER_READY,
        f"served no agent card within {order.start_deadline_seconds:g} s; the last attempt: {last}",
    )


def _require_running(sight: Sight, *, before: str) -> None:
    if sight.ended is None:
        return
    code = sight.ended.exit_code
    killed = " because it ran out of memory" if sight.ended.out_of_memory else ""
    if code == CONFIGURATION_EXIT_CODE:
        raise Failed(
            ProbeReason.BAD_CONFIGURATION,
            f"ended with exit code {code} before {before}: it says that its configuration is wrong",
            exit_code=code,
        )
    raise Failed(
        ProbeReason.EXITED_AT_ONCE, f"ended with exit code {code}{killed} before {before}", exit_code=code
    )


async def _check_identity(candidate: Candidate, agent: Agent, order: ProbeOrder) -> None:
    """Read the process's own word on what it runs: the only thing that counts. One that ended is told as that."""
    try:
        async with asyncio.timeout(_CARD_SECONDS):
            report = await agent.runtime()
    except (Transient, NotFound, Terminal, TimeoutError) as error:
        _require_running(Sight(ended=await end_after_silence(candidate)), before="it told its version")
        said = str(error) or f"no answer in {_CARD_SECONDS:g} s"
        raise Failed(ProbeReason.WRONG_VERSION, f"does not tell its version: {said}") from error
    for name, wanted in (("version", order.version), ("contentSha256", order.content_sha256)):
        if report.get(name) != wanted:
            # NOTE: An address passes on the moment its candidate ends: another one may have answered.
            _require_running(await candidate.look(), before="it told its version")
            raise Failed(
                ProbeReason.WRONG_VERSION, f"reports {name} {report.get(name)!r} instead of {wanted!r}"
            )


async def _beside(
    turn: Coroutine[Any, Any, float], reading: Coroutine[Any, Any, int | None]
) -> tuple[float, int | None]:
    """Read while the turn runs: an engine takes its time to add memory up."""
    beside = asyncio.create_task(reading)
    try:
        return await turn, await beside
    finally:
        beside.cancel()


async def _report(candidate: Candidate, order: ProbeOrder, failed: Failed) -> ProbeFailed:
    known = secret_values(candidate.environment)
    # The last lines may be still on their way when a process has just ended; a failure to read them hides nothing.
    tail: tuple[str, ...] = ()
    with contextlib.suppress(Transient, NotFound, Terminal):
        tail = await candidate.log_tail(lines=LOG_LINES)
    lines = tuple(redact(line, known)[:_LINE_LIMIT] for line in tail)
    text = f"Template {order.template}: the candidate of {order.version} {failed.what}"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if failed.exit_code is not None and last:
        text += f"; its last words: {last}"
    message = " ".join(redact(text, known).split())[:_MESSAGE_LIMIT]
    return ProbeFailed(order.template, failed.reason, message, lines, failed.exit_code)
