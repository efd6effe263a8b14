"""The demo in a cluster as a user starts it: what it reports is true, and it leaves nothing behind."""

import itertools
import json
import os
import secrets
import subprocess
from pathlib import Path

import docker
import pytest

from tests.cluster import node
from tests.cluster.place import Place
from tests.e2e.told import TWO_LOOKS_SECONDS, assert_told
from tests.parts.ground import REPOSITORY, cache_dir
from tests.parts.leftovers import image_names


@pytest.mark.long
def test_the_demo_in_a_cluster_reports_what_happened_and_leaves_nothing(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    name = f"t{secrets.token_hex(3)}"
    report = tmp_path / "report.json"
    done = subprocess.run(
        ["make", "demo-kubernetes", f"REPORT={report}"],
        cwd=REPOSITORY,
        env={**os.environ, "DEMO_NAME": name},
        capture_output=True,
        text=True,
        timeout=1800,  # a machine that has never had a cluster builds its programs
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    place = Place(node.home() / f"demo-{name}")
    assert not place.root.exists()
    assert not node.running(place)
    assert not (cache_dir("demo-kubernetes") / name).exists()
    assert [image for image in image_names(client) if name in image] == []

    assert "$ kubectl -n molecule apply -f runtime.yaml" in done.stdout
    assert "$ kubectl -n molecule wait --for=condition=Ready wsr/molecule-runtime" in done.stdout
    seen = json.loads(report.read_text())
    assert_told(seen)
    workloads = seen["workloads"]
    assert len(workloads) >= 8
    assert {(one["before"], one["after"]) for one in workloads} == {("0.1.0", "0.1.1")}
    assert {one["kind"] for one in workloads} == {"Deployment", "StatefulSet"}
    assert {one["namespace"] for one in workloads} == {"agents"}
    assert len({(one["kind"], one["name"]) for one in workloads}) == len(workloads)
    assert 0 < seen["seconds"] < 600
    times = seen["timeline"]
    order = ("wheel", "candidates", "proven", "published", "firstWorkload", "lastWorkload", "promoted")
    assert set(times) == set(order)
    # several onlookers, each of whom looks five times a second
    assert all(
        times[later] > times[earlier] - TWO_LOOKS_SECONDS for earlier, later in itertools.pairwise(order)
    )
