"""The gate with a model: real candidates on a network of their own, which reach the stand-in and nothing else."""

import asyncio
import time
from dataclasses import replace

import aiohttp
import pytest

from controller.api.names import LABEL_PROBE
from controller.clients.docker import DockerEngine
from controller.clients.stand_in import StandIn
from controller.model.errors import Terminal
from controller.model.probe import ModelUse, ProbeOrder, ProbePassed, ProbeReason, ProbeSettings
from controller.model_server.script import Script
from controller.reconcile.docker_prover import probe_in_engine
from tests.integration.probe.probing import failure, left_behind, probed
from tests.parts.engine import gateway

VERSION, CONTENT = "0.1.1", "c" * 64


@pytest.fixture
def order(owner: str, candidate: str) -> ProbeOrder:
    return ProbeOrder(
        owner=owner,
        template="talker",
        image=candidate,
        version=VERSION,
        content_sha256=CONTENT,
        start_deadline_seconds=20,
        turn_deadline_seconds=20,
        settings=ProbeSettings(environment={"VERSION": VERSION, "CONTENT": CONTENT, "HAS_MODEL": "1"}),
    )


def told(order: ProbeOrder, **environment: str) -> ProbeOrder:
    settings = order.settings
    return replace(order, settings=replace(settings, environment={**settings.environment, **environment}))


