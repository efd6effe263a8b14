"""Boots one candidate image as production would and lets it answer two turns: the gate before publication.

An import smoke test is green for images whose first task fails; only a turn runs the adapter's own path, and only
a second turn in the same context shows that a conversation goes on. A probe decides nothing but how it turned out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp

from controller.act._candidate import candidate_container, remove_leftovers
from controller.act._turns import Conversation, Failed, blame_nobody_for_a_kill, state_after_silence
from controller.clients.a2a import Agent
from controller.clients.docker import DockerEngine
from controller.clients.stand_in import StandIn
from controller.model.errors import NotFound, Terminal, Transient
from controller.model.probe import ModelUse, ProbeFailed, ProbeOrder, ProbePassed, ProbeReason
from controller.model.redaction import redact, secret_values
from controller.model_server.script import Script

CONFIGURATION_EXIT_CODE: Final = 78
"""EX_CONFIG of sysexits.h: how the runtime ends when its owner must change something."""
LOG_LINES: Final = 20

_LINE_LIMIT: Final = 500
_MESSAGE_LIMIT: Final = 600
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.5
"""How often it is looked whether a booting candidate still runs: that costs the engine more than a refused connection."""
_PAUSE_GROWTH: Final = 1.15
_CARD_SECONDS: Final = 10.0
"""How long one request for card or status may take: a booting process may accept and not answer yet."""


@dataclass(frozen=True, slots=True)
class _Booted:
    agent: Agent
    seconds: float


async def probe(engine: DockerEngine, order: ProbeOrder, stand_in: StandIn) -> ProbePassed | ProbeFailed:
    """Boot `order.image`, which the engine must have, and say whether it passes.

    `stand_in` plays its model, except for an order whose `model` is NONE. The container goes in every case, also on
    cancellation; what a killed run left of this template's probes goes first.

    Raises:
        Transient, NotFound, Terminal: the engine failed, has no such image, or the stand-in cannot be reached from it;
            nothing is known of the candidate.
    """
    await remove_leftovers(engine, order)
    if order.model is ModelUse.NONE:
        return await _probe(engine, order, script=None, network=None)
    script = Script(tools=order.model is ModelUse.REQUIRED)
    async with stand_in.admitting(script, order.settings.environment) as admitted:
        settings = replace(order.settings, environment=admitted.environment)
        return await _probe(
            engine, replace(order, settings=settings), script=script, network=admitted.network
        )


async def _probe(
    engine: DockerEngine, order: ProbeOrder, *, script: Script | None, network: str | None
) -> ProbePassed | ProbeFailed:
    async with (
        candidate_container(engine, order, network=network) as container,
        aiohttp.ClientSession() as session,
    ):
        try:
            booted = await _boot(engine, container, order, session)
            await _check_identity(engine, container, booted.agent, order)
            conversation = Conversation(engine, container, booted.agent, order, script)
            first = await conversation.turn(1)
            second, memory = await _beside(conversation.turn(2), _memory_bytes(engine, container))
            # NOTE: An address passes on the moment its container ends: all answers were its own if it never ended.
            _require_running(
                (await engine.inspect_container(container))["State"], before="its answers were judged"
            )
        except Failed as failed:
            return await _report(engine, container, order, failed)
    calls = script.calls.total() if script is not None else 0
    return ProbePassed(order.template, booted.seconds, (first, second), memory, calls)


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
        raise Failed(
            ProbeReason.EXITED_AT_ONCE, f"could not be started: {error.message}", exit_code=code
        ) from error
    pause = _FIRST_PAUSE_SECONDS
    last = "nothing listens"
    looked, addresses = begun - _LOOK_SECONDS, list[str]()
    while (left := begun + order.start_deadline_seconds - clock()) > 0:
        if clock() - looked >= _LOOK_SECONDS:
            addresses, looked = await _addresses(engine, container, order.settings.port), clock()
        for url in addresses:
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
    raise Failed(
        ProbeReason.NEVER_READY,
        f"served no agent card within {order.start_deadline_seconds:g} s; the last attempt: {last}",
    )


async def _addresses(engine: DockerEngine, container: str, port: int) -> list[str]:
    """Return where the container may be reached now.

    The loopback port first, which answers or refuses at once where containers live in a virtual machine too; the
    bridge address for a caller that is itself a container.

    Raises:
        Failed: its process has ended.
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
    blame_nobody_for_a_kill(state)
    code = int(state["ExitCode"])
    killed = " because it ran out of memory" if state.get("OOMKilled") else ""
    if code == CONFIGURATION_EXIT_CODE:
        raise Failed(
            ProbeReason.BAD_CONFIGURATION,
            f"ended with exit code {code} before {before}: it says that its configuration is wrong",
            exit_code=code,
        )
    raise Failed(
        ProbeReason.EXITED_AT_ONCE, f"ended with exit code {code}{killed} before {before}", exit_code=code
    )


async def _check_identity(engine: DockerEngine, container: str, agent: Agent, order: ProbeOrder) -> None:
    """Read the process's own word on what it runs: the only thing that counts. One that ended is told as that."""
    try:
        async with asyncio.timeout(_CARD_SECONDS):
            report = await agent.runtime()
    except (Transient, NotFound, Terminal, TimeoutError) as error:
        _require_running(await state_after_silence(engine, container), before="it told its version")
        said = str(error) or f"no answer in {_CARD_SECONDS:g} s"
        raise Failed(ProbeReason.WRONG_VERSION, f"does not tell its version: {said}") from error
    for name, wanted in (("version", order.version), ("contentSha256", order.content_sha256)):
        if report.get(name) != wanted:
            # NOTE: An address passes on the moment its container ends: another one may have answered.
            _require_running(
                (await engine.inspect_container(container))["State"], before="it told its version"
            )
            raise Failed(
                ProbeReason.WRONG_VERSION, f"reports {name} {report.get(name)!r} instead of {wanted!r}"
            )


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


async def _beside(
    turn: Coroutine[Any, Any, float], reading: Coroutine[Any, Any, int | None]
) -> tuple[float, int | None]:
    """Read while the turn runs: an engine takes its time to add memory up."""
    beside = asyncio.create_task(reading)
    try:
        return await turn, await beside
    finally:
        beside.cancel()


async def _report(engine: DockerEngine, container: str, order: ProbeOrder, failed: Failed) -> ProbeFailed:
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
