"""The demo as a user starts it: what it reports is true, and it leaves nothing behind."""

import itertools
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from tests.e2e.told import TWO_LOOKS_SECONDS, assert_told

ROOT = Path(__file__).resolve().parents[2]


def made_by(name: str, client: docker.DockerClient) -> set[str]:
    """What on the engine carries the name of a demo; other users of the engine come and go."""
    found = [str(one.name) for one in client.containers.list(all=True, ignore_removed=True)]
    found += [str(network.name) for network in client.networks.list()]
    found += [str(volume.name) for volume in client.volumes.list()]
    found += [tag for row in client.api.images() for tag in row["RepoTags"] or ()]
    images = client.api.images(all=True, filters={"label": f"demo.test/name={name}"})
    return {one for one in found if name in one} | {str(row["Id"]) for row in images}


@pytest.fixture
def client(engine: str) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine)
    yield client
    client.close()


@pytest.fixture
def stranger(client: docker.DockerClient, base_image: str) -> Iterator[Container]:
    """A running `ws-*` container that a platform made and that is nobody's business here."""
    name = f"ws-{secrets.token_hex(6)}"
    labels = {"molecule.platform.managed": "true"}
    container = client.containers.run(
        base_image, ["sleep", "900"], name=name, labels=labels, detach=True, stop_signal="KILL"
    )
    container.reload()
    yield container
    container.remove(force=True)


def test_the_demo_reports_what_happened_and_leaves_nothing(
    client: docker.DockerClient, stranger: Container, tmp_path: Path
) -> None:
    name = f"t{secrets.token_hex(3)}"
    born = stranger.attrs["State"]["StartedAt"]
    checkout = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    report = tmp_path / "report.json"
    done = subprocess.run(
        ["make", "demo", f"REPORT={report}"],
        cwd=ROOT,
        env={**os.environ, "DEMO_NAME": name},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert made_by(name, client) == set()
    stranger.reload()
    assert (stranger.attrs["State"]["StartedAt"], stranger.status) == (born, "running")
    after = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, check=True).stdout
    assert after == checkout

    seen = json.loads(report.read_text())
    assert_told(seen)
    assert len(seen["containers"]) >= 8
    for one in seen["containers"]:
        assert (one["before"], one["after"]) == ("0.1.0", "0.1.1")
        assert one["oldId"] != one["newId"]
        assert 0 < one["secondsDown"] < 30
    assert {one["template"] for one in seen["containers"]} == {"echo", "greeter"}
    order = list(seen["timeline"].values())
    # two onlookers, each of whom looks five times a second: the one at the workspaces may be the later one
    assert all(later > earlier - TWO_LOOKS_SECONDS for earlier, later in itertools.pairwise(order)), order
    assert len(order) == 7
