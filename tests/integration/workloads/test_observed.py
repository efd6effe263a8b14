"""What a document rolls in a namespace, and why it leaves the rest alone."""

import asyncio
import json
from dataclasses import replace

import pytest

from controller.api.conditions import Reason
from controller.clients.kube import DEPLOYMENTS, NAMESPACES, PODS, Place
from controller.clients.pods import PodWorkspaces
from controller.model.container import ContainerState
from controller.model.errors import Terminal
from controller.model.observed import Known, Unknown
from controller.model.roll import Marks, Roll
from controller.model.workload import Pod, WorkloadKind
from tests.parts.workloads import CONTENT, Ground, digest, reference


async def test_a_workload_whose_owner_consents_is_a_target(place: Ground) -> None:
    await place.make(place.manifest())
    target = await place.target()
    assert (target.id, target.host) == (f"{place.namespace}/Deployment/ws-1", place.namespace)
    assert (target.template, target.image_id) == ("echo", digest("0.1.5"))
    assert target.reports("0.1.5", CONTENT)
    assert not target.in_transition
    assert (target.barred, target.shape_unsafe, target.hold, target.pin) == (None, None, None, None)


async def test_without_the_label_of_consent_nothing_is_a_target(place: Ground) -> None:
    manifest = place.manifest()
    manifest["metadata"]["labels"] = {}
    await place.make(manifest)
    assert await place.targets() == ()


async def test_a_namespace_that_lets_nobody_in_is_named_with_the_cure(place: Ground) -> None:
    labels = {"metadata": {"labels": {"runtime.molecule.ai/allowed-from": "another"}}}
    await place.cluster.merge(Place(NAMESPACES, None, place.namespace), labels, manager="tests")
    with pytest.raises(Terminal) as caught:
        await place.targets()
    assert str(caught.value) == (
        f"Namespace {place.namespace} does not let objects of namespace {place.namespace} roll its workloads. If its owner "
        f"agrees: kubectl label namespace {place.namespace} runtime.molecule.ai/allowed-from={place.namespace}"
    )
    assert caught.value.reason == Reason.NAMESPACE_NOT_ALLOWED


async def test_the_selector_only_narrows(place: Ground) -> None:
    one, two = place.manifest("ws-1"), place.manifest("ws-2", kind=WorkloadKind.STATEFUL_SET)
    two["metadata"]["labels"]["ring"] = "canary"
    await place.make(one)
    await place.make(two)
    assert [target.name for target in await place.targets()] == ["ws-1", "ws-2"]
    assert [target.labels.get("ring") for target in await place.targets()] == [None, "canary"]
    assert [target.id for target in await place.targets(selector={"ring": "canary"})] == [
        f"{place.namespace}/StatefulSet/ws-2"
    ]


async def test_an_image_without_a_digest_is_no_release(place: Ground) -> None:
    await place.make(place.manifest(image="registry.example/echo:latest"))
    target = await place.target()
    assert (target.template, target.image_id) == ("echo", "")


@pytest.mark.parametrize(
    ("label", "template", "unknown"),
    [
        ("echo", "echo", None),
        ("other", None, "Its label names template other, which is not listed."),
        (None, None, "No listed template has the image registry.example/strange."),
    ],
)
async def test_the_template_is_the_labels_else_the_images(
    place: Ground, label: str | None, template: str | None, unknown: str | None
) -> None:
    manifest = place.manifest(image="registry.example/strange:1")
    if label:
        manifest["metadata"]["labels"]["runtime.molecule.ai/template"] = label
    await place.make(manifest)
    target = await place.target()
    assert (target.template, target.template_unknown) == (template, unknown)


async def test_a_workload_scaled_to_nothing_is_stopped_and_not_unknown(place: Ground) -> None:
    await place.make(place.manifest(replicas=0))
    target = await place.target()
    assert target.state is ContainerState.EXITED
    assert not target.is_running


async def test_one_that_crashes_is_down_already(place: Ground) -> None:
    place.ship("0.1.4", fault="crash")
    manifest = place.manifest(image=reference("0.1.4"))
    await place.cluster.create(DEPLOYMENTS, place.namespace, manifest)
    for _ in range(100):
        target = await place.target()
        if target.state is ContainerState.RESTARTING:
            break
    assert target.state is ContainerState.RESTARTING
    assert isinstance(target.running, Unknown)
    assert "CrashLoopBackOff" in target.running.reason


async def test_of_several_pods_the_busiest_speaks(place: Ground) -> None:
    await place.make(place.manifest(replicas=3))
    assert (await place.target()).busy is False
    pods = await place.workloads.pods(
        (await place.workloads.list(place.namespace, labels=""))[0], "workspace"
    )
    place.node.busy.add(pods[1].name)
    place.workspaces.forget(seconds=0)
    target = await place.target()
    assert target.busy
    assert isinstance(target.running, Known)


async def test_work_that_begins_is_told_within_seconds_and_of_one_that_is_through_only_the_proof_is_kept(
    place: Ground,
) -> None:
    await place.make(place.manifest())
    now = 0.0
    async with PodWorkspaces(place.cluster, url=place.node.url, clock=lambda: now) as place.workspaces:
        first = await place.target()
        place.node.busy.add("ws-1")
        now = 4.9
        assert (await place.target()).busy is False, "told moments ago"
        now = 5.1
        assert (await place.target()).busy is True
        place.node.busy.clear()
        now = 34.9
        settled = await place.target(settled={first.id})
        assert (settled.busy, settled.reports("0.1.5", CONTENT)) == (True, True)
        assert (await place.target()).busy is False, "whoever is to be replaced is asked"
        place.node.busy.add("ws-1")
        now = 95.0
        assert (await place.target(settled={first.id})).busy is True, "no proof is older than a minute"


