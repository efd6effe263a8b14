"""The gate against real containers: what passes, every way to fail with its own reason, and nothing left behind."""

import asyncio
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from controller.api.names import LABEL_PROBE
from controller.clients.docker import DockerEngine
from controller.model.container import ContainerState
from controller.model.errors import NotFound, Transient
from controller.model.probe import ModelUse, ProbeOrder, ProbePassed, ProbeReason, ProbeSettings
from tests.integration.probe.probing import (
    failure,
    left_behind,
    probed,
    still_there,
    until_running,
    volumes_of,
)
from tests.parts.faulty_engine import Fault, faulty_engine

VERSION, CONTENT = "0.1.1", "c" * 64
KEY = "a-model-key-of-somebody"


@pytest.fixture
def order(owner: str, candidate: str) -> ProbeOrder:
    environment = {"VERSION": VERSION, "CONTENT": CONTENT, "MODEL_API_KEY": KEY}
    return ProbeOrder(
        owner=owner,
        template="echo",
        image=candidate,
        version=VERSION,
        content_sha256=CONTENT,
        start_deadline_seconds=20,
        turn_deadline_seconds=20,
        model=ModelUse.NONE,
        settings=ProbeSettings(environment=environment),
    )


def with_fault(order: ProbeOrder, fault: str) -> ProbeOrder:
    settings = order.settings
    return replace(order, settings=replace(settings, environment={**settings.environment, "FAULT": fault}))


