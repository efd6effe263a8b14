"""Whatever happens, in whatever order: the loop ends where it was asked to, or says why not, and wrongs nobody on the way.

The rules themselves are assertions of the simulated machine (never two builds of one input, never below the
unavailability budget, never backwards unasked, nothing public before every template is proven, tags only after the
fleet), of its store (kstatus, no idle writes, no false Ready) and of its life (nothing rests on the unknown).
"""

import asyncio
import json
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from controller.plan.state import outstanding_of
from controller.reconcile.result import Done, NotYet, Result
from tests.unit.simulator.ground import TEMPLATES, Box, Event, Life, document, life, sha
from tests.unit.simulator.life import MemoryStore, SimulatedWorld
from tests.unit.simulator.machine import Machine
from tests.unit.simulator.virtual_time import now, run, seconds

VERSIONS = ("0.1.0", "0.1.1", "0.1.2", "0.2.0rc1")
STALLS = {
    "TagMoved",
    "NewerReleased",
    "GateFailed",
    "RolloutFailed",
    "ShapeUnsafe",
    "DispatchSilent",
    "Untested",
}
SOURCES = (
    "source",
    "index",
    "records",
    "images",
    "images of echo",
    "templates",
    "bases",
    "targets",
)
HOURS = 3600.0

times = st.floats(0, 150, width=16)
durations = st.floats(1, 60, width=16)


@dataclass(frozen=True)
class Happening:
    """An event that the machine does not exist for yet."""

    at: float
    kind: str
    what: str = ""
    lasts: float = 0.0


