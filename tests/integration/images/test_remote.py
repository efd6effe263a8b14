"""Candidates in a registry: what is sent, what is mounted, and that an engine can pull and run them."""

import json
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration.images.small import Ended, Run
from tests.parts.registry import running_registry
from tests.parts.small_wheel import SmallWheel, make_wheel

NewEntry = Callable[..., dict[str, Any]]
PASSWORD = "a password of this test"  # noqa: S105 -- it opens a registry that lives as long as the test


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A registry with a password, and the docker configuration that opens it."""
    folder = tmp_path_factory.mktemp("private")
    with running_registry(folder, users={"robot": PASSWORD}) as address:
        config = folder / "some-config.json"
        config.write_text(json.dumps({"auths": {address: {"username": "robot", "password": PASSWORD}}}))
        yield address, config


@pytest.fixture
def remote(run: Run, place: tuple[str, Path]) -> Run:
    return Run(run.engine, run.out, "Remote", {"insecure": True, "dockerConfig": str(place[1])}, run.index)


def _log(place: tuple[str, Path]) -> Path:
    return place[1].parent / "data" / "docker" / "registry" / "v2"


def _blobs(place: tuple[str, Path]) -> set[str]:
    return {path.parent.name for path in (_log(place) / "blobs").glob("sha256/*/*/data")}


def test_candidates_are_pushed_with_one_new_layer_run_after_a_pull_and_no_secret_is_told(
    remote: Run, place: tuple[str, Path], new_entry: NewEntry, old_wheel: SmallWheel, new_wheel: SmallWheel
) -> None:
    entries = [new_entry("one"), new_entry("two", adapter="x = 2\n")]
    entries = [{**entry, "image": f"{place[0]}/{entry['image']}"} for entry in entries]
    full = remote.cascade(old_wheel, *entries)
    assert full.code == 0
    _tells_no_secret(remote, full)
    before = _blobs(place)
    ended = remote.cascade(new_wheel, *entries)
    made = json.loads((remote.out / "result.json").read_text())["templates"]
    _tells_no_secret(remote, ended)

    # one layer for both, and of each a configuration and a manifest
    assert len(_blobs(place) - before) == 5
    assert {made[name]["built"] for name in made} == {"Append"}
    client = docker.DockerClient(base_url=remote.engine)
    for name, entry in (("one", entries[0]), ("two", entries[1])):
        assert ended.template(name)["digest"] == made[name]["digest"]
        image = client.images.pull(
            f"{entry['image']}@{made[name]['digest']}",
            auth_config={"username": "robot", "password": PASSWORD},
        )
        image_id = str(image.id)
        assert image_id == made[name]["imageId"]
        assert (
            client.containers.run(image_id, remove=True, network_mode="none") == b"molecule-runtime 0.1.1\n"
        )
        assert image.labels["org.opencontainers.image.base.digest"] == made[name]["fullBuild"]["digest"]
        client.images.remove(image_id, force=True)
    _runs_again_without_a_change(remote, place, entries, new_wheel)


def _runs_again_without_a_change(
    remote: Run, place: tuple[str, Path], entries: list[dict[str, Any]], wheel: SmallWheel
) -> None:
    first = json.loads((remote.out / "result.json").read_text())["templates"]
    files = {path: path.stat().st_mtime_ns for path in _log(place).rglob("*") if path.is_file()}
    remote.cascade(wheel, *entries).template("one")
    again = json.loads((remote.out / "result.json").read_text())["templates"]
    assert [again[name]["digest"] for name in first] == [first[name]["digest"] for name in first]
    assert {path: path.stat().st_mtime_ns for path in _log(place).rglob("*") if path.is_file()} == files


def test_an_inventory_that_is_missing_is_taken_from_the_image(
    remote: Run, place: tuple[str, Path], new_entry: NewEntry, old_wheel: SmallWheel, tmp_path: Path
) -> None:
    entry = new_entry("forgotten")
    entry["image"] = f"{place[0]}/{entry['image']}"
    remote.cascade(old_wheel, entry).template("forgotten")
    first = json.loads((remote.out / "result.json").read_text())["templates"]["forgotten"]["fullBuild"]
    stored = Path(first["inventory"]).read_bytes()
    docker.DockerClient(base_url=remote.engine).images.remove(first["image"], force=True)
    elsewhere = Run(remote.engine, tmp_path / "elsewhere", "Remote", remote.registry, remote.index)
    elsewhere.cascade(make_wheel(tmp_path, "0.1.2"), entry).template("forgotten")
    again = json.loads((elsewhere.out / "result.json").read_text())["templates"]["forgotten"]["fullBuild"]
    assert again["digest"] == first["digest"]
    assert Path(again["inventory"]).read_bytes() == stored


def _tells_no_secret(remote: Run, *runs: Ended) -> None:
    told = "".join(json.dumps(ended.report) + ended.log for ended in runs)
    told += "".join(path.read_text() for path in remote.out.rglob("*") if path.is_file())
    assert PASSWORD not in told


def test_wrong_credentials_name_the_registry(
    remote: Run, place: tuple[str, Path], new_entry: NewEntry, old_wheel: SmallWheel, tmp_path: Path
) -> None:
    entry = new_entry("refused")
    entry["image"] = f"{place[0]}/{entry['image']}"
    config = tmp_path / "wrong.json"
    config.write_text(json.dumps({"auths": {place[0]: {"username": "robot", "password": "wrong"}}}))
    wrong = Run(
        remote.engine, remote.out, "Remote", {**remote.registry, "dockerConfig": str(config)}, remote.index
    )
    ended = wrong.cascade(old_wheel, entry)
    assert (ended.code, ended.report["reason"]) == (30, "RegistryUnauthorized")
    assert f"The credentials for {place[0]} are missing, wrong" in ended.report["message"]


def test_a_registry_that_is_down_is_tried_again_later(
    remote: Run, new_entry: NewEntry, old_wheel: SmallWheel
) -> None:
    entry = new_entry("down")
    entry["image"] = f"127.0.0.1:1/{entry['image']}"
    ended = remote.cascade(old_wheel, entry)
    assert (ended.code, ended.report["reason"]) == (20, "RegistryUnavailable")
    assert "127.0.0.1:1 cannot be reached" in ended.report["message"]


def test_a_full_build_that_a_read_only_registry_does_not_take_is_tried_again_later(
    run: Run, new_entry: NewEntry, old_wheel: SmallWheel, tmp_path: Path
) -> None:
    with running_registry(tmp_path / "maintained", read_only=True) as address:
        entry = new_entry("kept-out")
        entry["image"] = f"{address}/{entry['image']}"
        ended = Run(run.engine, run.out, "Remote", {"insecure": True}, run.index).cascade(old_wheel, entry)
    assert (ended.code, ended.report["reason"]) == (20, "RegistryReadOnly")
    assert ended.report["message"] == (
        f"Template kept-out: {address} answered 405 to POST {entry['image']}@sha256:{sha256(b'{}').hexdigest()}. "
        "It takes no writes: end its read-only mode, or name another registry."
    )


def test_the_registry_of_the_tests_wants_a_password(place: tuple[str, Path]) -> None:
    done = subprocess.run(["curl", "-sf", f"http://{place[0]}/v2/"], check=False)
    assert done.returncode == 22  # curl: an HTTP error, here 401