async def test_a_good_candidate_passes_and_leaves_nothing(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    probing = asyncio.create_task(probed(docker_engine, order))
    await until_running(docker_engine, order.owner)
    volumes = await volumes_of(docker_engine, order.owner)
    outcome = await probing
    assert isinstance(outcome, ProbePassed), outcome
    assert 0 < outcome.boot_seconds < 20
    assert all(0 < seconds < 20 for seconds in outcome.turn_seconds)
    assert outcome.memory_bytes is not None
    assert 1_000_000 < outcome.memory_bytes < 200_000_000
    assert await left_behind(docker_engine, order.owner) == []
    assert volumes, "the image asks for one"
    assert await still_there(docker_engine, volumes) == []


async def test_a_strict_template_boots_as_its_settings_say(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    strict = replace(
        order.settings,
        user="12345:12345",
        read_only_root=True,
        memory_bytes=128 << 20,
        nano_cpus=1_000_000_000,
        files={"config.yaml": b"name: strict\n"},
    )
    outcome = await probed(docker_engine, replace(order, settings=strict))
    assert isinstance(outcome, ProbePassed), outcome
    # the same candidate fails where production would stop it: what it does outside /configs is read-only
    outside = replace(
        order, settings=replace(strict, environment={**strict.environment, "FAULT": "writes-outside"})
    )
    failed = await failure(docker_engine, outside)
    assert failed.reason is ProbeReason.EXITED_AT_ONCE
    assert "Read-only file system: '/opt/state'" in failed.message


async def test_the_settings_are_those_of_the_running_candidate(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    limited = replace(order.settings, user="1234", memory_bytes=128 << 20, nano_cpus=500_000_000)
    probing = asyncio.create_task(
        probed(docker_engine, with_fault(replace(order, settings=limited), "hangs"))
    )
    try:
        running = await until_running(docker_engine, order.owner)
        facts = await docker_engine.inspect_container(running)
        host, mounts = facts["HostConfig"], facts["Mounts"]
        assert not host["PortBindings"]
        assert (facts["Config"]["User"], host["Memory"], host["NanoCpus"]) == ("1234", 128 << 20, 500_000_000)
        assert sorted((mount["Type"], mount["Destination"], mount["RW"]) for mount in mounts) == [
            ("volume", "/configs", True),
            ("volume", "/kept", True),
        ]
        assert "FAULT=hangs" in facts["Config"]["Env"]
        assert f"VERSION={VERSION}" in facts["Config"]["Env"]
    finally:
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)


async def test_where_the_bridge_is_elsewhere_a_candidate_is_asked_at_a_port_of_this_machine(
    engine: str, order: ProbeOrder, tmp_path: Path
) -> None:
    with faulty_engine(engine, tmp_path) as faulty:
        faulty.faults.append(Fault(r"^GET .*/networks/bridge"))
        async with DockerEngine(faulty.endpoint) as through:
            probing = asyncio.create_task(probed(through, with_fault(order, "hangs")))
            try:
                facts = await through.inspect_container(await until_running(through, order.owner))
            finally:
                probing.cancel()
                await asyncio.gather(probing, return_exceptions=True)
            assert [one["HostIp"] for one in facts["NetworkSettings"]["Ports"]["8000/tcp"]] == ["127.0.0.1"]
            assert isinstance(await probed(through, order), ProbePassed)


async def test_a_candidate_is_seen_to_run_after_its_last_answer(
    engine: str, order: ProbeOrder, tmp_path: Path
) -> None:
    # Its address passes on when it ends, and who answered then is of the same version.
    with faulty_engine(engine, tmp_path) as faulty:
        async with DockerEngine(faulty.endpoint) as through:
            assert isinstance(await probed(through, order), ProbePassed)
    asked = [
        request.partition("?")[0].rpartition("/")[2] for request in faulty.seen if "/containers/" in request
    ]
    assert asked[asked.index("stats") + 1] == "json"


async def test_any_user_may_write_to_configs(docker_engine: DockerEngine, order: ProbeOrder) -> None:
    nobody = replace(order, settings=replace(order.settings, user="1234"))
    outcome = await probed(docker_engine, nobody)
    assert isinstance(outcome, ProbePassed), outcome


async def test_a_candidate_that_needs_more_memory_than_its_limit_is_told_so(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    small = replace(order, settings=replace(order.settings, memory_bytes=64 << 20))
    failed = await failure(docker_engine, with_fault(small, "eats-memory"))
    assert (failed.reason, failed.exit_code) == (ProbeReason.EXITED_AT_ONCE, 137)
    assert failed.message == (
        "Template echo: the candidate of 0.1.1 ended with exit code 137 because it ran out of memory before it was ready"
    )


async def test_a_candidate_that_exits_is_told_with_code_and_last_words(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    failed = await failure(docker_engine, with_fault(order, "exits-3"))
    assert (failed.reason, failed.exit_code) == (ProbeReason.EXITED_AT_ONCE, 3)
    assert failed.message == (
        "Template echo: the candidate of 0.1.1 ended with exit code 3 before it was ready; "
        "its last words: could not log in with ***"
    )
    assert len(failed.log_tail) == 20
    assert failed.log_tail[-2] == "line 29"


async def test_no_secret_of_the_probes_environment_is_in_the_outcome(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    failed = await failure(docker_engine, with_fault(order, "exits-3"))
    assert failed.log_tail[-1] == "could not log in with ***"
    assert KEY not in repr(failed)
    assert KEY not in repr(order)


async def test_a_configuration_error_is_told_apart_from_a_broken_build(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    at_start = await failure(docker_engine, with_fault(order, "exits-78"))
    assert (at_start.reason, at_start.exit_code) == (ProbeReason.BAD_CONFIGURATION, 78)
    assert "it says that its configuration is wrong" in at_start.message
    in_turn = await failure(docker_engine, with_fault(order, "misconfigured"))
    assert in_turn.reason is ProbeReason.BAD_CONFIGURATION


async def test_a_command_that_does_not_exist_is_a_failure_of_the_candidate(
    docker_engine: DockerEngine, order: ProbeOrder, base_image: str
) -> None:
    container = await docker_engine.create_container(
        f"wsr-probe-tests-{secrets.token_hex(4)}", {"Image": base_image, "Cmd": ["molecule-runtime"]}
    )
    made = await docker_engine.call("commit", lambda client: client.commit(container))
    await docker_engine.remove(container)
    try:
        failed = await failure(docker_engine, replace(order, image=made["Id"]))
    finally:
        await docker_engine.remove_image(made["Id"])
    assert (failed.reason, failed.exit_code) == (ProbeReason.EXITED_AT_ONCE, 127)
    assert "molecule-runtime" in failed.message


async def test_a_candidate_that_is_not_ready_in_time_is_told_with_the_last_answer(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    failed = await failure(
        docker_engine, replace(with_fault(order, "never-ready"), start_deadline_seconds=2.5)
    )
    assert failed.reason is ProbeReason.NEVER_READY
    assert failed.message.startswith(
        "Template echo: the candidate of 0.1.1 served no agent card within 2.5 s; the last attempt: GET http://"
    )
    assert failed.message.endswith('answered 503: {"state": "starting"}')


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"version": "0.1.2"}, "reports version '0.1.1' instead of '0.1.2'"),
        ({"content_sha256": "d" * 64}, f"reports contentSha256 '{CONTENT}' instead of '{'d' * 64}'"),
    ],
)
async def test_a_candidate_of_another_version_or_content_is_refused(
    docker_engine: DockerEngine, order: ProbeOrder, wanted: dict[str, str], said: str
) -> None:
    failed = await failure(docker_engine, replace(order, **wanted))  # type: ignore[arg-type]
    assert failed.reason is ProbeReason.WRONG_VERSION
    assert said in failed.message


async def test_a_candidate_that_does_not_tell_its_version_is_refused(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    failed = await failure(docker_engine, with_fault(order, "no-runtime"))
    assert failed.reason is ProbeReason.WRONG_VERSION
    assert "does not tell its version" in failed.message


async def test_a_turn_that_fails_is_told_with_the_agents_own_words(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    failed = await failure(docker_engine, with_fault(order, "fails"))
    assert failed.reason is ProbeReason.TURN_FAILED
    assert failed.message == (
        "Template echo: the candidate of 0.1.1 failed turn 2 of 2: "
        "the agent ended the turn as TASK_STATE_FAILED: ModuleNotFoundError: No module named 'lazy'"
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("says-nothing", "failed turn 1 of 2: its answer is empty"),
        ("forgets", "failed turn 2 of 2: it did not continue the context of turn 1"),
        (
            "dies",
            "failed turn 2 of 2: its process ended with exit code 9; its last words: dying in the second turn",
        ),
    ],
)
async def test_an_answer_that_is_none_fails_the_turn(
    docker_engine: DockerEngine, order: ProbeOrder, fault: str, said: str
) -> None:
    failed = await failure(docker_engine, with_fault(order, fault))
    assert failed.reason is ProbeReason.TURN_FAILED
    assert said in failed.message


async def test_a_turn_without_an_answer_times_out_and_does_not_pass(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    failed = await failure(docker_engine, replace(with_fault(order, "hangs"), turn_deadline_seconds=1.0))
    assert failed.reason is ProbeReason.TIMED_OUT
    assert failed.message == (
        "Template echo: the candidate of 0.1.1 gave no answer in turn 1 of 2 within 1 s"
    )


async def test_each_turn_asks_something_that_was_never_asked_before(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    assert isinstance(await probed(docker_engine, with_fault(order, "canned")), ProbePassed)


@pytest.mark.parametrize("after_seconds", [0.0, 0.02, 0.3, 1.5])
async def test_a_cancelled_probe_leaves_nothing(
    docker_engine: DockerEngine, order: ProbeOrder, after_seconds: float
) -> None:
    running = asyncio.create_task(probed(docker_engine, with_fault(order, "hangs")))
    await asyncio.sleep(after_seconds)
    volumes = await volumes_of(docker_engine, order.owner)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await left_behind(docker_engine, order.owner) == []
    assert await still_there(docker_engine, volumes) == []


async def test_what_a_killed_run_left_is_removed_by_the_next_probe_of_the_template_and_nothing_else(
    docker_engine: DockerEngine, order: ProbeOrder, base_image: str
) -> None:
    suffix = secrets.token_hex(4)
    names = {
        "left": (f"wsr-probe-echo-{suffix}", order.owner),
        "other template": (f"wsr-probe-echo-two-{suffix}", order.owner),
        "other object": (f"wsr-probe-echo-{secrets.token_hex(4)}", f"{order.owner}-other"),
        "other name": (f"ws-{suffix}", order.owner),
    }
    made = {}
    for what, (name, owner) in names.items():
        body = {"Image": base_image, "Cmd": ["sleep", "60"], "Labels": {LABEL_PROBE: owner}}
        made[what] = await docker_engine.create_container(name, body)
    await docker_engine.start(made["left"])
    try:
        assert isinstance(await probed(docker_engine, order), ProbePassed)
        existing = {found.id for found in await docker_engine.containers()}
        assert [what for what, container in made.items() if container not in existing] == ["left"]
    finally:
        for container in made.values():
            try:
                await docker_engine.remove(container, force=True)
            except NotFound:
                continue


@pytest.mark.parametrize("fault", ["never-ready", "hangs"])
async def test_a_candidate_that_somebody_kills_is_not_blamed(
    docker_engine: DockerEngine, order: ProbeOrder, fault: str
) -> None:
    probing = asyncio.create_task(probed(docker_engine, with_fault(order, fault)))
    await until_running(docker_engine, order.owner)
    await asyncio.sleep(1)  # into the boot, or into the first turn
    for found in await docker_engine.containers():
        if found.labels.get(LABEL_PROBE) == order.owner and found.state is ContainerState.RUNNING:
            await docker_engine.call("kill a candidate", lambda client, one=found.id: client.kill(one))  # type: ignore[misc]  # bound per round
    with pytest.raises(Transient, match=r"killed from outside \(exit code 137\)"):
        await probing
    assert await left_behind(docker_engine, order.owner) == []


async def test_eight_templates_of_one_object_are_probed_at_once(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    orders = [replace(order, template=f"t{number}") for number in range(8)]
    outcomes = await asyncio.gather(*(probed(docker_engine, each) for each in orders))
    assert [type(outcome) for outcome in outcomes] == [ProbePassed] * 8
    assert await left_behind(docker_engine, order.owner) == []


async def test_an_image_that_the_engine_lacks_says_nothing_of_the_candidate(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    with pytest.raises(NotFound, match="No such image"):
        await probed(docker_engine, replace(order, image="wsr-probe-tests/none:1"))


async def test_an_engine_that_does_not_answer_says_nothing_of_the_candidate(order: ProbeOrder) -> None:
    async with DockerEngine("unix:///nowhere/docker.sock") as nobody:
        with pytest.raises(Transient):
            await probed(nobody, order)
