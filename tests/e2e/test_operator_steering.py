"""What a user of an object in a cluster does by hand: reads its state, and lets a version that failed go on, once."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.model.record import ReleaseRecord, Verdict
from tests.cluster.cluster import Cluster
from tests.e2e.operated import Operated, Operator, condition, eventually
from tests.e2e.wsr import WSR, watching

FAILED = "ws-1 did not come up. Version 0.1.1 is held; `wsr resume` tries it again."


@dataclass(frozen=True)
class User:
    """Somebody with a kubeconfig, and a shell."""

    kubeconfig: Path

    @property
    def environment(self) -> dict[str, str]:
        """All that the verbs see of it."""
        home = str(self.kubeconfig.parent)
        return {"KUBECONFIG": str(self.kubeconfig), "HOME": home, "PATH": "/usr/bin:/bin"}

    async def wsr(self, *words: str) -> tuple[int, str]:
        """The exit code of a verb, with what it printed, or, where it did not end well, what it said of that."""
        call = await asyncio.to_thread(
            subprocess.run,
            [str(WSR), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=self.environment,
        )
        return call.returncode, (call.stderr if call.returncode else call.stdout).rstrip("\n")


def viewer(cluster: Cluster, namespace: str, folder: Path) -> User:
    """Whoever may look at objects, and change none."""
    kubectl = cluster.kubectl
    kubectl("-n", namespace, "create", "serviceaccount", "viewer")
    kubectl(
        "-n",
        namespace,
        "create",
        "role",
        "viewer",
        "--verb=get,list",
        "--resource=workspaceruntimes.runtime.molecule.ai",
    )
    account = f"--serviceaccount={namespace}:viewer"
    kubectl("-n", namespace, "create", "rolebinding", "viewer", "--role=viewer", account)
    token = kubectl("-n", namespace, "create", "token", "viewer").stdout.strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    file = folder / "viewer"
    file.write_text(json.dumps(config))
    return User(file)


async def amend(ground: Operated, version: str, change: Callable[[ReleaseRecord], ReleaseRecord]) -> None:
    """Have somebody else who works with the same records change one."""
    async with Registry(RegistryAccess(ground.repository.partition("/")[0], insecure=True)) as registry:
        await RegistryRecords(registry, f"{ground.repository}/artifacts").amend(version, change)


def failed(record: ReleaseRecord) -> ReleaseRecord:
    """The record of a version that somebody has judged."""
    time = datetime.now(UTC)
    return record.judged(
        Verdict(value="Failed", reason="RolloutFailed", message="ws-1 did not come up.", time=time)
    )


async def test_a_failed_version_goes_on_once_when_whoever_may_edit_the_object_says_so(
    ground: Operated, serving: Operator, cluster: Cluster, tmp_path: Path
) -> None:
    user, here = User(cluster.kubeconfig), ("-n", ground.namespace)
    await ground.workload("ws-1")
    await ground.make("0.1.0")
    await ground.until_ready("0.1.0")
    await amend(ground, "0.1.1", failed)
    await ground.edit(version="0.1.1")
    assert await ground.until_stalled("RolloutFailed") == FAILED
    await ground.edit(annotations={"requested-at": "now"})
    await ground.until(lambda state: state["status"].get("lastHandledReconcileAt") == "now")
    assert await ground.until_stalled("RolloutFailed") == FAILED, "to look anew is no word for a version"

    code, said = await user.wsr("status", "runtime", *here)
    assert (code, FAILED in said) == (0, True)
    assert await user.wsr("image", "echo", *here) == (0, ground.released["0.1.0"].partition("@")[0])
    refused, words = await viewer(cluster, ground.namespace, tmp_path).wsr("resume", *here)
    assert refused == 1
    assert 'cannot patch resource "workspaceruntimes"' in words
    assert await ground.until_stalled("RolloutFailed") == FAILED

    assert await user.wsr("resume", *here) == (0, "What stopped 0.1.1 is tried again.")
    state = await ground.until_ready("0.1.1")
    asked = state["metadata"]["annotations"]["runtime.molecule.ai/resume"]
    assert asked.startswith("0.1.1 ")
    assert await ground.images() == {"ws-1": "0.1.1"}
    code, said = await user.wsr("why", f"{ground.namespace}/Deployment/ws-1", *here, "-o", "json")
    facts = json.loads(said)
    package = state["status"]["package"]
    assert (code, facts["image"]) == (0, ground.released["0.1.1"])
    assert facts["running"] == {"version": "0.1.1", "contentSha256": package["contentSha256"]}
    assert facts["wheelSha256"] == package["wheelSha256"]
    assert facts["verdict"]["verdict"] == "Good"

    await amend(ground, "0.1.1", failed)
    await ground.edit(annotations={"requested-at": "again"})
    state = await ground.until(lambda state: condition(state, "Ready").get("reason") == "RolloutFailed")
    await ground.until_runs(ws_1="0.1.0")
    assert await ground.until_stalled("RolloutFailed") == FAILED, "the same word is not taken up twice"
    assert state["status"]["lastHandledResume"] == asked
    code, said = await user.wsr("why", f"{ground.namespace}/deployment/ws-1", *here)
    lines = dict(line.split(": ", 1) for line in said.splitlines())
    assert (code, lines["image"], lines["next"]) == (0, ground.released["0.1.0"], FAILED)
    assert [line for line in serving.lines() if "error" in line] == []


async def test_what_is_held_stays_and_what_its_owner_has_left_stays_left_when_the_object_is_made_anew(
    ground: Operated, serving: Operator, cluster: Cluster
) -> None:
    user, here, space = User(cluster.kubeconfig), ("-n", ground.namespace), ground.namespace
    held = f"{space}/Deployment/ws-2"
    await ground.workload("ws-1")
    await ground.workload("ws-2")
    await ground.secret("chat", use="notification", url="jsons://127.0.0.1:9/inside")
    told = [{"secretName": "chat", "on": ["Done"]}, {"secretName": "absent", "on": ["Held"]}]
    await ground.make("0.1.0", notifications=told)
    await ground.until_ready("0.1.0")
    assert await user.wsr("hold", held, *here, "--reason", "a demo") == (0, f"{held} is held: a demo")
    await ground.edit(version="0.1.1", rollout={"approval": "Required"})
    asked = await ground.until(
        lambda state: condition(state, "Ready").get("reason") == "AwaitingApproval", seconds=90
    )
    waiting = asked["status"]["awaitingApproval"]
    taken = f"{waiting} is approved; {space}/runtime goes on with it."
    assert await user.wsr("approve", *here, "--hash", waiting) == (0, taken)
    await ground.until_runs(ws_1="0.1.1", ws_2="0.1.0")
    await ground.until(lambda state: condition(state, "Ready").get("reason") == "TargetsHeld")
    assert await user.wsr("resume", held, *here) == (0, f"{held} is no longer held: a demo")
    await ground.until_ready("0.1.1")

    refused = "Version 0.0.9 has no record. Recorded besides 0.1.1: 0.1.0, 0.1.2."
    nothing = "Nothing was changed. Name another one with --to VERSION."
    assert await user.wsr("rollback", *here, "--to", "0.0.9") == (1, f"{refused}\n{nothing}")
    words = "Its owner went back from 0.1.1 to 0.1.0. Version 0.1.1 is held; `wsr resume` tries it again."
    assert await user.wsr("rollback", *here) == (0, words)
    await ground.until_runs(ws_1="0.1.0", ws_2="0.1.0")
    assert await ground.until_stalled("RolledBack") == words
    code, said = await user.wsr("history", *here, "-o", "json")
    facts = json.loads(said)
    assert (code, facts["lastKnownGood"]) == (0, "0.1.0")
    assert [(each["version"], each["verdict"], each["reason"]) for each in facts["history"]] == [
        ("0.1.1", "Failed", "RolledBack"),
        ("0.1.0", "Good", "UpToDate"),
    ]

    await ground.client.delete(ground.place.resource, space, ground.name)
    await ground.until_gone()
    ground.states.clear()
    await ground.make("0.1.1")
    assert await ground.until_stalled("RolledBack") == words
    assert await ground.images() == {"ws-1": "0.1.0", "ws-2": "0.1.0"}
    with watching("status", *here, "--watch", environment=user.environment) as told_of:
        await asyncio.to_thread(told_of, "^Ready .* RolledBack")
        held_all = await user.wsr("hold", *here, "--all", "--reason", "an audit")
        assert held_all == (0, f"{space}/runtime is held: an audit")
        await asyncio.to_thread(told_of, "^Ready .* Held .* The object is held: an audit")
    assert await user.wsr("resume", *here, "--all") == (0, f"{space}/runtime is no longer held: an audit")
    assert await ground.until_stalled("RolledBack") == words
    assert await user.wsr("resume", *here) == (0, "What stopped 0.1.1 is tried again.")
    await ground.until_ready("0.1.1")
    assert [line for line in serving.lines() if "error" in line] == []

    async def nobody_was_called() -> bool:
        why = {
            "whoever Secret chat leads to was not told: 127.0.0.1 is at no address of the internet",
            "whoever Secret absent leads to was not told: spec.notifications[1].secretName names Secret absent, which is",
        }
        return all(any(each in str(line) for line in serving.lines()) for each in why)

    await eventually(nobody_was_called, seconds=60)


async def test_what_cannot_be_told_of_an_object_in_a_cluster_is_refused_in_words(
    ground: Operated, cluster: Cluster, tmp_path: Path
) -> None:
    user, here = User(cluster.kubeconfig), ("-n", ground.namespace)
    space = ground.namespace
    assert await user.wsr("status", *here) == (
        1,
        f"Namespace {space} has no WorkspaceRuntime.\nGive NAME, or another namespace with -n.",
    )
    await ground.make("0.1.0")
    code, said = await user.wsr("status", *here)
    assert (code, said.splitlines()[0]) == (1, f"Nothing is known of WorkspaceRuntime {space}/runtime yet.")
    missing = f'Could not read WorkspaceRuntime {space}/other: workspaceruntimes.runtime.molecule.ai "other" not found.'
    assert await user.wsr("status", "other", *here) == (1, f"{missing}\nList them with: kubectl get wsr -A")
    assert await user.wsr("image", "ecko", *here) == (
        2,
        f"WorkspaceRuntime {space}/runtime lists no template 'ecko'.\nIt lists: echo.",
    )
    nowhere = User(tmp_path / "nowhere")
    nothing = f"No kubeconfig leads to a cluster: there is no {nowhere.kubeconfig}."
    cure = "Name a document of this machine with -f FILE, or set KUBECONFIG."
    assert await nowhere.wsr("status", "runtime") == (1, f"{nothing}\n{cure}")


async def test_why_says_whose_a_target_is_that_is_not_this_objects(
    ground: Operated, serving: Operator, cluster: Cluster
) -> None:
    user, here, space = User(cluster.kubeconfig), ("-n", ground.namespace), ground.namespace
    await ground.workload("ws-1")
    await ground.workload("ws-2")
    await ground.make("0.1.0")
    await ground.until_ready("0.1.0")
    kubectl = cluster.kubectl
    kubectl(
        "-n", space, "annotate", "deployment", "ws-1", "runtime.molecule.ai/owner=other/fleet", "--overwrite"
    )
    kubectl("-n", space, "label", "deployment", "ws-2", "runtime.molecule.ai/managed-")
    for target, *words in (
        (
            f"{space}/Deployment/ws-1",
            f"{space}/Deployment/ws-1 is rolled by WorkspaceRuntime other/fleet, not by {space}/runtime.",
            f"wsr why {space}/Deployment/ws-1 fleet -n other",
        ),
        (
            f"{space}/Deployment/ws-2",
            f"{space}/Deployment/ws-2 is no target: its owner has not consented.",
            f"If they do: kubectl label deployment ws-2 -n {space} runtime.molecule.ai/managed=true",
        ),
        (
            "elsewhere/Deployment/ws-1",
            f"elsewhere/Deployment/ws-1 is no target of WorkspaceRuntime {space}/runtime.",
            f"Write NAMESPACE/Deployment/NAME, NAMESPACE/StatefulSet/NAME or docker/HOST/CONTAINER; its namespaces are: {space}.",
        ),
    ):
        assert await user.wsr("why", target, *here) == (1, "\n".join(words))
    code, said = await user.wsr("why", "docker/prod-1/ws-1", *here)
    assert (
        code,
        said.startswith(f"The status of WorkspaceRuntime {space}/runtime does not name docker/prod-1/ws-1"),
    ) == (1, True)
    assert serving.health("/healthz") == (200, "ok\n")
