"""Where there are two: one publishes and the other waits, a second claim to a package or a tag stops, the newer release wins."""

import asyncio
import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from builder.contract import Outcome, PackageRun, PublishRun
from builder.oci import Client, NotFound, Reference
from tests.demo.client import Workspace
from tests.e2e.desk import PACKAGE, Desk
from tests.e2e.scene import Release, Scene
from tests.e2e.test_two_publishers import builder
from tests.parts.engine import OwnEngine
from tests.parts.servers import free_port

ELSEWHERE = f"Somebody else publishes {PACKAGE}, and the index does not serve {{}} yet."
WORK = "package|cascade|probe|Uploading|publish"


def ci_publishes(desk: Desk, source: Path, version: str, folder: Path) -> None:
    """Somebody's CI builds a version from a source and uploads it."""
    made = PackageRun(source=source, version=version, out=folder / "tree", dist=folder / "dist")
    assert builder("package", *made.arguments()).wait() == Outcome.DONE
    index = desk.spec["package"]["index"]
    upload = PublishRun(
        files=(folder / "dist",),
        upload_url=index["uploadURL"],
        simple_url=index["simpleURL"],
        deadline_seconds=20,
        credentials=desk.folder / "secrets" / "index",
    )
    assert builder("publish", *upload.arguments()).wait() == Outcome.DONE


def condition(desk: Desk, type_: str) -> tuple[str, str, str]:
    found = desk.condition(type_)
    assert found is not None
    return found["status"], found["reason"], found["message"]


