"""`kill -9` of `wsr run` at every boundary: the next run finds what was begun, and finishes or undoes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.client import Workspace
from tests.e2e.scene import Release, Scene

VERSIONS = ("0.1.0", "0.1.1")
FORWARD = (
    "Create",
    "Connect",
    "Drain",
    "DisarmOld",
    "StopOld",
    "RenameOld",
    "RenameNew",
    "StartNew",
    "RestorePolicy",
    "AwaitProof",
    "RemoveOld",
)


@pytest.fixture(scope="module")
def moving(
    second_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Scene, Workspace]]:
    """One workspace with everything that can be lost, moved to and fro between two releases."""
    with second_release.copied(tmp_path_factory.mktemp("moving")) as scene:
        scene.fleet.add("plain-1", scene.images["0.1.1"]["plain"], networks=["front", "back"])
        yield scene, scene.populate("0.1.1")[0]


def kill_at(scene: Scene, line: str) -> None:
    running = scene.desk.start("run", "--once")
    running.until(line)
    running.kill()


def assert_survives(moving: tuple[Scene, Workspace], step: str) -> None:
    scene, workspace = moving
    before = scene.fleet.shapes()[workspace.name]
    wanted = next(version for version in VERSIONS if version != scene.desk.spec["version"])
    uploads = sorted((file.name, file.stat().st_mtime_ns) for file in scene.packages.iterdir())
    scene.desk.bump(wanted)
    kill_at(scene, f"{workspace.name}: {step}$")
    scene.desk.run()
    after = scene.fleet.shapes()[workspace.name]
    scene.assert_all_run(wanted)
    assert before.kept_by(after)
    assert before.identity != after.identity
    assert sorted((file.name, file.stat().st_mtime_ns) for file in scene.packages.iterdir()) == uploads


def test_a_kill_while_neither_container_runs_loses_nothing(moving: tuple[Scene, Workspace]) -> None:
    assert_survives(moving, "StartNew")


@pytest.mark.long
@pytest.mark.parametrize("step", FORWARD)
def test_a_kill_at_any_step_of_a_replacement_loses_nothing(
    moving: tuple[Scene, Workspace], step: str
) -> None:
    assert_survives(moving, step)


def assert_ended(rollout: Scene, step: str, version: str) -> None:
    """A replacement that was killed at `step` is ended although its template has left the document meanwhile."""
    plain, polite = rollout.populate("0.1.0", "plain-1", "polite-1")
    before = rollout.fleet.shapes()[polite.name]
    kill_at(rollout, f"{polite.name}: {step}$")
    with rollout.desk.editing() as spec:
        spec["templates"] = spec["templates"][:1]
    rollout.desk.run()
    assert rollout.fleet.versions() == {plain.name: "0.1.1", polite.name: version}
    assert rollout.fleet.names() == {workspace.name for workspace in rollout.fleet.workspaces}
    assert before.kept_by(rollout.fleet.shapes()[polite.name])
    assert rollout.fleet.read(polite, "/workspace/note") == f"of {polite.name}"


def test_a_replacement_whose_template_left_the_document_is_taken_back(rollout: Scene) -> None:
    assert_ended(rollout, "StopOld", "0.1.0")


@pytest.mark.long
@pytest.mark.parametrize(
    ("step", "version"),
    [("Drain", "0.1.0"), ("RenameOld", "0.1.0"), ("RestorePolicy", "0.1.1"), ("AwaitProof", "0.1.1")],
)
def test_a_replacement_is_ended_wherever_its_template_left_the_document(
    rollout: Scene, step: str, version: str
) -> None:
    assert_ended(rollout, step, version)


BACK = (
    "UndoDisarmNew",
    "UndoStopNew",
    "UndoRenameNew",
    "UndoRenameOld",
    "UndoStartOld",
    "UndoRestorePolicy",
    "UndoRemoveNew",
)


@pytest.fixture(scope="module")
def failing(
    first_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Scene, Workspace]]:
    """0.1.1 is good where it was proven, and fails in the one workspace that there is."""
    with first_release.copied(tmp_path_factory.mktemp("failing")) as scene:
        scene.desk.edit(
            "source/boot_checks.py",
            '    """Nothing is needed."""',
            "    import time\n    from pathlib import Path\n\n"
            '    while Path("/configs/old").exists():\n        time.sleep(0.1)',
        )
        scene.desk.bump("0.1.1")
        with scene.desk.editing() as spec:
            spec["templates"] = spec["templates"][:1]
        scene.desk.run()
        with scene.desk.editing() as spec:
            spec["templates"][0]["startDeadlineSeconds"] = 1
        workspace = scene.populate("0.1.0", "plain-1")[0]
        scene.fleet.write(workspace, "/configs/old", "from before")
        yield scene, workspace


def assert_comes_back(failing: tuple[Scene, Workspace], step: str) -> None:
    scene, workspace = failing
    before = scene.fleet.shapes()[workspace.name]
    kill_at(scene, f"{workspace.name}: {step}$")
    ended = scene.desk.run(code=1)
    assert "is back on its old image" in ended.log
    scene.fleet.until(workspace, "0.1.0")
    after = scene.fleet.shapes()[workspace.name]
    scene.assert_all_run("0.1.0")
    assert before.kept_by(after)
    assert before.identity == after.identity


@pytest.mark.long
@pytest.mark.parametrize("step", BACK)
def test_a_kill_at_any_step_back_loses_nothing(failing: tuple[Scene, Workspace], step: str) -> None:
    assert_comes_back(failing, step)


PUBLICATION = (
    "package {}: because",
    "package {}: molecule",
    "cascade {} .*: because",
    "cascade {} .*: plain",
    "probe {} plain: because",
    "probe {} .*: booted",
    "tag {}: because",
    "tag {}: .*plain",
    "publish {}: because",
    "Uploading .*-{}-py3-none-any.whl",
    "Uploading .*-{}.tar.gz",
    "publish {}: the index",
    "promote {}: because",
    "promote {}: .*latest",
    "judge {}: because",
)


@pytest.fixture(scope="module")
def growing(first_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A desk on which one more version after the other is released."""
    with first_release.copied(tmp_path_factory.mktemp("growing")) as scene:
        with scene.desk.editing() as spec:
            spec["templates"] = spec["templates"][:1]
        yield scene