@st.composite
def boxes(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [
        {
            "name": f"ws-{index}",
            "template": draw(st.sampled_from([*TEMPLATES, *TEMPLATES, None])),
            "stopped": draw(st.sampled_from([False, False, False, True])),
            "crash_loops": draw(st.sampled_from([False, False, False, True])),
            "hold": draw(st.sampled_from([None, None, None, "mine"])),
            "pin": draw(st.sampled_from([None, None, None, "0.0.9"])),
            "labels": draw(st.sampled_from([{}, {}, {"ring": "canary"}])),
            "shape_unsafe": draw(st.sampled_from([None, None, None, "linked to by ws-x"])),
            "work": [
                (start, start + length)
                for start, length in draw(st.lists(st.tuples(times, durations), max_size=2))
            ],
        }
        for index in range(draw(st.integers(0, 6)))
    ]


happenings = st.one_of(
    st.builds(Happening, times, st.just("version"), st.sampled_from(VERSIONS)),
    st.builds(Happening, times, st.just("source"), st.text("abc", min_size=1, max_size=1)),
    st.builds(Happening, times, st.just("template"), st.sampled_from(TEMPLATES)),
    st.builds(Happening, times, st.just("base"), st.text("abc", min_size=1, max_size=1)),
    st.builds(Happening, times, st.just("request"), st.sampled_from(["echo", "*"])),
    st.builds(Happening, times, st.just("outage"), st.sampled_from(SOURCES), durations),
    st.builds(
        Happening, times, st.just("silence"), st.integers(0, 5).map(lambda index: f"ws-{index}"), durations
    ),
    st.builds(Happening, times, st.just("hold"), st.integers(0, 5).map(lambda index: f"ws-{index}")),
    st.builds(Happening, times, st.just("suspend"), st.just(""), durations),
    st.builds(Happening, times, st.just("object held"), st.just(""), durations),
    st.builds(Happening, times, st.just("image gone")),
    st.builds(Happening, times, st.just("stranger"), st.sampled_from(TEMPLATES)),
    st.builds(Happening, times, st.just("resume")),
)


def apply(life_: Life, happening: Happening) -> list[Event]:
    store, machine = life_.store, life_.world.machine
    box = machine.boxes.get(f"docker/local/{happening.what}")

    def at(do: Any, after: float = 0.0) -> Event:  # noqa: ANN401 -- any callable without arguments
        return Event(happening.at + after, f"{happening.kind} {happening.what}", do)

    match happening.kind:
        case "version":
            return [at(lambda: store.edit(version=happening.what))]
        case "outage":
            return [
                at(lambda: machine.unread.add(happening.what)),
                at(lambda: machine.unread.discard(happening.what), happening.lasts),
            ]
        case "silence" if box is not None:
            return [
                at(lambda: setattr(box, "silent", True)),
                at(lambda: setattr(box, "silent", False), happening.lasts),
            ]
        case "hold" if box is not None and not box.succession:
            return [at(lambda: setattr(box, "hold", "wait a moment") if not box.succession else None)]
        case "suspend" | "object held":
            stop, go_on = stopping(store, happening.kind)
            return [at(stop), at(go_on, happening.lasts)]
        case "image gone":
            return [at(lambda: forget_one_image(machine))]
        case "stranger":
            return [at(lambda: machine.is_moved_by_a_stranger(f"registry.example/{happening.what}:latest"))]
        case "resume":
            return [at(lambda: machine.resume(store.document, store.status.history))]
    return [at(lambda: make_anew(store, machine, happening))]


def make_anew(store: MemoryStore, machine: Machine, happening: Happening) -> None:
    """Change what images are made of, or ask for new ones."""
    match happening.kind:
        case "source":
            machine.tree = sha(happening.what)
        case "template":
            machine.inputs[happening.what] = sha(f"new {happening.what}")
        case "base":
            machine.base = f"sha256:{sha(happening.what)}"
        case "request":
            theirs = [each.name for each in store.document.spec.templates if not each.build.ours]
            if happening.what not in theirs:  # nobody here could answer it: the document would be refused
                store.annotate(rebuild=json.dumps({happening.what: f"of second {happening.at:g}"}))


def stopping(store: MemoryStore, kind: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """What stops all work on the object, and what lets it go on."""
    if kind == "suspend":
        return lambda: store.edit(suspend=True), lambda: store.edit(suspend=False)
    return lambda: store.annotate(hold="a while"), lambda: store.annotate(hold=None)


def forget_one_image(machine: Machine) -> None:
    for reference in sorted(machine.images)[:1]:
        machine.delete(machine.images[reference])


WAVES: list[list[dict[str, Any]]] = [
    [],
    [
        {"name": "canary", "selector": {"matchLabels": {"ring": "canary"}}, "soakSeconds": 30},
        {"name": "everyone", "maxFailures": 1},
    ],
    [
        {"name": "first", "percent": 30, "soakSeconds": 10},
        {"name": "half", "percent": 60, "soakSeconds": 100},
        {"name": "everyone"},
    ],
]

WINDOWS: list[list[dict[str, Any]]] = [
    [],
    [],
    [{"start": "12:01", "end": "12:02"}, {"start": "14:00", "end": "14:30", "timeZone": "Europe/Berlin"}],
    [{"days": ["Fri"], "start": "12:03", "end": "12:03"}],
]
"""Events end after 210 seconds, at 12:03:30 on a Friday."""


@dataclass(frozen=True)
class Scenario:
    boxes: list[dict[str, Any]]
    happenings: list[Happening]
    approves_after: float
    """Seconds until somebody approves what waits for that."""
    rollout: dict[str, Any]
    rebuild_on: list[str]
    greeter: dict[str, Any]
    """Gate and build of the second template."""
    takes: float | None
    """Seconds from telling somebody to build it, or from the publication, to their push; None: they never do."""
    labelled: bool
    bad_builds: set[tuple[str, str]]
    bad_at_gate: set[tuple[str, str]]
    bad_in_fleet: set[tuple[str, str]]
    crashes: frozenset[int]
    lose_state: bool
    mishaps: int
    seed: int


scenarios = st.builds(
    Scenario,
    boxes(),
    st.lists(happenings, max_size=6),
    durations,
    st.fixed_dictionaries(
        {
            "maxUnavailable": st.sampled_from([1, 2, 3, "25%", "50%", "100%"]),
            "onFailure": st.sampled_from(["Rollback", "Pause"]),
            "waves": st.sampled_from(WAVES),
            "promoteAfterWave": st.sampled_from([None, None, 0, 1]),
            "windows": st.sampled_from(WINDOWS),
            "approval": st.sampled_from(["None", "None", "Required"]),
            "drain": st.fixed_dictionaries(
                {
                    "timeoutSeconds": st.sampled_from([5, 100]),
                    "onTimeout": st.sampled_from(["Wait", "Proceed"]),
                }
            ),
        }
    ),
    st.sampled_from([["Version"], ["Version", "Template"], ["Version", "Template", "Base"]]),
    st.one_of(
        st.fixed_dictionaries(
            {
                "gate": st.sampled_from(["Required", "AllowFailure"]),
                "build": st.just({"directory": "greeter"}),
            }
        ),
        st.fixed_dictionaries(
            {
                "gate": st.sampled_from(["Required", "AllowFailure", "AllowUntested"]),
                "build": st.sampled_from(
                    [
                        {"strategy": "Follow"},
                        {
                            "strategy": "Dispatch",
                            "dispatch": {"repository": "team/greeter", "timeoutSeconds": 120},
                        },
                    ]
                ),
            }
        ),
    ),
    st.one_of(st.none(), times),
    st.booleans(),
    st.sets(st.tuples(st.sampled_from(VERSIONS[1:]), st.just("greeter")), max_size=1),
    st.sets(st.tuples(st.sampled_from(VERSIONS[1:]), st.sampled_from(TEMPLATES)), max_size=2),
    st.sets(st.tuples(st.sampled_from(VERSIONS[1:]), st.just("ws-1")), max_size=1),
    st.frozensets(st.integers(1, 120), max_size=3),
    st.booleans(),
    st.integers(0, 5),
    st.integers(0, 2**16),
)


async def lived(scenario: Scenario) -> None:
    machine = Machine(seconds, now, bad_at_gate=scenario.bad_at_gate, bad_in_fleet=scenario.bad_in_fleet)
    machine.inputs = {name: sha(name) for name in TEMPLATES}
    machine.add(*(Box(**{**box, "work": list(box["work"])}) for box in scenario.boxes))
    if scenario.greeter["gate"] != "Required":  # else each new process builds once more, and says so
        machine.bad_builds = scenario.bad_builds
    machine.others.labelled = scenario.labelled
    greeter = {"gate": scenario.greeter["gate"], "build": dict(scenario.greeter["build"])}
    ours = "strategy" not in greeter["build"]
    greeter["build"]["rebuildOn"] = [each for each in scenario.rebuild_on if ours or each != "Base"]
    echo = {"build": {"directory": "echo", "rebuildOn": scenario.rebuild_on}}
    templates = [
        {"name": name, "image": f"registry.example/{name}", **more}
        for name, more in zip(TEMPLATES, (echo, greeter), strict=True)
    ]
    registry = {"mode": "Remote", "artifacts": "registry.example/artifacts"}
    rollout, waves = dict(scenario.rollout), scenario.rollout["waves"]
    after = rollout.pop("promoteAfterWave")
    if after is not None and waves:
        rollout["promoteAfterWave"] = waves[after]["name"]
    store = MemoryStore(document(rollout=rollout, templates=templates, registry=registry), machine)
    theirs = store.document.spec.templates[1]
    if not theirs.build.ours:
        machine.deliver(theirs, None)
        machine.others.takes = {} if scenario.takes is None else {theirs.name: scenario.takes}
    world = SimulatedWorld(machine, crashes_at=scenario.crashes, mishaps_left=scenario.mishaps)
    world.disorder = random.Random(scenario.seed)  # noqa: S311 -- disorder, not secrets
    whole = Life(store, world, lose_state=scenario.lose_state, approves_after=scenario.approves_after)
    whole.events = [event for each in scenario.happenings for event in apply(whole, each)]
    # who follows by themselves never says that they will not: so long would be waited for them
    whole.patient = theirs.build.strategy != "Follow" or scenario.takes is not None
    async with asyncio.timeout(12 * HOURS):
        result = await whole.live()
    ends_well(whole, result)
    if not theirs.build.ours:
        world.crashes_at = frozenset()  # whoever watches would have to start again, as `live` does
        await whole.watch(HOURS)  # what comes after its time, or although nobody waits for it, is still taken
    writes = len(store.written)
    await whole.watch(HOURS)
    assert len(store.written) == writes, "an idle object was written"


def ends_well(whole: Life, result: Result) -> None:
    store, machine = whole.store, whole.world.machine
    version = store.document.spec.version
    if isinstance(result, Done):
        assert list(machine.differences(store.document)) == []
        return
    if result.reason == "VersionRefused":
        assert version not in machine.index
        assert any(Version(version) < Version(served) for served in machine.index)
        return
    if isinstance(result, NotYet):
        assert (result.reason, whole.patient) == ("AwaitingDelivery", False)
        assert list(machine.differences(store.document, but={"greeter"})) == [], "the others are through"
        assert store.status.last_known_good == version
        return
    record = machine.records[version]
    assert result.reason in STALLS, result
    assert result.message
    if result.reason == "DispatchSilent":
        assert list(machine.differences(store.document, but={"greeter"})) == [], "silence stopped the others"
        assert store.status.last_known_good == version
        return
    if result.reason == "TagMoved":
        behind = {each.template for each in outstanding_of(whole.last_state()).deliveries}
        assert machine.theirs, "nobody has moved a tag of ours"
        assert list(machine.differences(store.document, but=behind)) == [], "a tag stopped others"
        return
    if result.reason in {"BuildFailed", "Untested"}:
        assert version not in machine.index or record.published_time, (
            "published without an image to try it on"
        )
        return
    if result.reason == "ShapeUnsafe":
        assert list(machine.differences(store.document)) == [], "all that may be done is done"
        return
    if (
        record.failed
        and store.document.spec.rollout.on_failure == "Rollback"
        and store.status.last_known_good
    ):
        still = [
            box.name
            for box in machine.boxes.values()
            if box.ours
            and (image := record.templates.get(box.template or ""))
            and box.image_id == image.image_id
        ]
        assert still == [], "the rollback left somebody behind"


MOVED_AGAIN = Scenario(
    boxes=[],
    happenings=[
        Happening(44.0, "stranger", "echo"),
        Happening(57.0, "resume"),
        Happening(62.0, "stranger", "echo"),
    ],
    approves_after=1.0,
    rollout={
        "waves": [],
        "promoteAfterWave": None,
        "maxUnavailable": 1,
        "onFailure": "Rollback",
        "drain": {"timeoutSeconds": 5, "onTimeout": "Wait"},
    },
    rebuild_on=["Version"],
    greeter={"gate": "Required", "build": {"directory": "greeter"}},
    takes=None,
    labelled=False,
    bad_builds=set(),
    bad_at_gate=set(),
    bad_in_fleet=set(),
    crashes=frozenset(),
    lose_state=False,
    mishaps=0,
    seed=1,
)
"""A tag that its owner had taken back, and that the stranger moves to the very same image again."""


@given(scenarios)
@example(MOVED_AGAIN)
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_sequence_ends_up_to_date_or_in_a_stated_stall(scenario: Scenario) -> None:
    run(lived(scenario))


@pytest.mark.long
@given(scenarios)
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_one_of_many_sequences_ends_up_to_date_or_in_a_stated_stall(scenario: Scenario) -> None:
    run(lived(scenario))


async def upgrade(
    machine: Machine, *, crashes: frozenset[int] = frozenset(), lose_state: bool = False
) -> Life:
    """Bring `machine`, which runs 0.1.0, to 0.1.1."""
    whole = Life(
        MemoryStore(document("0.1.1"), machine), SimulatedWorld(machine, crashes), lose_state=lose_state
    )
    async with asyncio.timeout(HOURS):
        result = await whole.live()
    assert isinstance(result, Done)
    assert list(machine.differences(whole.store.document)) == []
    return whole


@pytest.fixture(scope="module")
def released() -> Machine:
    """A machine whose three targets run 0.1.0."""

    async def begin() -> Machine:
        whole = life(3)
        await whole.live()
        return whole.world.machine

    return run(begin())


@pytest.mark.parametrize("lose_state", [False, True], ids=["state kept", "state lost"])
def test_a_crash_at_every_step_in_turn_converges(released: Machine, *, lose_state: bool) -> None:
    steps = run(upgrade(deepcopy(released))).world.steps
    assert steps > 30
    for step in range(1, steps + 1):
        run(upgrade(deepcopy(released), crashes=frozenset({step}), lose_state=lose_state))