async def test_a_process_that_took_the_place_of_another_is_asked_at_once(place: Ground) -> None:
    await place.make(place.manifest())
    (workload,) = await place.workloads.list(place.namespace, labels="")
    (pod,) = await place.workloads.pods(workload, "workspace")
    await place.workspaces.report(pod, container="workspace")
    assert place.workspaces.told(pod, container="workspace", seconds=60) is not None
    for other in (replace(pod, restarts=1), replace(pod, container_id="another")):
        assert place.workspaces.told(other, container="workspace", seconds=60) is None
    assert place.workspaces.told(pod, container="another", seconds=60) is None
    place.workspaces.forget(seconds=0)
    assert place.workspaces.told(pod, container="workspace", seconds=60) is None


async def test_while_it_is_rolled_its_new_process_is_left_to_whoever_rolls_it(place: Ground) -> None:
    await place.make(place.manifest())
    (workload,) = await place.workloads.list(place.namespace, labels="")
    begun = Roll(reference("0.1.5"), "0.1.6", CONTENT, (digest("0.1.6"),))
    marks = Marks(place.owner, reference("0.1.6"), begun).annotations()
    await place.workloads.set_image(workload, "workspace", reference("0.1.6"), annotations=marks)
    for _ in range(200):
        pods = [pod for pod in await _running_pods(place) if pod.image == reference("0.1.6")]
        if pods:
            break
        await asyncio.sleep(0.1)
    target = await place.target()
    assert target.in_transition
    assert isinstance(target.running, Unknown)
    assert target.running.reason == f"pod {pods[0].name} has not proven itself yet"
    await place.workspaces.report(pods[0], container="workspace")
    assert (await place.target()).reports("0.1.6", CONTENT)


async def _running_pods(place: Ground) -> list[Pod]:
    (workload,) = await place.workloads.list(place.namespace, labels="")
    pods = await place.workloads.pods(workload, "workspace")
    return [pod for pod in pods if pod.running and not pod.deleting]


async def test_hold_and_pin_are_read_from_the_workload_and_its_namespace(place: Ground) -> None:
    manifest = place.manifest()
    manifest["metadata"]["annotations"] = {"runtime.molecule.ai/hold": "a demo until five"}
    manifest["metadata"]["labels"]["runtime.molecule.ai/pin"] = "0.1.5"
    await place.make(manifest)
    target = await place.target()
    assert (target.hold, target.pin) == ("a demo until five", "0.1.5")
    around = {"runtime.molecule.ai/hold": "an audit", "runtime.molecule.ai/pin": "0.1.4"}
    held = {"metadata": {"annotations": around}}
    await place.cluster.merge(Place(NAMESPACES, None, place.namespace), held, manager="tests")
    target = await place.target()
    assert (target.hold, target.pin) == ("an audit", "0.1.5")


async def test_a_hold_on_one_of_its_pods_holds_a_workload_and_a_pin_on_a_namespace_all_that_say_nothing(
    place: Ground,
) -> None:
    await place.make(place.manifest())
    assert ((await place.target()).hold, (await place.target()).pin) == (None, None)
    pod = (await _running_pods(place))[0]
    held = {"metadata": {"annotations": {"runtime.molecule.ai/hold": "I look into it"}}}
    await place.cluster.merge(Place(PODS, place.namespace, pod.name), held, manager="tests")
    pinned = {"metadata": {"labels": {"runtime.molecule.ai/pin": "0.1.4"}}}
    await place.cluster.merge(Place(NAMESPACES, None, place.namespace), pinned, manager="tests")
    target = await place.target()
    assert (target.hold, target.pin) == (f"I look into it (pod {pod.name})", "0.1.4")


async def test_a_container_that_is_not_there_is_refused(place: Ground) -> None:
    await place.make(place.manifest())
    barred = (await place.target(container="agent")).barred
    assert barred is not None
    assert barred.reason == Reason.CONTAINER_NOT_FOUND
    assert barred.cause == "It has no container agent, only workspace; correct targets.workloads[].container"


async def test_a_shape_that_would_cut_work_comes_with_the_patch_to_apply(place: Ground) -> None:
    manifest = place.manifest(
        replicas=2, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    )
    manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 30
    await place.make(manifest)
    cause = (await place.target()).shape_unsafe
    assert cause is not None
    assert cause.startswith("Its pods get 30 s to end, and work in progress up to 900 s. kubectl -n ")
    patch = cause.partition(" -p '")[2].removesuffix("'")
    await place.cluster.merge(Place(DEPLOYMENTS, place.namespace, "ws-1"), json.loads(patch), manager="owner")
    assert (await place.target()).shape_unsafe is None


async def test_an_address_that_cannot_be_filled_in_is_refused_with_what_may_stand_there(
    place: Ground,
) -> None:
    await place.make(place.manifest())
    async with PodWorkspaces(place.cluster, url="http://{host}:8000") as workspaces:
        (workload,) = await place.workloads.list(place.namespace, labels="")
        (pod,) = await place.workloads.pods(workload, "workspace")
        with pytest.raises(Terminal) as caught:
            await workspaces.report(pod, container="workspace")
    assert str(caught.value) == (
        "WSR_WORKSPACE_URL 'http://{host}:8000' cannot be filled in: 'host'. Use {namespace}, {pod}, {podIP} and {port} only."
    )
