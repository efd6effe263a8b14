"""What people steer: going back, holding, suspending, stopped workspaces, work in progress, and a run that watches."""

import json
import re
import shutil
import threading
import time

import pytest

from tests.e2e.scene import Scene
from tests.e2e.wsr import watching


def test_nothing_moves_when_nothing_changed_and_going_back_builds_and_uploads_nothing(rollout: Scene) -> None:
    desk, fleet = rollout.desk, rollout.fleet
    rollout.populate("0.1.0", "plain-1", "polite-1")
    desk.run()
    rollout.assert_all_run("0.1.1")
    shapes = fleet.shapes()
    files = {file.name: file.stat().st_mtime_ns for file in rollout.packages.iterdir()}
    written = desk.status_file.stat().st_mtime_ns

    idle = desk.run()
    assert [line.partition("] ")[2].partition(":")[0] for line in idle.log.splitlines()] == ["UpToDate"]
    assert fleet.shapes() == shapes
    assert desk.status_file.stat().st_mtime_ns == written, "an idle object is written zero times"
    assert idle.seconds < 15

    desk.bump("0.1.0")
    back = desk.run()
    assert not back.lines("(adopt|package|cascade|probe|publish|tag) 0.1.0")
    rollout.assert_all_run("0.1.0")
    after = fleet.shapes()
    assert all(shapes[name].kept_by(after[name]) for name in shapes)
    assert {file.name: file.stat().st_mtime_ns for file in rollout.packages.iterdir()} == files
    tags = {
        name: fleet.client.images.get(f"{desk.image(name)}:{desk.moving_tag}").id
        for name in ("plain", "polite")
    }
    old = rollout.images["0.1.0"]
    assert tags == {name: fleet.client.images.get(old[name]).id for name in old}


def test_what_is_approved_goes_to_a_canary_first_and_to_the_others_when_it_has_soaked(rollout: Scene) -> None:
    desk, fleet = rollout.desk, rollout.fleet
    rollout.populate("0.1.0", "plain-1", "plain-2")
    canary = fleet.add("plain-3", rollout.images["0.1.0"]["plain"], labels={"ring": "canary"})
    fleet.until(canary, "0.1.0")
    fleet.write(canary, "/workspace/note", f"of {canary.name}")
    with desk.editing() as spec:
        spec["rollout"]["waves"] = [
            {"name": "canary", "selector": {"matchLabels": {"ring": "canary"}}, "soakSeconds": 2},
            {"name": "rest"},
        ]
        spec["rollout"]["approval"] = "Required"
    planned = json.loads(desk.wsr("plan", "-o", "json").out)["waves"]
    assert [(wave["name"], len(wave["targets"])) for wave in planned] == [("canary", 1), ("rest", 2)]
    assert planned[0]["targets"] == [f"docker/local/{canary.name}"]

    waits = desk.run(code=3)
    waiting = desk.status()["awaitingApproval"]
    assert f"waits for approval of {waiting}" in waits.log
    assert not waits.lines("(tag|publish|replace) ")
    refused = desk.wsr("approve", "--hash", "12345678")
    assert (refused.code, refused.log.splitlines()[0]) == (
        1,
        f"{waiting} waits for approval, not 12345678; nothing was approved.",
    )
    assert (
        desk.wsr("approve", "--hash", waiting[:8]).out
        == f"{waiting} is approved; the next pass goes on with it.\n"
    )

    ended = desk.run()
    rollout.assert_all_run("0.1.1")
    assert desk.wsr("approve").log.splitlines()[0].endswith(" waits for approval.")
    replaced = [line for line in ended.log.splitlines() if "] replace " in line]
    assert (
        re.findall(r"replace \S+-(plain-3): (?:because|proven)", replaced[0] + replaced[1]) == ["plain-3"] * 2
    )
    assert ended.lines("Soaking: .*canary")
    proven, begun = (float(line.split("s]")[0].strip("[ ")) for line in replaced[1:3])
    assert begun - proven >= 2, "the soak is waited for"