def test_a_version_that_ci_publishes_is_waited_for_and_rolled_out_as_soon_as_the_index_tells(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = scene.desk
    theirs = desk.source.rename(tmp_path / "theirs")
    desk.only("plain")
    scene.populate("0.1.0", "plain-1")
    before = scene.fleet.shapes()
    with desk.editing() as spec:
        spec["package"]["publish"] = "External"
        spec["version"] = "0.1.1"
    assert f"PublishedElsewhere: {ELSEWHERE.format('0.1.1')}" in desk.run("--wait", "2s", code=3).log
    assert condition(desk, "Reconciling")[1:] == ("PublishedElsewhere", ELSEWHERE.format("0.1.1"))
    assert condition(desk, "Published")[0] == "False"
    assert desk.condition("Stalled") is None

    at = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("WSR_HOOK_SECRET", "a secret of this test")
    running = desk.start("run", "--listen", at)
    running.until("PublishedElsewhere")
    ci_publishes(desk, theirs, "0.1.1", tmp_path)
    assert scene.fleet.shapes() == before
    hook = urllib.request.Request(
        f"http://{at}/hooks/index", b"", {"Authorization": "Bearer a secret of this test"}
    )
    with urllib.request.urlopen(hook) as answer:  # noqa: S310 -- loopback
        assert answer.status == 202
    running.until("adopt 0.1.1: because the index already serves this version", seconds=6)
    running.until("UpToDate")
    ended = running.interrupt()
    assert not ended.lines("package 0.1.1|Uploading|publish 0.1.1")
    scene.assert_all_run("0.1.1")
    wheel = f"{PACKAGE.replace('-', '_')}-0.1.1-py3-none-any.whl"
    assert desk.status()["package"]["wheelSha256"] == scene.index.files(PACKAGE)[wheel]


@pytest.fixture(scope="module")
def first(first_release: Release, registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The object that publishes and owns the tags; it has released 0.1.1 from its source into a registry."""
    with first_release.copied(tmp_path_factory.mktemp("first")) as scene:
        scene.desk.keep_in(registry)
        scene.desk.bump("0.1.1")
        scene.desk.run()
        scene.fetch("0.1.1")
        yield scene


@pytest.fixture
def machine(first: Scene, tmp_path: Path) -> Iterator[Scene]:
    """Another machine with the same object."""
    with first.beside(tmp_path / "machine") as scene:
        yield scene


@pytest.fixture
def second(machine: Scene) -> Scene:
    """Another object with the same package and template, a workspace of its own, and the same records."""
    machine.desk.rename(f"{machine.desk.prefix}second")
    return machine


def next_versions(first: Scene, count: int) -> list[str]:
    """Versions above all that are known, in order."""
    newest = max(int(version.rpartition(".")[2]) for version in first.published())
    return [f"0.1.{newest + number}" for number in range(1, count + 1)]


def release_next(first: Scene) -> str:
    (version,) = next_versions(first, 1)
    first.desk.bump(version)
    first.desk.run()
    return version


def key(scene: Scene) -> str:
    return f"default/{scene.desk.name}"


def populate(scene: Scene) -> tuple[str, str]:
    """Start a workspace of the version that is asked for now; return that version and the workspace's name."""
    version = str(scene.desk.spec["version"])
    scene.fetch(version)
    (workspace,) = scene.populate(version, "plain-1")
    return version, workspace.name


def digest(name: str) -> str:
    """What a tag in the registry stands for; empty for nothing."""

    async def look() -> str:
        async with Client(insecure=True) as client:
            try:
                return (await client.head(Reference.parse(name))).digest
            except NotFound:
                return ""

    return asyncio.run(look())


def latest(scene: Scene) -> str:
    return digest(f"{scene.desk.image('plain')}:latest")


def record(scene: Scene, version: str) -> dict[str, object]:
    """The release record of a version."""
    reference = Reference.parse(f"{scene.desk.spec['registry']['artifacts']}:{version}")

    async def read() -> bytes:
        async with Client(insecure=True) as client:
            manifest = await client.manifest(reference)
            return await client.blob(reference, manifest.layers[0])

    found: dict[str, object] = json.loads(asyncio.run(read()))
    return found


@pytest.mark.long
def test_a_second_object_neither_publishes_a_package_nor_takes_a_tag_and_goes_on_with_what_the_first_one_publishes(
    first: Scene, second: Scene
) -> None:
    desk = second.desk
    before, _ = populate(second)
    (version,) = next_versions(first, 1)
    desk.bump(version)
    ended = desk.run(code=1)
    take_over = f"annotate this object with runtime.molecule.ai/take-over: {key(first)}."
    told = (
        f"{key(first)} publishes {PACKAGE}: its last version is {before}. Set package.publish to External here, so that its"
        f" versions are waited for; or, if {key(first)} is no more, {take_over}"
    )
    assert ended.log.splitlines()[-1] == f"PublisherConflict: {told}"
    assert not ended.lines("because")
    assert condition(desk, "Stalled") == ("True", "PublisherConflict", told)
    assert condition(desk, "Published") == ("False", "PublisherConflict", told)
    assert version not in second.published()
    second.assert_all_run(before)

    with desk.editing() as spec:
        spec["package"]["publish"] = "External"
    running = desk.start("run")
    running.until(f"PublishedElsewhere: {re.escape(ELSEWHERE.format(version))}")
    first.desk.bump(version)
    first.desk.run()
    running.until("UpToDate", seconds=30)
    ended = running.interrupt()
    assert not ended.lines(f"Uploading|(package|publish|promote) {version}")
    second.assert_all_run(version)
    assert record(first, version)["publisher"] == key(first)
    assert not first.desk.run().lines("because")
    assert first.desk.status()["lastKnownGood"] == version

    desk.bump(before)
    ended = desk.run(code=1)
    taken, tag = latest(first), f"{desk.image('plain')}:latest"
    told = (
        f"{tag} belongs to {key(first)}: it stands for its version {version}. Set promote to false for template plain in one"
        f" of the two objects; or, if {key(first)} is no more, {take_over}"
    )
    assert ended.log.splitlines()[-1] == f"PublisherConflict: {told}"
    assert condition(desk, "Stalled") == ("True", "PublisherConflict", told)
    with desk.editing() as spec:
        spec["templates"][0]["promote"] = False
    desk.run()
    second.assert_all_run(before)
    assert latest(first) == taken == digest(first.desk.wsr("image", "plain").out.strip())
    assert not first.desk.run().lines("because")


@pytest.mark.long
def test_what_one_object_built_stays_its_own_when_another_one_sees_it_public_first(
    first: Scene, second: Scene, tmp_path: Path
) -> None:
    """The first one dies between its upload and the note of it, and the second one is told of the upload."""
    populate(second)
    (version,) = next_versions(first, 1)
    first.desk.bump(version)
    first.desk.run("--until", "ImagesBuilt")
    built = record(first, version)
    ci_publishes(first.desk, first.desk.source, version, tmp_path / "upload")
    with second.desk.editing() as spec:
        spec["package"]["publish"] = "External"
        spec["templates"][0]["promote"] = False
        spec["version"] = version
    ended = second.desk.run()
    assert not ended.lines(f"(package|cascade|probe) {version}"), "it was built and proven already"
    second.assert_all_run(version)
    known = record(first, version)
    assert {name: known[name] for name in ("publisher", "wheel", "treeSha256", "recordedTime")} == {
        name: built[name] for name in ("publisher", "wheel", "treeSha256", "recordedTime")
    }
    assert not first.desk.run().lines(f"(package|cascade|probe|publish) {version}")
    assert release_next(first) in first.published(), "the first one still publishes"


@pytest.mark.long
def test_a_second_object_with_records_of_its_own_takes_no_tag_from_the_first_one_either(
    first: Scene, second: Scene
) -> None:
    desk = second.desk
    taken = latest(first)
    (version,) = next_versions(first, 1)
    with desk.editing() as spec:
        spec["registry"]["artifacts"] += "-of-second"
        spec["version"] = version
    ended = desk.run(code=1)
    tag = f"{desk.image('plain')}:latest"
    assert ended.log.splitlines()[-1] == (
        f"PublisherConflict: {tag} belongs to {key(first)}, as {tag}.owner says. Set promote to false for its template in"
        f" one of the two objects; or, if {key(first)} is no more, delete {tag}.owner. Then run again."
    )
    assert latest(first) == taken
    with desk.editing() as spec:
        spec["templates"][0]["promote"] = False
    desk.run()
    assert latest(first) == taken


@contextmanager
def working(workspace: Workspace) -> Iterator[None]:
    """Let a workspace work on a task until somebody writes /workspace/go; the task must come to its end."""
    answers: list[str] = []
    task = threading.Thread(target=lambda: answers.append(workspace.ask("work until /workspace/go: done")))
    task.start()
    while not workspace.runtime()["activeTasks"]:
        time.sleep(0.02)
    yield
    task.join()
    assert answers == ["done"]


def assert_nothing_is_mixed(scene: Scene, version: str) -> None:
    """The workspaces of a machine run the version's one image, which says of itself that it holds the recorded wheel."""
    known = record(scene, version)
    image = known["templates"]["plain"]  # type: ignore[index]  # a JSON object
    for workspace in scene.fleet.workspaces:
        container = scene.fleet.client.containers.get(workspace.name)
        assert container.attrs["Config"]["Image"] == f"{image['image'].partition('@')[0]}@{image['digest']}"
        labels = container.attrs["Config"]["Labels"]
        assert labels["ai.molecule.runtime.version"] == version
        assert labels["ai.molecule.runtime.wheel-sha256"] == known["wheel"]["sha256"]  # type: ignore[index]  # a JSON object
    wheel = f"{PACKAGE.replace('-', '_')}-{version}-py3-none-any.whl"
    assert scene.index.files(PACKAGE)[wheel] == known["wheel"]["sha256"]  # type: ignore[index]  # a JSON object
    assert digest(image["image"]) == image["digest"]


@pytest.mark.long
def test_a_release_that_is_overtaken_while_it_waits_for_work_leaves_the_tags_to_the_newer_one(
    first: Scene, machine: Scene
) -> None:
    """Two machines release one after the other; the older one has published, and waits for a task, when the newer one ends."""
    populate(machine)
    older, newer = next_versions(first, 2)
    (busy,) = machine.fleet.workspaces
    with working(busy):
        machine.desk.bump(older)
        running = machine.desk.start("run", "--once")
        running.until(f"{busy.name}: Drain")
        first.desk.bump(newer)
        first.desk.run()
        won = latest(first)
        machine.fleet.write(busy, "/workspace/go", "")
        ended = running.end()
    tag = f"{first.desk.image('plain')}:latest"
    told = (
        f"{tag} stands for {newer}, which was released elsewhere and is newer than {older}."
        " It stays there; `wsr resume` moves it back."
    )
    assert (ended.code, ended.log.splitlines()[-1]) == (1, f"NewerReleased: {told}")
    assert condition(machine.desk, "Stalled") == ("True", "NewerReleased", told)
    machine.assert_all_run(older)
    assert latest(first) == won == digest(first.desk.wsr("image", "plain").out.strip())
    assert_nothing_is_mixed(machine, older)
    assert not first.desk.run().lines("because")
    assert first.desk.status()["lastKnownGood"] == newer

    machine.desk.bump(newer)
    assert not machine.desk.run().lines(f"(adopt|{WORK}|promote) {newer}")
    machine.assert_all_run(newer)
    assert_nothing_is_mixed(machine, newer)


@pytest.mark.long
def test_a_release_that_is_overtaken_before_it_is_public_stays_unpublished(
    first: Scene, machine: Scene
) -> None:
    version, _ = populate(machine)
    older, newer = next_versions(first, 2)
    machine.desk.bump(older)
    machine.desk.run("--until", "ImagesBuilt")
    first.desk.bump(newer)
    first.desk.run()
    won = latest(first)
    ended = machine.desk.run(code=1)
    assert ended.log.splitlines()[-1].startswith(
        f"VersionRefused: Version {older} is lower than {newer}, the newest final release that the index serves, "
    )
    assert older not in machine.published()
    machine.assert_all_run(version)
    assert latest(first) == won


@pytest.fixture
def elsewhere(first: Scene, second_engine: OwnEngine, tmp_path: Path) -> Iterator[Scene]:
    """A machine with an engine of its own and the same object."""
    client = docker.DockerClient(base_url=second_engine.endpoint)
    try:
        with first.beside(tmp_path / "elsewhere", second_engine.endpoint, client) as scene:
            yield scene
    finally:
        client.close()


@pytest.mark.long
@pytest.mark.parametrize("at", ["package", "cascade", "probe", "(tag|publish)", "replace", "promote"])
def test_of_two_releases_at_once_the_newer_one_wins_and_neither_gets_anything_of_the_other(
    first: Scene, elsewhere: Scene, at: str
) -> None:
    """The newer one begins when the older one does what is named, so that they meet at different stages."""
    before, _ = populate(elsewhere)
    older, newer = next_versions(first, 2)
    elsewhere.desk.bump(older)
    running = elsewhere.desk.start("run", "--once")
    running.until(f"{at} .*: because")
    first.desk.bump(newer)
    first.desk.run()
    ended = running.end()
    last = ended.log.splitlines()[-1]
    assert ended.code == 0 or re.match("NewerReleased: |VersionRefused: ", last), ended.log
    assert not first.desk.run().lines("(package|cascade|probe|publish|replace)")
    assert latest(first) == digest(first.desk.wsr("image", "plain").out.strip())
    assert first.desk.status()["lastKnownGood"] == newer
    if older in first.published():
        elsewhere.assert_all_run(older)
        assert_nothing_is_mixed(elsewhere, older)
    else:
        elsewhere.assert_all_run(before)