def assert_published_once(scene: Scene, line: str) -> None:
    patch = max(int(version.rpartition(".")[2]) for version in scene.published()) + 1
    version = f"0.1.{patch}"
    scene.desk.bump(version)
    kill_at(scene, line.format(version.replace(".", "[.]")))
    begun = stamps(scene.packages, version)
    scene.desk.run()
    ended = stamps(scene.packages, version)
    assert len(ended) == 2, "a wheel and an sdist"
    assert begun.items() <= ended.items(), "what was published before the kill was published again"
    record = scene.desk.status()["package"]
    wheel = next(name for name in ended if name.endswith(".whl"))
    assert scene.index.files("molecule-ai-workspace-runtime")[wheel] == record["wheelSha256"]
    again = scene.desk.run()
    assert not again.lines("because"), again.log


def stamps(packages: Path, version: str) -> dict[str, tuple[int, int]]:
    """Inode and time of writing of a version's files on the index."""
    files = [
        file for file in packages.iterdir() if f"-{version}-" in file.name or f"-{version}.tar" in file.name
    ]
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def test_a_kill_between_the_two_files_of_a_publication_publishes_nothing_twice(growing: Scene) -> None:
    assert_published_once(growing, "Uploading .*-{}.tar.gz")


@pytest.mark.long
@pytest.mark.parametrize("line", PUBLICATION)
def test_a_kill_at_any_boundary_of_a_release_publishes_nothing_twice(growing: Scene, line: str) -> None:
    assert_published_once(growing, line)