def test_an_object_that_is_suspended_or_held_is_left_alone_until_it_is_not(rollout: Scene) -> None:
    desk, fleet = rollout.desk, rollout.fleet
    rollout.populate("0.1.0", "plain-1")
    before = fleet.shapes()
    with desk.editing() as spec:
        spec["suspend"] = True
    ended = desk.run(code=1)
    assert "Suspended: The object is suspended; set spec.suspend to false to go on." in ended.log
    assert fleet.shapes() == before
    with desk.editing() as spec:
        spec["suspend"] = False

    object_ = f"default/{desk.name}"
    assert desk.wsr("hold", "--reason", "an audit").out == f"{object_} is held: an audit\n"
    held = "The object is held: an audit. `wsr resume` lets it go on, or remove its annotation runtime.molecule.ai/hold."
    ended = desk.run(code=1)
    assert ended.log.splitlines()[-1] == f"Held: {held}"
    assert not ended.lines("because")
    assert held in desk.wsr("plan").out
    assert fleet.shapes() == before
    stalled = desk.condition("Stalled")
    assert stalled is None, "it is as its owner wants it"
    assert desk.wsr("resume").out == f"{object_} is no longer held: an audit\n"
    desk.annotate("hold", "an audit")
    ended = desk.wsr("resume")
    assert ended.log == (
        f"The object is held: an audit, by an annotation in {desk.document} itself.\nEdit it there."
    )
    desk.annotate("hold", None)
    desk.run()
    rollout.assert_all_run("0.1.1")


def test_its_owner_goes_back_for_good_and_a_lost_state_folder_undoes_nothing(rollout: Scene) -> None:
    desk, fleet = rollout.desk, rollout.fleet
    held, free = rollout.populate("0.1.0", "plain-1", "polite-1")
    desk.run()
    rollout.assert_all_run("0.1.1")
    on_hold = desk.wsr("hold", held.name, "nobody", "--reason", "a demo")
    assert on_hold.out == f"{held.name} is held: a demo\nnobody is held: a demo\n"
    both = ", ".join(sorted(f"docker/local/{each.name}" for each in (held, free)))
    assert on_hold.log == f"No target is called nobody now. Targets are: {both}."
    refused = desk.wsr("rollback", "--to", "0.0.9").log
    nothing = "Nothing was changed. Name another one with --to VERSION."
    assert refused == f"Version 0.0.9 has no record. Recorded besides 0.1.1: 0.1.0.\n{nothing}"

    back = "Version 0.1.1 is held; the next pass brings every target back to 0.1.0.\n"
    assert desk.wsr("rollback").out == back
    words = "Its owner went back from 0.1.1 to 0.1.0. Version 0.1.1 is held; `wsr resume` tries it again."
    assert desk.run(code=1).log.splitlines()[-1] == f"RolledBack: {words}"
    assert fleet.versions() == {held.name: "0.1.1", free.name: "0.1.0"}
    assert desk.wsr("image", "polite").out.strip() == rollout.images["0.1.0"]["polite"]
    moving = fleet.client.images.get(f"{desk.image('polite')}:{desk.moving_tag}")
    assert moving.id == fleet.client.images.get(rollout.images["0.1.0"]["polite"]).id
    history = desk.wsr("history").out.splitlines()
    assert [line.split()[:3] for line in history[1:2]] == [["0.1.1", "Failed", "RolledBack"]]
    assert history[-1] == "The last known good version is 0.1.0."

    assert desk.wsr("resume", held.name).out == f"{held.name} is no longer held: a demo\n"
    again = desk.wsr("resume", held.name).log.splitlines()
    assert again[0] == f"{held.name} is neither held nor pinned by that name."
    shutil.rmtree(desk.state)
    assert desk.run(code=1).log.splitlines()[-1] == f"RolledBack: {words}"
    rollout.assert_all_run("0.1.0")
    desk.wsr("resume")
    desk.run()
    rollout.assert_all_run("0.1.1")


