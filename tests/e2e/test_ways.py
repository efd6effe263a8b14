"""The other ways a release can go: a registry, a version that is public already, changed templates, half of the way."""

import json
import shutil

import pytest

from tests.e2e.desk import PACKAGE
from tests.e2e.scene import Scene

_WORK = ("package 0.1.1", "cascade 0.1.1", "probe 0.1.1")


@pytest.mark.long
def test_a_release_goes_through_a_registry_once_around(scene: Scene, registry: str) -> None:
    desk, fleet = scene.desk, scene.fleet
    desk.keep_in(registry)
    first = desk.run()
    assert first.lines("adopt 0.1.0: because the index already serves this version")
    scene.fetch("0.1.0")
    scene.populate("0.1.0", "plain-1", "plain-2")

    desk.bump("0.1.1")
    desk.run()
    scene.assert_all_run("0.1.1")
    released = desk.wsr("image", "plain").out.strip()
    for workspace in fleet.workspaces:
        reference = fleet.client.containers.get(workspace.name).attrs["Config"]["Image"]
        repository, _, digest = reference.partition("@")
        assert repository == released.partition("@")[0]
        assert digest == fleet.client.images.get_registry_data(f"{registry}/{desk.prefix}plain:latest").id
    again = desk.run()
    assert not again.lines("because")


def test_what_one_machine_has_proven_another_one_publishes_and_runs_none_of_it(
    scene: Scene, registry: str
) -> None:
    desk, fleet = scene.desk, scene.fleet
    desk.keep_in(registry)
    desk.bump("0.1.1")
    nothing = desk.wsr("verify", "--static")
    assert (nothing.code, nothing.out) == (1, "")
    assert nothing.log == (
        f"No wheel of 0.1.1 is recorded.\nRun: wsr run -f {desk.document} --once --until ImagesBuilt"
    )
    first = desk.run("--until", "ImagesBuilt")
    assert [len(first.lines(work)) > 0 for work in _WORK] == [True] * 3
    proof = desk.wsr("verify", "--static", "--format", "json")
    served = set(scene.index.files(PACKAGE))

    shutil.rmtree(desk.state)
    for image in fleet.client.images.list(f"{registry}/{desk.prefix}plain"):
        fleet.client.images.remove(str(image.id), force=True)
    second = desk.run("--until", "Published")
    assert [second.lines(work) for work in _WORK] == [[]] * 3
    wheel = f"{PACKAGE.replace('-', '_')}-0.1.1-py3-none-any.whl"
    assert wheel not in served
    assert json.loads(proof.out)["sha256"] == scene.index.files(PACKAGE)[wheel]


def test_a_version_that_the_index_serves_already_is_taken_over_without_its_source(rollout: Scene) -> None:
    desk = rollout.desk
    rollout.populate("0.1.0", "plain-1", "polite-1")
    files = {file.name: file.stat().st_mtime_ns for file in rollout.packages.iterdir()}
    shutil.rmtree(desk.source)
    shutil.rmtree(desk.state)
    rollout.fleet.client.volumes.get(desk.records).remove()
    ended = desk.run()
    assert ended.lines("adopt 0.1.1: because the index already serves this version")
    assert not ended.lines("package 0.1.1|Uploading")
    rollout.assert_all_run("0.1.1")
    wheel = f"{PACKAGE.replace('-', '_')}-0.1.1-py3-none-any.whl"
    assert desk.status()["package"]["wheelSha256"] == rollout.index.files(PACKAGE)[wheel]
    assert {file.name: file.stat().st_mtime_ns for file in rollout.packages.iterdir()} == files


@pytest.mark.long
def test_a_changed_template_waits_for_a_version_unless_it_may_rebuild_by_itself(scene: Scene) -> None:
    desk, fleet = scene.desk, scene.fleet
    workspace, other = scene.populate("0.1.0", "plain-1", "polite-1")
    before = fleet.shapes()
    desk.edit("templates/plain/Dockerfile", "USER agent\n", "ENV CHANGED=yes\nUSER agent\n")
    quiet = desk.run()
    assert not quiet.lines("cascade|replace")
    updates = {template["name"]: template["updateAvailable"] for template in desk.status()["templates"]}
    assert updates == {"plain": "DockerfileChanged", "polite": None}
    assert "UpdateAvailable" in desk.wsr("status").out
    plan = {entry["name"]: entry for entry in desk.facts("plan")["templates"]}
    assert plan["plain"]["reason"] == "DockerfileChanged"
    assert plan["plain"]["build"] is False

    with desk.editing() as spec:
        for template in spec["templates"]:
            template["build"]["rebuildOn"] = ["Version", "Template"]
    ended = desk.run()
    assert ended.lines("cascade 0.1.0 .*: because plain: DockerfileChanged$")
    assert not ended.lines("publish 0.1.0|Uploading|probe 0.1.0 polite")
    scene.assert_all_run("0.1.0")
    environment = fleet.client.containers.get(workspace.name).attrs["Config"]["Env"]
    assert "CHANGED=yes" in environment
    after = fleet.shapes()
    assert after[other.name] == before[other.name]
    assert before[workspace.name].kept_by(after[workspace.name])


@pytest.mark.long
def test_a_run_can_be_told_to_stop_on_the_way(scene: Scene) -> None:
    desk = scene.desk
    desk.only("plain")
    scene.populate("0.1.0", "plain-1")
    before = scene.fleet.shapes()
    desk.bump("0.1.1")
    desk.run("--until", "ImagesBuilt")
    assert scene.published() == ["0.1.0"]
    desk.run("--until", "Published")
    assert scene.published() == ["0.1.0", "0.1.1"]
    assert scene.fleet.shapes() == before
    rest = desk.run()
    assert not rest.lines("package|cascade|probe|publish 0.1.1")
    scene.assert_all_run("0.1.1")
