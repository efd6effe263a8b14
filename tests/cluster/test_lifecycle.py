"""A cluster starts once, comes back with what it had, and leaves nothing, however it ended."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import node
from tests.cluster.cluster import Cluster, existing_cluster
from tests.cluster.configuration import PAUSE_IMAGE
from tests.cluster.place import FIRST_SERVICE, GATEWAY, Place
from tests.parts.ground import REPOSITORY, PartError

OF_A_CLUSTER = (GATEWAY.rpartition(".")[0], FIRST_SERVICE.rpartition(".")[0], "kube", "cni")
KILLED = """
import sys, time
from tests.cluster.cluster import own_cluster
with own_cluster() as cluster:
    print(cluster.own.root, flush=True)
    time.sleep(600)
"""


def pod(cluster: Cluster, name: str = "it") -> dict[str, object]:
    """The smallest pod there is, with a volume in memory."""
    image = f"{cluster.registry}/{PAUSE_IMAGE}"
    mount = {"name": "memory", "mountPath": "/memory"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "it", "image": image, "volumeMounts": [mount]}],
            "volumes": [{"name": "memory", "emptyDir": {"medium": "Memory"}}],
        },
    }


def traces(place: Place) -> dict[str, list[str]]:
    """All that this machine has of a cluster, its folder aside."""
    commands = [_text(entry / "cmdline") for entry in Path("/proc").glob("[0-9]*")]
    files = [
        file
        for folder in ("/var/log/containers", "/var/log/pods", "/var/lib/cni", "/run/netns")
        for file in Path(folder).rglob("*")
    ]
    return {
        # Others' groups come and go meanwhile: walk takes no notice, glob fails.
        "groups": [group for group, _, _ in os.walk("/sys/fs/cgroup") if Path(group).name == place.name],
        "processes": [command for command in commands if str(place.root) in command or place.name in command],
        "mounts": [line for line in _text(Path("/proc/mounts")).splitlines() if str(place.root) in line],
        "files": [
            str(file)
            for file in files
            if place.name in file.name or str(place.root) in _text(file) + str(file.resolve())
        ],
    }


def _text(file: Path) -> str:
    """What is in it; nothing where it is none or has gone."""
    try:
        return file.read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def filter_rules() -> str:
    """The packet filter of this machine, which others change meanwhile: an engine, for each port it publishes."""
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def test_a_cluster_that_runs_is_not_started_again(cluster: Cluster) -> None:
    with pytest.raises(PartError) as second:
        node.start(cluster.own)
    assert (
        str(second.value)
        == f"A cluster runs in {cluster.own.root} already. Use it, or stop it first: python -m tests.cluster stop"
    )
    command = [sys.executable, "-m", "tests.cluster", "--state", str(cluster.own.root), "start"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr == f"Another run uses the cluster in {cluster.own.root}. "
        "Wait for its end, or use another folder.\n"
    )
    assert cluster.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_a_cluster_that_was_stopped_comes_back_with_its_objects_images_and_pods(
    cluster: Cluster, namespace: str
) -> None:
    cluster.apply(pod(cluster), namespace=namespace)
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/it", "--timeout=60s")
    before = cluster.get("pod", "it", namespace=namespace)["status"]["containerStatuses"][0]["containerID"]
    node.stop(cluster.own)
    assert not node.running(cluster.own)
    node.start(cluster.own)
    changed = "--for=jsonpath={.status.containerStatuses[0].restartCount}=1"
    cluster.kubectl("-n", namespace, "wait", changed, "pod/it", "--timeout=60s")
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/it", "--timeout=60s")
    after = cluster.get("pod", "it", namespace=namespace)["status"]["containerStatuses"][0]["containerID"]
    assert after != before


def test_a_daemon_can_be_ended_as_a_fault_and_started_again(cluster: Cluster) -> None:
    cluster.end_daemon("apiserver")
    assert cluster.kubectl("get", "--raw", "/readyz", check=False).returncode
    cluster.start_daemon("apiserver")
    assert cluster.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_what_a_killed_run_left_is_removed_by_the_next_one() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    place = Place(Path(process.stdout.readline().strip()))
    cluster = Cluster(place.outside, "wsr-cluster", place)
    cluster.apply(pod(cluster), namespace="default")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/it", "--timeout=60s")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert [what for what, found in traces(place).items() if not found] == []
    assert [word for word in OF_A_CLUSTER if word in filter_rules()] == []

    node.sweep()
    assert traces(place) == {"groups": [], "processes": [], "mounts": [], "files": []}
    assert not place.root.exists()


def test_a_sweep_leaves_what_somebody_uses_or_keeps() -> None:
    used, kept, left = (Place(node.home() / f"sweep-{word}") for word in ("used", "kept", "left"))
    for place in (used, kept, left):
        with node.alone(place):
            place.folder("etcd")
    node.keep(kept)
    try:
        with node.alone(used):
            node.sweep()
            assert [place.root.exists() for place in (used, kept, left)] == [True, True, False]
    finally:
        for place in (used, kept, left):
            node.wipe(place)
            place.root.with_suffix(".lock").unlink()


def test_a_part_that_does_not_come_up_is_reported_with_its_log_and_nothing_is_left_running() -> None:
    place = Place(node.home() / "broken")
    with node.alone(place):
        try:
            with (
                socket.create_server(("127.0.0.1", place.ports()["api"])),
                pytest.raises(PartError, match=r"(?s)forward of the cluster .*Address already in use"),
            ):
                node.start(place)
            assert not node.running(place)
            assert traces(place)["processes"] == []
        finally:
            node.wipe(place)


def test_an_existing_cluster_is_used_only_when_its_context_is_on_the_list(
    cluster: Cluster, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(json.dumps({"contexts": [{"name": "production"}]}))
    with pytest.raises(PartError) as refused:
        existing_cluster(kubeconfig, "production")
    assert str(refused.value) == (
        "Context 'production' is not one that tests may use, since they make and delete what they like there. "
        "Allowed are names that begin with kind-, k3d-, minikube, wsr-cluster."
    )
    assert existing_cluster(cluster.kubeconfig, cluster.context) == cluster
    found = existing_cluster(kubeconfig, "kind-tests")
    with pytest.raises(PartError, match="Run this without --kube-context"):
        _ = found.registry
