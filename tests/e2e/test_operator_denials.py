"""What a cluster takes no pod of is told with where, why and what to do, blames no version, and goes on when it may."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.clients.kube import DEPLOYMENTS, PODS, Place, Resource
from controller.model.errors import Terminal
from tests.cluster.cluster import Cluster
from tests.e2e.operated import Operated, Operator, condition, eventually
from tests.parts.webhook import NAME, denying

_ADMISSION = "admissionregistration.k8s.io/v1"
POLICIES = Resource(_ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy")
BINDINGS = Resource(_ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding")
WEBHOOKS = Resource(_ADMISSION, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration")
QUOTAS = Resource("v1", "resourcequotas", "ResourceQuota")
WORDS = "Nobody changes images on a Friday"


def why(state: Mapping[str, Any], name: str) -> str:
    """What is told of a workload that is not where it should be."""
    told = state.get("status", {}).get("stragglers", ())
    return next((each["why"] for each in told if each["name"].endswith(f"/{name}")), "")


async def until_told(ground: Operated, name: str, *words: str) -> None:
    await ground.until(lambda state: all(word in why(state, name) for word in words), seconds=60)


def assert_nothing_was_blamed(ground: Operated) -> None:
    """No version was ever held back for what was none of its faults."""
    reasons = {condition(state, "Ready").get("reason") for state in ground.states}
    assert not reasons & {"RolloutFailed", "Failed", "Held"}, reasons


def written(group: str, resource: str) -> dict[str, list[str]]:
    """What an admission rule says of everybody who makes or changes objects of a kind."""
    operations = ["CREATE", "UPDATE"]
    return {"apiGroups": [group], "apiVersions": ["v1"], "operations": operations, "resources": [resource]}


def selector(ground: Operated) -> dict[str, dict[str, str]]:
    return {"matchLabels": {"kubernetes.io/metadata.name": ground.namespace}}


@asynccontextmanager
async def denied(ground: Operated, group: str, resource: str, expression: str) -> AsyncIterator[None]:
    """In the namespace the cluster refuses objects for which an expression is false."""
    name = f"deny-{ground.namespace}"
    policy = {
        "matchConstraints": {
            "resourceRules": [written(group, resource)],
            "namespaceSelector": selector(ground),
        },
        "validations": [{"expression": expression, "message": WORDS}],
    }
    bound = {"policyName": name, "validationActions": ["Deny"]}
    await ground.client.create(POLICIES, None, {"metadata": {"name": name}, "spec": policy})
    await ground.client.create(BINDINGS, None, {"metadata": {"name": name}, "spec": bound})
    try:
        yield
    finally:
        await ground.client.delete(BINDINGS, None, name)
        await ground.client.delete(POLICIES, None, name)


@asynccontextmanager
async def asked_of(ground: Operated, reached: Mapping[str, str]) -> AsyncIterator[None]:
    """In the namespace the cluster asks a webhook about every write of a Deployment."""
    name = f"ask-{ground.namespace}"
    webhook = {
        "name": NAME,
        "clientConfig": reached,
        "rules": [written("apps", "deployments")],
        "namespaceSelector": selector(ground),
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
    }
    await ground.client.create(WEBHOOKS, None, {"metadata": {"name": name}, "webhooks": [webhook]})
    try:
        yield
    finally:
        await ground.client.delete(WEBHOOKS, None, name)


async def is_denied(ground: Operated, name: str) -> bool:
    """Whether a change of a workload is refused: a policy takes effect some moments after it was made."""
    touched = {"metadata": {"annotations": {"example.test/touched": "now"}}}
    try:
        await ground.client.merge(Place(DEPLOYMENTS, ground.namespace, name), touched, manager="a-user")
    except Terminal:
        return True
    return False


async def takes_none(ground: Operated, app: str) -> bool:
    """Whether a pod would be refused."""
    container = {"name": "workspace", "image": "nothing"}
    pod = {"metadata": {"name": "x", "labels": {"app": app}}, "spec": {"containers": [container]}}
    try:
        await ground.client.create(PODS, ground.namespace, pod, dry_run=True)
    except Terminal:
        return True
    return False


async def test_a_policy_that_denies_our_write_is_told_in_its_words_and_nothing_was_cut(
    ground: Operated, serving: Operator
) -> None:
    await ground.workload("ws-1")
    await ground.make("0.1.0")
    await ground.until_ready("0.1.0")
    async with denied(ground, "apps", "deployments", "false"):
        await eventually(lambda: is_denied(ground, "ws-1"))
        await ground.edit(version="0.1.1")
        message = await ground.until_stalled("AdmissionDenied")
        assert f"Could not apply to Deployment {ground.namespace}/ws-1: " in message
        assert f"ValidatingAdmissionPolicy 'deny-{ground.namespace}'" in message
        assert message.endswith(f"denied request: {WORDS}. Change what the policy names, or the policy.")
        assert await ground.images() == {"ws-1": "0.1.0"}
    await eventually(lambda: is_allowed(ground, "ws-1"))
    await ground.edit(annotations={"requested-at": "now"})
    await ground.until_ready("0.1.1")
    assert_nothing_was_blamed(ground)
    assert [line for line in serving.lines() if "error" in line] == []


@pytest.mark.long
async def test_a_webhook_that_denies_is_told_in_its_words_and_one_that_is_away_is_waited_for(
    ground: Operated, serving: Operator, cluster: Cluster, tmp_path: Path
) -> None:
    await ground.workload("ws-1")
    await ground.make("0.1.0")
    await ground.until_ready("0.1.0")
    with ExitStack() as server:
        reached = server.enter_context(denying(cluster, tmp_path / "webhook", WORDS))
        async with asked_of(ground, reached):
            await eventually(lambda: is_denied(ground, "ws-1"))
            await ground.edit(version="0.1.1")
            assert await ground.until_stalled("AdmissionDenied") == (
                f"Could not apply to Deployment {ground.namespace}/ws-1: admission webhook "
                f'"{NAME}" denied the request: {WORDS}. Change what the policy names, or the policy.'
            )
            server.close()
            await ground.edit(annotations={"requested-at": "1"})
            away = f'failed calling webhook "{NAME}"'
            state = await ground.until(lambda state: away in condition(state, "Ready").get("message", ""))
            assert condition(state, "Stalled") == {}, "it is tried again by itself"
            assert await ground.images() == {"ws-1": "0.1.0"}
    await ground.until_ready("0.1.1", seconds=60)
    assert_nothing_was_blamed(ground)
    assert [line for line in serving.lines() if "error" in line] == []


async def is_allowed(ground: Operated, name: str) -> bool:
    return not await is_denied(ground, name)


@pytest.mark.long
async def test_pods_that_the_level_of_their_namespace_refuses_are_told_with_the_cure(
    ground: Operated, serving: Operator, cluster: Cluster
) -> None:
    await ground.workload("ws-1")
    template = {**ground.document()["spec"]["templates"][0], "startDeadlineSeconds": 3}
    await ground.make("0.1.0", templates=[template])
    await ground.until_ready("0.1.0")
    level = "pod-security.kubernetes.io/enforce"
    cluster.kubectl("label", "namespace", ground.namespace, f"{level}=restricted")
    await ground.edit(version="0.1.1")
    await until_told(
        ground,
        "ws-1",
        'violates PodSecurity "restricted:latest"',
        "Change what the policy names, or the policy",
    )
    await asyncio.to_thread(serving.process.until, "Failed Replace: .* was left as it was: .*PodSecurity")
    cluster.kubectl("label", "namespace", ground.namespace, f"{level}-")
    await ground.until_ready("0.1.1", seconds=120)
    assert_nothing_was_blamed(ground)


async def test_pods_that_a_quota_refuses_are_told_with_the_cure_and_come_when_it_lets_them(
    ground: Operated, serving: Operator
) -> None:
    await ground.workload("ws-1")
    template = {**ground.document()["spec"]["templates"][0], "startDeadlineSeconds": 3}
    await ground.make("0.1.0", templates=[template])
    await ground.until_ready("0.1.0")
    await ground.client.create(
        QUOTAS, ground.namespace, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    )
    await ground.edit(version="0.1.1")
    cure = "Raise the quota of the namespace, or free some of it"
    await until_told(ground, "ws-1", "is being replaced: 0 of 1 pods are there", "exceeded quota: none", cure)
    await asyncio.to_thread(serving.process.until, "Failed Replace: .* was left as it was: .*exceeded quota")
    await ground.client.delete(QUOTAS, ground.namespace, "none")
    await ground.until_ready("0.1.1", seconds=120)
    assert_nothing_was_blamed(ground)


@pytest.mark.long
async def test_pods_without_a_volume_an_image_or_leave_are_told_apart_and_blame_no_version(
    ground: Operated, serving: Operator
) -> None:
    real = {"schedulerName": "default-scheduler"}
    claimed = {"name": "work", "persistentVolumeClaim": {"claimName": "nowhere"}}
    # What such a volume stands for is not there, as where a disk is lost: it is claimed, and cannot be mounted.
    lost = {"name": "work", "hostPath": {"path": f"/nowhere/{ground.namespace}", "type": "Directory"}}
    async with denied(ground, "", "pods", "object.metadata.?labels.app.orValue('') != 'ws-denied'"):
        await eventually(lambda: takes_none(ground, "ws-denied"))
        await ground.workload("ws-1")
        await ground.workload("ws-denied")
        await ground.workload("ws-volume", pod={**real, "volumes": [claimed]})
        mounting = {
            "name": "workspace",
            "image": ground.released["0.1.0"],
            "volumeMounts": [{"name": "work", "mountPath": "/work"}],
        }
        await ground.workload("ws-mount", pod={**real, "volumes": [lost], "containers": [mounting]})
        await ground.workload("ws-pull", pod=real)
        template = {**ground.document()["spec"]["templates"][0], "startDeadlineSeconds": 4}
        await ground.make("0.1.1", templates=[template])
        await until_told(
            ground, "ws-denied", "the cluster takes no more", WORDS, "Change what the policy names"
        )
        await until_told(ground, "ws-volume", "pod ws-volume-", 'persistentvolumeclaim "nowhere" not found')
        await until_told(
            ground, "ws-mount", "pod ws-mount-", f"kubectl -n {ground.namespace} describe pod ws-mount-"
        )
        await until_told(ground, "ws-pull", "pod ws-pull-", "ErrImagePull: ", ground.repository)
        assert (await ground.images())["ws-1"] == "0.1.1"
        for name, last in (("denied", ""), ("volume", ""), ("mount", ".*ContainerCreating"), ("pull", "")):
            told = f"Failed Replace: .*ws-{name} was left as it was: {last}"
            await asyncio.to_thread(serving.process.until, told)
    assert_nothing_was_blamed(ground)


@pytest.mark.long
async def test_a_pod_whose_node_is_gone_is_named_and_blames_no_version(
    ground: Operated, serving: Operator, cluster: Cluster
) -> None:
    await ground.workload("ws-1", pod={"schedulerName": "default-scheduler"})
    await eventually(lambda: is_assigned(ground))
    template = {**ground.document()["spec"]["templates"][0], "startDeadlineSeconds": 5}
    await asyncio.to_thread(cluster.end_daemon, "kubelet")
    try:
        await ground.make("0.1.1", templates=[template])
        await until_told(
            ground, "ws-1", "is being replaced: 0 of 1 pods are there; pod ws-1-", "has not ended yet"
        )
        await asyncio.to_thread(
            serving.process.until, "Failed Replace: .* was left as it was: .*has not ended yet"
        )
    finally:
        await asyncio.to_thread(cluster.start_daemon, "kubelet")
    await until_told(ground, "ws-1", "ErrImagePull: ")
    assert_nothing_was_blamed(ground)


async def is_assigned(ground: Operated) -> bool:
    """Whether the only pod is a node's."""
    pods = (await ground.client.list(PODS, ground.namespace)).items
    return [bool(pod["spec"].get("nodeName")) for pod in pods] == [True]
