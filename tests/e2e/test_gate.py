"""What must not become public or stay: candidates that fail at the gate, and a version that fails in a workspace."""

import shutil
from collections.abc import Callable

import pytest

from tests.e2e.desk import Desk
from tests.e2e.scene import Scene


def exits(desk: Desk) -> None:
    desk.edit(
        "source/boot_checks.py",
        '    """Nothing is needed."""',
        '    raise SystemExit("a library is missing")',
    )


def never_gets_ready(desk: Desk) -> None:
    desk.edit("source/boot_checks.py", '    """Nothing is needed."""', "    import time\n\n    time.sleep(2)")
    with desk.editing() as spec:
        for template in spec["templates"]:
            template["startDeadlineSeconds"] = 1


def fails_a_turn(desk: Desk) -> None:
    desk.edit("source/words.py", "def please", "def kindly")


def reports_another_version(desk: Desk) -> None:
    desk.edit("source/identity.py", "importlib.metadata.version(PACKAGE)", '"9.9.9"')


def cannot_read_old_configuration(desk: Desk) -> None:
    desk.edit(
        "source/boot_checks.py",
        '    """Nothing is needed."""',
        "    from pathlib import Path\n\n"
        '    if Path("/configs/old").exists():\n        raise SystemExit("cannot read /configs/old")',
    )


def assert_blocked(scene: Scene, template: str, words: str) -> None:
    """Blocked with template and error named; the index and the workspaces are as they were."""
    before = scene.fleet.shapes()
    ended = scene.desk.run(code=1)
    last = ended.log.splitlines()[-1]
    assert "GateFailed" in last
    assert f"Template {template}: the candidate of 0.1.1 {words}" in last
    stalled = scene.desk.condition("Stalled")
    assert stalled is not None
    assert words in stalled["message"]
    assert scene.published() == ["0.1.0"]
    assert scene.fleet.shapes() == before
    assert scene.fleet.names() == set(before)


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "template", "words"),
    [
        (exits, "plain", "ended with exit code 1 before it was ready; its last words: a library is missing"),
        (reports_another_version, "plain", "reports version '9.9.9' instead of '0.1.1'"),
    ],
)
def test_a_candidate_that_does_not_boot_as_itself_is_stopped_before_publication(
    scene: Scene, fault: Callable[[Desk], None], template: str, words: str
) -> None:
    scene.desk.only("plain")
    scene.populate("0.1.0", "plain-1")
    fault(scene.desk)
    scene.desk.bump("0.1.1")
    assert_blocked(scene, template, words)


def test_a_candidate_that_fails_its_turn_is_stopped_until_the_source_is_corrected(scene: Scene) -> None:
    workspace, _ = scene.populate("0.1.0", "plain-1", "polite-1")
    fails_a_turn(scene.desk)
    scene.desk.bump("0.1.1")
    assert_blocked(
        scene,
        "polite",
        "failed turn 1 of 2: the agent ended the turn as TASK_STATE_FAILED: ImportError: cannot import name 'please'",
    )
    assert "words.py). Version 0.1.1 is held" in scene.desk.run(code=1).log
    assert scene.desk.facts("why", workspace.name)["next"] == (
        "Version 0.1.1 failed and is held; `wsr plan` says why, and what goes back."
    )
    scene.desk.edit("source/words.py", "def kindly", "def please")
    scene.desk.run()
    scene.assert_all_run("0.1.1")
    assert scene.published() == ["0.1.0", "0.1.1"]
    for template in scene.desk.status()["templates"]:
        assert 0 < template["bootSeconds"] < 30
        assert template["memoryBytes"] > 1_000_000


