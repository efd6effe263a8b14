"""What is refused before anything is touched, and what waits for somebody without losing work."""

from pathlib import Path

import pytest

from tests.e2e.desk import Desk
from tests.e2e.proxy import before_unix
from tests.e2e.scene import Scene
from tests.parts.index import Index

NOWHERE = Index("http://127.0.0.1:9/", "http://127.0.0.1:9/simple/", "ci", "secret")


def test_a_document_that_is_not_valid_is_told_in_one_message_and_touches_nothing(tmp_path: Path) -> None:
    engine = tmp_path / "engine.sock"
    desk = Desk.lay_out(
        tmp_path / "desk", prefix="never-", engine=f"unix://{engine}", index=NOWHERE, base_image="none"
    )
    desk.edit("runtime.yaml", "  version: 0.1.0\n", "  version: 0.1.0\n  suspended: false\n")
    # Nothing may even be asked: an engine that is asked for anything notes it.
    with before_unix(tmp_path / "none.sock", engine) as proxy:
        for verb in ("run", "plan"):
            ended = desk.wsr(verb, *(["--once"] if verb == "run" else []))
            assert ended.code == 2
            complaint = "7: spec.suspended: unknown field; did you mean suspend?"
            assert ended.log == f"{desk.document}:{complaint}\nNothing was touched."
            assert ended.out == ""
        assert proxy.asked == []
    assert not desk.state.exists()


@pytest.mark.parametrize("mode", ["Engine", pytest.param("Remote", marks=pytest.mark.long)])
def test_a_version_below_the_newest_is_refused_before_anything_is_built(
    scene: Scene, registry: str, mode: str
) -> None:
    desk = scene.desk
    if mode == "Remote":
        repository = f"{registry}/{desk.prefix}refused"
        with desk.editing() as spec:
            spec["registry"] = {"mode": "Remote", "artifacts": f"{repository}-artifacts", "insecure": True}
            for template in spec["templates"]:
                template["image"] = f"{repository}-{template['name']}"
    desk.bump("0.0.9")
    refused = (
        "Version 0.0.9 is lower than 0.1.0, the newest final release that the index serves, and a "
        "final release must be higher. Ask for a version above 0.1.0; release on an earlier line by its own name, "
        "such as 0.0.9.post1 or 0.0.9rc1; or, if 0.1.0 was a mistake, yank it on the index."
    )
    plan = desk.facts("plan")
    assert (plan["held"], plan["publish"], plan["waves"][0]["targets"]) == (refused, False, [])
    assert refused in desk.wsr("plan").out.splitlines()
    ended = desk.run(code=1)
    assert ended.log.splitlines()[-1] == f"VersionRefused: {refused}"
    assert not ended.lines("because")
    stalled = desk.condition("Stalled")
    assert stalled is not None
    assert (stalled["reason"], stalled["message"]) == ("VersionRefused", refused)
    assert scene.published() == ["0.1.0"]


def test_a_secret_that_is_missing_is_named_with_the_place_where_it_should_be(scene: Scene) -> None:
    with scene.desk.editing() as spec:
        spec["package"]["index"]["credentialsSecretName"] = "absent"
    scene.desk.bump("0.1.1")
    ended = scene.desk.run(code=2)
    folder = scene.desk.folder / "secrets" / "absent"
    assert (
        "spec.package.index.credentialsSecretName names Secret absent, which cannot be read from "
        f"{folder}: No such file or directory." in ended.log
    )
    assert f"Create {folder} with one file per key" in ended.log
    assert scene.published() == ["0.1.0"]


def test_without_credentials_the_proven_candidates_are_kept_until_there_are_some(scene: Scene) -> None:
    desk = scene.desk
    desk.only("plain")
    scene.populate("0.1.0", "plain-1")
    before = scene.fleet.shapes()
    with desk.editing() as spec:
        name = spec["package"]["index"].pop("credentialsSecretName")
    desk.bump("0.1.1")
    ended = desk.run(code=1)
    assert ended.lines("CredentialsMissing: There are no credentials for uploads to .* PYPI_TOKEN")
    published = desk.condition("Published")
    assert published is not None
    assert (published["status"], published["reason"]) == ("False", "CredentialsMissing")
    assert scene.published() == ["0.1.0"]
    assert scene.fleet.shapes() == before

    with desk.editing() as spec:
        spec["package"]["index"]["credentialsSecretName"] = name
    ended = desk.run()
    assert not ended.lines("package 0.1.1|cascade 0.1.1|probe 0.1.1")
    scene.assert_all_run("0.1.1")


def test_a_second_run_on_the_same_state_folder_steps_back_and_the_first_one_finishes(rollout: Scene) -> None:
    rollout.populate("0.1.0", "plain-1")
    first = rollout.desk.start("run")
    first.until("replace docker/local/.*: because")
    second = rollout.desk.run(code=1)
    assert second.log == (
        f"Another wsr run (process {first.process.pid}) works on this object with state folder"
        f" {rollout.desk.status_file.parent}.\n"
        "Let it finish or stop it; two of them on one object would undo each other's work."
    )
    first.until("UpToDate")
    first.interrupt()
    rollout.assert_all_run("0.1.1")


def test_a_run_that_is_asked_to_end_says_so_and_the_next_one_goes_on(rollout: Scene) -> None:
    rollout.populate("0.1.0", "plain-1")
    running = rollout.desk.start("run")
    running.until("RenameOld$")
    ended = running.interrupt()
    assert ended.code == 0
    assert ended.log.splitlines()[-1] == "Stopped; the next run goes on from here."
    rollout.desk.run()
    rollout.assert_all_run("0.1.1")
