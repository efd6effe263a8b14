"""A controller killed before and after every step, forward and back, on a real engine: the next call repairs it.

All cases run once, a few at a time, in one fixture; every boundary is a test of its own that reads its outcome.
"""

import asyncio
import json
import secrets
import socket
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import docker
import pytest

from controller.act.replace import replace
from controller.clients.docker import DockerEngine
from controller.clients.workspace import Place, Workspaces
from controller.model.observed import Known
from controller.model.replacement import Boundary, Replaced, ReplaceResult, RolledBack, StillBusy
from controller.plan.replacement import Step
from tests.parts.leftovers import remove_leftovers
from tests.parts.replacing import crash, order, pause
from tests.parts.stand_in import StandInImage, StandIns

LANES = 4
FORWARD = [
    Step.CREATE,
    Step.CONNECT,
    Step.DRAIN,
    Step.DISARM_OLD,
    Step.STOP_OLD,
    Step.RENAME_OLD,
    Step.RENAME_NEW,
    Step.START_NEW,
    Step.RESTORE_POLICY,
    Step.AWAIT_PROOF,
    Step.REMOVE_OLD,
]
BACK = [
    Step.UNDO_DISARM_NEW,
    Step.UNDO_STOP_NEW,
    Step.UNDO_RENAME_NEW,
    Step.UNDO_RENAME_OLD,
    Step.UNDO_START_OLD,
    Step.UNDO_RESTORE_POLICY,
    Step.UNDO_REMOVE_NEW,
]
STOPPED = [Step.CREATE, Step.CONNECT, Step.DISARM_OLD, Step.RENAME_OLD, Step.RENAME_NEW, Step.RESTORE_POLICY]
PAUSED = [Step.UNPAUSE_OLD, Step.STOP_OLD, Step.PAUSE_NEW, Step.REMOVE_OLD]
PAUSED_BACK = [Step.UNDO_START_OLD, Step.UNDO_PAUSE_OLD]
BUSY = [Step.UNDO_RESUME_OLD]


@dataclass(frozen=True)
class Case:
    """Where the controller dies, in which story."""

    story: str
    step: Step
    boundary: Boundary

    def __str__(self) -> str:
        return f"{self.story}-{self.boundary}-{self.step}"


STORIES = {
    "forward": FORWARD,
    "back": BACK,
    "stopped": STOPPED,
    "paused": PAUSED,
    "paused back": PAUSED_BACK,
    "busy": BUSY,
}
CASES = [
    Case(story, step, boundary) for story, steps in STORIES.items() for step in steps for boundary in Boundary
]


@dataclass(frozen=True)
class Outcome:
    """What a case left: everything about its containers before the crash and after the repair."""

    crashed: bool
    result: ReplaceResult
    before: dict[str, Any]
    after: dict[str, Any]
    others: dict[str, str]
    wanted: StandInImage
    answer: dict[str, Any] | None