async def test_an_agent_that_runs_a_tool_and_remembers_passes_and_leaves_nothing(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    outcome = await probed(docker_engine, order)
    assert isinstance(outcome, ProbePassed), outcome
    assert outcome.model_calls == 3
    assert outcome.memory_bytes is not None
    assert outcome.memory_bytes > 1_000_000
    assert await left_behind(docker_engine, order.owner) == []


@pytest.mark.parametrize(
    ("fault", "reason", "said"),
    [
        (
            "asks-nobody",
            ProbeReason.NO_MODEL_CALL,
            (
                "answered turn 1 of 2 without a call of its model; for an agent that has none, set"
                " templates[].probe.model: None"
            ),
        ),
        (
            "offers-no-tool",
            ProbeReason.NO_TOOL_USE,
            (
                "in turn 1 of 2 offered its model no tool; for an agent that has none, set"
                " templates[].probe.model: WithoutTools"
            ),
        ),
        (
            "tool-is-mute",
            ProbeReason.NO_TOOL_USE,
            "in turn 1 of 2 offered its model remember, and none of them gave a word back",
        ),
        (
            "starts-anew",
            ProbeReason.FORGOT_CONVERSATION,
            "did not repeat in turn 2 of 2 what turn 1 had brought: its model was not sent it again",
        ),
        (
            "keeps-it-for-itself",
            ProbeReason.FORGOT_CONVERSATION,
            "did not repeat in turn 2 of 2 what turn 1 had brought: its answer leaves out what its model said",
        ),
        (
            "bakes-its-key-in",
            ProbeReason.BAD_CONFIGURATION,
            (
                "failed turn 1 of 2: the agent ended the turn as TASK_STATE_FAILED: ModelRefusedError: API key not valid. "
                "Please pass a valid API key.; its model had got no call; its model refused the key that it sent"
            ),
        ),
    ],
)
async def test_an_agent_that_does_not_work_with_its_model_fails_with_a_reason_of_its_own(
    docker_engine: DockerEngine, order: ProbeOrder, fault: str, reason: ProbeReason, said: str
) -> None:
    failed = await failure(docker_engine, told(order, FAULT=fault))
    assert (failed.reason, failed.message) == (reason, f"Template talker: the candidate of {VERSION} {said}")


async def test_an_agent_without_tools_passes_where_that_is_said(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    plain = replace(order, model=ModelUse.WITHOUT_TOOLS)
    outcome = await probed(docker_engine, told(plain, FAULT="offers-no-tool"))
    assert isinstance(outcome, ProbePassed), outcome
    failed = await failure(docker_engine, told(plain, FAULT="starts-anew"))
    assert failed.reason is ProbeReason.FORGOT_CONVERSATION


async def test_what_the_document_says_wins_over_the_stand_ins_environment(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    outcome = await probed(docker_engine, told(order, OPENAI_API_KEY="a-key-of-the-documents-own"))
    assert isinstance(outcome, ProbePassed), outcome
    failed = await failure(docker_engine, told(order, OPENAI_BASE_URL="http://127.0.0.1:9/v1"))
    assert failed.reason is ProbeReason.TURN_FAILED
    assert failed.message.endswith("; its model had got no call")


async def test_a_candidate_reaches_the_stand_in_alone(
    docker_engine: DockerEngine, order: ProbeOrder, stand_in: StandIn
) -> None:
    async with stand_in.admitting(Script(), {}) as admitted:
        network = await docker_engine.call("look", lambda client: client.inspect_network(admitted.network))
        assert network["Internal"], "the engine drops what would leave it"
        neighbour = await docker_engine.create_container(
            f"{admitted.network}-neighbour",
            {
                "Image": order.image,
                "Cmd": ["python3", "-m", "http.server", "8000"],
                "Labels": {LABEL_PROBE: order.owner},
                "HostConfig": {"NetworkMode": admitted.network},
            },
        )
        try:
            await docker_engine.start(neighbour)
            state = await docker_engine.inspect_container(neighbour)
            address = state["NetworkSettings"]["Networks"][admitted.network]["IPAddress"]
            outside = "192.0.2.1:443"
            bridge = f"{gateway(docker_engine.endpoint)}:9"
            places = f"{address}:8000 {outside} {bridge} no-such-name.example:443"
            begun = time.monotonic()
            seen = told(order, REACHES=places, FAULT="asks-nobody")
            outcome = await probe_in_engine(docker_engine, seen, stand_in)
            seconds = time.monotonic() - begun
            async with aiohttp.ClientSession() as session, session.get(f"http://{address}:8000/") as answer:
                assert answer.status == 200, "the neighbour is there for this machine"
        finally:
            await docker_engine.remove(neighbour, force=True)
    assert not isinstance(outcome, ProbePassed)
    assert outcome.log_tail[:4] == (
        f"{address}:8000: TimeoutError",
        f"{outside}: TimeoutError",
        f"{bridge}: ConnectionRefusedError",
        "no-such-name.example:443: gaierror",
    )
    assert seconds < 10, "a name that cannot be resolved must not hold up a boot for the usual ten seconds"


async def test_probes_at_once_share_one_network_and_the_last_one_takes_it_away(
    docker_engine: DockerEngine, order: ProbeOrder, stand_in: StandIn
) -> None:
    orders = [replace(order, template=f"t{number}") for number in range(4)]
    outcomes = await asyncio.gather(*(probe_in_engine(docker_engine, each, stand_in) for each in orders))
    assert [type(outcome) for outcome in outcomes] == [ProbePassed] * 4, outcomes
    assert await left_behind(docker_engine, order.owner) == []


async def test_a_network_that_a_killed_run_left_is_used_and_taken_away(
    docker_engine: DockerEngine, order: ProbeOrder, stand_in: StandIn
) -> None:
    await docker_engine.call(
        "make a network",
        lambda client: client.create_network(
            stand_in.network, driver="bridge", internal=True, labels={LABEL_PROBE: order.owner}
        ),
    )
    outcome = await probe_in_engine(docker_engine, order, stand_in)
    assert isinstance(outcome, ProbePassed), outcome
    assert await left_behind(docker_engine, order.owner) == []


async def test_an_address_that_is_not_this_machines_is_told_with_the_cure(
    docker_engine: DockerEngine, order: ProbeOrder, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As from inside a container, or with an engine in a virtual machine: the gateway is somebody else's address.
    monkeypatch.setattr("controller.clients.stand_in.gateway_of", lambda _: "192.0.2.1")
    with pytest.raises(Terminal) as told_apart:
        await probe_in_engine(docker_engine, order, stand_in)
    assert told_apart.value.reason == "GateUnreachable"
    assert str(told_apart.value) == (
        "The stand-in model cannot listen at 192.0.2.1, where candidates would reach it: Cannot assign requested"
        " address. Run wsr on the engine's own machine and outside a container (or in one with the host's network), or"
        " set templates[].probe.model: None, which proves no conversation with a model."
    )
    assert await left_behind(docker_engine, order.owner) == []


@pytest.mark.parametrize("after_seconds", [0.0, 0.02, 0.3, 1.0])
async def test_a_cancelled_probe_leaves_nothing(
    docker_engine: DockerEngine, order: ProbeOrder, after_seconds: float
) -> None:
    running = asyncio.create_task(probed(docker_engine, told(order, FAULT="hangs")))
    await asyncio.sleep(after_seconds)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await left_behind(docker_engine, order.owner) == []


async def test_a_candidate_that_is_not_admitted_gets_no_answer(
    docker_engine: DockerEngine, stand_in: StandIn
) -> None:
    script = Script()
    async with stand_in.admitting(script, {}) as admitted, aiohttp.ClientSession() as session:
        base = admitted.environment["OPENAI_BASE_URL"]
        key = {"Authorization": f"Bearer {admitted.environment['OPENAI_API_KEY']}"}
        guessed = base.replace(base.split("/")[3], "A" * 32)
        async with session.post(f"{guessed}/chat/completions", json={}, headers=key) as answer:
            assert answer.status == 404
        async with stand_in.admitting(Script(), {}) as other:
            theirs = f"{other.environment['OPENAI_BASE_URL']}/chat/completions"
            async with session.post(theirs, json={}, headers=key) as answer:
                assert answer.status == 401, "a probe's key is no key of another one"
    assert docker_engine.is_local
    assert not script.calls