@pytest.mark.long
def test_a_run_ends_and_says_so_where_only_targets_are_left_that_may_not_be_moved(rollout: Scene) -> None:
    desk, fleet = rollout.desk, rollout.fleet
    held, shared, free = rollout.populate("0.1.0", "plain-1", "plain-2", "plain-3")
    desk.annotate("hold-targets", f'{{"{held.name}": "a demo for customers"}}')
    ended = desk.run()
    left = f"left alone as asked: docker/local/{held.name} (held: a demo for customers)."
    assert ended.out == f"2 of 3 targets run 0.1.1; {left} Nothing else is left to do.\n"
    assert fleet.versions() == {held.name: "0.1.0", shared.name: "0.1.1", free.name: "0.1.1"}
    rolled_out = desk.condition("RolledOut")
    assert rolled_out is not None
    assert (rolled_out["status"], rolled_out["reason"]) == ("False", "TargetsHeld")
    unreached = desk.run("--until", "RolledOut", code=1)
    assert f"RolledOut is not True. 2 of 3 targets run 0.1.1; {left}" in unreached.log

    desk.annotate("hold-targets", None)
    desk.bump("0.1.0")
    sharer = fleet.client.containers.run(
        rollout.images["0.1.0"]["plain"],
        ["10"],
        name=f"{fleet.prefix}sharer",
        entrypoint="sleep",
        network_mode=f"container:{shared.name}",
        detach=True,
    )
    unsafe = desk.run(code=1).log.splitlines()[-1]
    assert unsafe.startswith("ShapeUnsafe: 2 of 3 targets run 0.1.0; ")
    assert (
        f"docker/local/{shared.name} cannot be replaced: Container {sharer.name} shares its network" in unsafe
    )
    assert desk.run(code=1).log.splitlines()[-1] == unsafe, "it ends as soon when nothing has changed"
    sharer.remove(force=True)
    desk.run()
    rollout.assert_all_run("0.1.0")


def test_held_and_stopped_workspaces_are_respected_and_counted(rollout: Scene) -> None:
    fleet, client = rollout.fleet, rollout.fleet.client
    image = rollout.images["0.1.0"]["plain"]
    held = fleet.add("plain-held", image, labels={"runtime.molecule.ai/hold": "a demo for customers"})
    stopped = fleet.add("plain-stopped", image, running=False)
    free = fleet.add("plain-free", image)
    for workspace in (held, free):
        fleet.until(workspace, "0.1.0")
    ended = rollout.desk.run()

    assert fleet.versions() == {held.name: "0.1.0", free.name: "0.1.1"}
    assert "a demo for customers" in ended.log + ended.out + str(rollout.desk.status())
    assert rollout.desk.status()["rollout"]["held"] == 1
    successor = client.containers.get(stopped.name)
    wanted = client.images.get(rollout.images["0.1.1"]["plain"])
    assert successor.status == "created"
    assert successor.attrs["State"]["StartedAt"].startswith("0001-"), "it was started"
    assert successor.attrs["Image"] == wanted.id
    assert f"wsr-prev-{stopped.name}" in fleet.names(), "kept until the first start is proven"

    again = rollout.desk.run()
    assert not again.lines("replace ")
    successor.start()
    rollout.desk.run()
    fleet.until(stopped, "0.1.1")
    assert fleet.names() == {held.name, free.name, stopped.name}


def test_work_in_progress_is_finished_before_its_workspace_is_replaced(rollout: Scene) -> None:
    busy, idle = rollout.populate("0.1.0", "plain-1", "plain-2")
    answers: list[str] = []
    task = threading.Thread(target=lambda: answers.append(busy.ask("work until /workspace/go: done")))
    task.start()
    running = rollout.desk.start("run", "--once")
    running.until(f"replace docker/local/{idle.name}: proven")
    assert answers == []
    assert rollout.fleet.versions() == {busy.name: "0.1.0", idle.name: "0.1.1"}
    running.until(f"{busy.name}: Drain")
    time.sleep(2)
    assert not running.has_said(f"{busy.name}: (DisarmOld|StopOld)"), "stopped while it worked"
    rollout.fleet.write(busy, "/workspace/go", "")
    running.until(f"{busy.name}: StopOld")
    task.join()
    assert answers == ["done"]
    assert running.end().code == 0
    rollout.assert_all_run("0.1.1")


def test_a_run_that_watches_acts_on_an_edited_document_by_itself(rollout: Scene) -> None:
    workspace = rollout.populate("0.1.1", "plain-1")[0]
    running = rollout.desk.start("run")
    running.until("UpToDate")
    with watching(*rollout.desk.arguments("status", "--watch")) as told:
        told("^Ready .* The only target runs 0.1.1")
        rollout.desk.bump("0.1.0")
        rollout.fleet.until(workspace, "0.1.0")
        told("^Ready .* The only target runs 0.1.0")
    running.until("UpToDate: .*0.1.0")
    assert rollout.desk.wsr("hold", "--reason", "an audit").code == 0
    running.until("Held: The object is held: an audit")
    assert running.interrupt().code == 0