class Lane:
    """One workspace of each kind, that goes through one case after another."""

    def __init__(self, host: DockerEngine, images: StandIns, prefix: str, number: int) -> None:
        self._host = host
        self._prefix = prefix
        self._number = number
        self._good = [
            images.image("1.0.0", extra="VOLUME /kept"),
            images.image("2.0.0", extra="VOLUME /kept"),
        ]
        self._bad = images.image("3.0.0", extra="VOLUME /kept", fault="refuse")
        self._ports: dict[str, int] = {}

    async def run(self, case: Case) -> Outcome:
        host, name = self._host, await self._workspace(case)
        before = await self._snapshot(name)
        wanted = (
            self._bad
            if "back" in case.story
            else next(one for one in self._good if one.id != before["image"])
        )
        todo = order(name, wanted, drain_timeout_seconds=0.2 if case.story == "busy" else 5.0)
        crashed = await crash(host.endpoint, todo, case.step, case.boundary)
        result = await replace(host, todo)
        after = await self._snapshot(name)
        members = {one.name: str(one.state) for one in await host.containers() if one.name.endswith(name)}
        answer = await asyncio.to_thread(_ask, self._ports[name]) if after["state"] == "running" else None
        if case.story == "busy":
            await host.execute(name, ("molecule-runtime", "ctl", "busy", "0"))
        del members[name]
        return Outcome(crashed, result, before, after, members, wanted, answer)

    async def _workspace(self, case: Case) -> str:
        kind = case.story.split()[0] if case.story in {"paused", "paused back", "busy"} else "running"
        if case.story == "stopped":
            return await self._create(f"{self._prefix}ws-{secrets.token_hex(3)}")
        name = f"{self._prefix}ws-{self._number}-{kind}"
        if name not in self._ports:
            await self._create(name)
            await self._host.start(name)
            async with Workspaces(self._host) as workspaces:
                place = Place.of_inspection(await self._host.inspect_container(name))
                for _ in range(250):
                    if isinstance(await workspaces.report(place, by_exec=False), Known):
                        break
                    await asyncio.sleep(0.02)
            if kind == "paused":
                await pause(self._host, name)
        if kind == "busy":
            await self._host.execute(name, ("molecule-runtime", "ctl", "busy", "60"))
        return name

    async def _create(self, name: str) -> str:
        self._ports[name] = _free_port()
        body = {
            "Image": self._good[0].reference,
            "Volumes": {"/anonymous": {}},
            "ExposedPorts": {"8000/tcp": {}},
            "HostConfig": {
                "Binds": [f"{name}-named:/named"],
                "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(self._ports[name])}]},
                "RestartPolicy": {"Name": "unless-stopped"},
                "NetworkMode": f"{self._prefix}blue",
            },
            "NetworkingConfig": {"EndpointsConfig": {f"{self._prefix}blue": {"Aliases": [f"alias-{name}"]}}},
        }
        await self._host.create_container(name, body)
        await self._host.connect(name, f"{self._prefix}green", {})
        return name

    async def _snapshot(self, name: str) -> dict[str, Any]:
        found = await self._host.inspect_container(name)
        return {
            "id": found["Id"],
            "image": found["Image"],
            "state": found["State"]["Status"],
            "policy": found["HostConfig"]["RestartPolicy"],
            "ports": found["HostConfig"]["PortBindings"],
            "volumes": {mount["Destination"]: mount["Name"] for mount in found["Mounts"]},
            "networks": {
                network: sorted(alias for alias in endpoint["Aliases"] or () if alias != found["Id"][:12])
                for network, endpoint in found["NetworkSettings"]["Networks"].items()
            },
        }


def _create_network(name: str, client: docker.APIClient) -> None:
    client.create_network(name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ask(port: int) -> dict[str, Any]:
    """What the workspace answers on its published port; one that was just started may need a moment."""
    for attempts_left in range(100, -1, -1):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/runtime", timeout=5) as answer:
                document: dict[str, Any] = json.load(answer)
                return document
        except OSError:
            if not attempts_left:
                raise
            time.sleep(0.05)
    raise AssertionError


async def _run_all(
    endpoint: str, images: StandIns, prefix: str, todo: list[Case]
) -> dict[Case, Outcome | Exception]:
    outcomes = dict[Case, Outcome | Exception]()

    async def work(lane: Lane) -> None:
        while todo:
            case = todo.pop()
            try:
                outcomes[case] = await lane.run(case)
            except Exception as error:  # noqa: BLE001 -- raised again by the test of its case
                outcomes[case] = error

    async with DockerEngine(endpoint) as host:
        for network in ("blue", "green"):
            await host.call("create a network", partial(_create_network, f"{prefix}{network}"))
        await asyncio.gather(*(work(Lane(host, images, prefix, number)) for number in range(LANES)))
    return outcomes


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, engine: str, images: StandIns
) -> Iterator[dict[Case, Outcome | Exception]]:
    prefix = f"crash{secrets.token_hex(3)}-"
    asked = {
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
    }
    try:
        yield asyncio.run(
            _run_all(engine, images, prefix, [case for case in reversed(CASES) if case in asked])
        )
    finally:
        remove_leftovers(engine, prefix)