@pytest.mark.long
def test_an_agent_that_never_asks_its_model_is_stopped_unless_it_is_said_to_have_none(scene: Scene) -> None:
    desk = scene.desk
    desk.only("plain")
    workspace, *_ = scene.populate("0.1.0", "plain-1")
    with desk.editing() as spec:
        for template in spec["templates"]:
            template["probe"] = {}
    desk.bump("0.1.1")
    words = "answered turn 1 of 2 without a call of its model; for an agent that has none, set templates[].probe.model: None"
    assert_blocked(scene, "plain", words)
    stalled = desk.condition("Stalled")
    assert stalled is not None
    assert "NoModelCall: Template plain: " in stalled["message"]
    with desk.editing() as spec:
        for template in spec["templates"]:
            template["probe"] = {"model": "None"}
    assert desk.wsr("resume").code == 0
    desk.run()
    scene.assert_all_run("0.1.1")
    for template in desk.status()["templates"]:
        assert 0 < template["bootSeconds"] < 30
        assert template["memoryBytes"] > 1_000_000
    gate = desk.facts("why", workspace.name)["gate"]
    assert gate.keys() == {"bootSeconds", "memoryBytes"}
    assert all(gate.values())


def test_a_template_that_cannot_be_built_is_built_once_and_the_others_never_again(scene: Scene) -> None:
    desk = scene.desk
    with desk.editing() as spec:
        for template in spec["templates"]:
            template["build"]["rebuildOn"] = ["Version", "Template"]
    broken = "ENV ADAPTER_MODULE=adapter\nRUN false"
    desk.edit("templates/polite/Dockerfile", "ENV ADAPTER_MODULE=adapter", broken)
    desk.bump("0.1.1")
    ended = desk.run(code=1)
    assert len(ended.lines("cascade 0.1.1 .*: because")) == 1
    assert "BuildFailed: Template polite: " in ended.log.splitlines()[-1]
    states = {each["name"]: each["state"] for each in desk.status()["templates"]}
    assert states == {"plain": "Unproven", "polite": "Missing"}
    desk.edit("templates/polite/Dockerfile", broken, "ENV ADAPTER_MODULE=adapter")
    again = desk.run()
    assert again.lines("cascade 0.1.1 .1 images.: because polite")
    assert scene.published() == ["0.1.0", "0.1.1"]


@pytest.mark.long
def test_a_candidate_that_is_too_slow_goes_through_when_resumed_with_more_time(scene: Scene) -> None:
    scene.desk.only("plain")
    scene.populate("0.1.0", "plain-1")
    never_gets_ready(scene.desk)
    scene.desk.bump("0.1.1")
    assert_blocked(scene, "plain", "served no agent card within 1 s")
    with scene.desk.editing() as spec:
        for template in spec["templates"]:
            template["startDeadlineSeconds"] = 30
    resumed = scene.desk.wsr("resume")
    assert (resumed.code, resumed.out) == (
        0,
        "Version 0.1.1 is no longer held; the next pass tries it again.\n",
    )
    ended = scene.desk.run()
    assert not ended.lines("package 0.1.1|cascade 0.1.1"), "the candidates were there already"
    scene.assert_all_run("0.1.1")


def test_a_version_that_fails_in_one_workspace_is_taken_back_everywhere_and_stays_held(scene: Scene) -> None:
    desk, fleet = scene.desk, scene.fleet
    desk.only("plain")
    first, second, third = scene.populate("0.1.0", "plain-1", "plain-2", "plain-3")
    fleet.write(second, "/configs/old", "from before")
    cannot_read_old_configuration(desk)
    desk.bump("0.1.1")
    with desk.editing() as spec:
        spec["rollout"]["maxUnavailable"] = 1
    before = fleet.shapes()
    ended = desk.run(code=1)

    assert ended.lines(f"replace docker/local/{first.name}: proven"), "the version had reached somebody"
    assert "cannot read /configs/old" in ended.log
    last = ended.log.splitlines()[-1]
    assert "RolloutFailed" in last
    assert f"docker/local/{second.name}" in last
    assert "`wsr resume`" in last
    scene.assert_all_run("0.1.0")
    after = fleet.shapes()
    assert after[second.name].identity == before[second.name].identity
    assert after[third.name] == before[third.name]
    assert before[first.name].kept_by(after[first.name])
    assert desk.wsr("image", "plain").out.strip() == scene.images["0.1.0"]["plain"]

    shutil.rmtree(desk.state)
    held = desk.run(code=1)
    assert "Version 0.1.1 is held" in held.log
    assert fleet.shapes() == after

    fleet.client.containers.get(second.name).exec_run(["rm", "/configs/old"])
    assert desk.wsr("resume").code == 0
    desk.run()
    scene.assert_all_run("0.1.1")