def outcome_of(outcomes: dict[Case, Outcome | Exception], case: Case) -> Outcome:
    outcome = outcomes[case]
    if isinstance(outcome, Exception):
        raise outcome
    assert outcome.crashed, f"the replacement never came to {case}"
    for same in ("policy", "ports", "volumes", "networks"):
        assert outcome.after[same] == outcome.before[same], same
    return outcome


def cases(*stories: str) -> pytest.MarkDecorator:
    """Every boundary of these stories.

    Between the end of one step and the beginning of the next nothing happens, so the quick suite dies once between
    any two, and `make test-long` at both.
    """
    chosen = [case for case in CASES if case.story in stories]
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(case, id=str(case), marks=[pytest.mark.long] if _is_twin(case) else [])
            for case in chosen
        ],
    )


def _is_twin(case: Case) -> bool:
    return case.boundary is Boundary.AFTER and case.step is not STORIES[case.story][-1]


@cases("forward", "paused")
def test_a_replacement_killed_anywhere_is_completed(
    outcomes: dict[Case, Outcome | Exception], case: Case
) -> None:
    outcome = outcome_of(outcomes, case)
    assert isinstance(outcome.result, Replaced)
    assert outcome.after["image"] == outcome.wanted.id
    assert outcome.after["state"] == outcome.before["state"]
    assert outcome.others == {}
    if outcome.answer is not None:
        assert (outcome.answer["version"], outcome.answer["state"]) == (outcome.wanted.version, "serving")


@cases("back", "paused back")
def test_a_return_killed_anywhere_is_completed_and_blames_only_what_fails_anew(
    outcomes: dict[Case, Outcome | Exception], case: Case
) -> None:
    outcome = outcome_of(outcomes, case)
    assert isinstance(outcome.result, RolledBack)
    assert outcome.after == outcome.before
    assert outcome.others == {}
    if outcome.answer is not None:
        assert outcome.answer["state"] == "serving"
    # Killed after the last step the return was complete, so the next call tried the image anew and saw it fail. Killed
    # when the successor was stopped and had its name still, it looked as if its engine had ended it.
    tried_anew = {
        (Step.UNDO_STOP_NEW, Boundary.AFTER),
        (Step.UNDO_RENAME_NEW, Boundary.BEFORE),
        (Step.UNDO_REMOVE_NEW, Boundary.AFTER),
    }
    assert outcome.result.counts == ((case.step, case.boundary) in tried_anew and case.story == "back")


@cases("stopped")
def test_a_stopped_one_killed_anywhere_has_its_successor_and_keeps_the_old_one(
    outcomes: dict[Case, Outcome | Exception], case: Case
) -> None:
    outcome = outcome_of(outcomes, case)
    assert isinstance(outcome.result, Replaced)
    assert outcome.result.awaiting_first_start
    assert outcome.after["image"] == outcome.wanted.id
    assert outcome.after["state"] == "created"
    assert list(outcome.others.values()) == ["created"]
    assert next(iter(outcome.others)).startswith("wsr-prev-")


@cases("busy")
def test_a_busy_one_killed_on_its_way_back_works_on(
    outcomes: dict[Case, Outcome | Exception], case: Case
) -> None:
    outcome = outcome_of(outcomes, case)
    assert isinstance(outcome.result, StillBusy)
    assert outcome.result.active_tasks == 1
    assert outcome.after == outcome.before
    assert outcome.others == {}
    assert outcome.answer is not None
    assert (outcome.answer["state"], outcome.answer["activeTasks"]) == ("serving", 1)
