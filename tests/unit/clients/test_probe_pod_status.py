"""What a cluster says of a probe's pod: whether the candidate runs, how it ended, and whose fault that is."""

from typing import Any

import pytest

from controller.clients._probe_pod_status import PodSight, read_pod
from controller.clients.candidate import Ended
from controller.model.errors import NotFound, Problem, Terminal, Transient
from controller.model.probe import Failed, ProbeReason

RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
IMAGE = f"registry.example/agent@sha256:{'a' * 64}"


def pod(
    candidate: dict[str, Any] | None = None,
    *,
    stand_in: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    **status: object,
) -> dict[str, Any]:
    """A pod whose containers are in these states."""
    model = {
        "name": "model",
        "image": "registry.example/operator:1",
        "restartCount": 0,
        **(stand_in or {"state": RUNNING}),
    }
    workspace = {"name": "workspace", "image": IMAGE, "imageID": IMAGE, "state": candidate or RUNNING}
    return {
        "metadata": {"namespace": "agents", "name": "wsr-probe-x", **(metadata or {})},
        "spec": {"nodeName": "node1"},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.9",
            "initContainerStatuses": [model],
            "containerStatuses": [workspace],
            **status,
        },
    }


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def condition(kind: str, status: str, **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, **more}


def test_a_candidate_that_runs_is_seen_with_its_address_and_image() -> None:
    assert read_pod(pod()) == PodSight("10.0.0.9", stand_in_runs=True, runs=True, image_id=IMAGE)


def test_a_pod_that_was_just_made_runs_nothing() -> None:
    assert read_pod({**pod(), "status": {}}) == PodSight()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (ended(1), Ended(1)),
        (ended(0, "Completed"), Ended(0)),
        (ended(137, "OOMKilled"), Ended(137, out_of_memory=True)),
        (ended(1, "OOMKilled"), Ended(1, out_of_memory=True)),
    ],
)
def test_an_end_of_its_own_is_told(state: dict[str, Any], expected: Ended) -> None:
    assert read_pod(pod(state)).ended == expected


@pytest.mark.parametrize("second", ["2026-01-01T00:00:05Z", "2026-01-01T00:00:06Z"])
def test_a_stand_in_that_ends_because_its_candidate_has_is_no_fault_of_its_own(second: str) -> None:
    candidate, model = ended(78), ended(0, "Completed")
    candidate["terminated"]["finishedAt"] = "2026-01-01T00:00:05Z"
    model["terminated"]["finishedAt"] = second
    assert read_pod(pod(candidate, stand_in={"state": model})).ended == Ended(78)
    for code, when in ((1, second), (0, "2026-01-01T00:00:04Z")):
        gone = {"terminated": {**model["terminated"], "exitCode": code, "finishedAt": when}}
        with pytest.raises(Transient, match="The stand-in model"):
            read_pod(pod(candidate, stand_in={"state": gone}))


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (
            ended(128, "StartError", 'exec: "agent": executable file not found in $PATH.'),
            ProbeReason.EXITED_AT_ONCE,
            'could not be started: exec: "agent": executable file not found in $PATH',
        ),
        (
            waits(
                "CreateContainerConfigError", "container has runAsNonRoot and image will run as root (pod: x)"
            ),
            ProbeReason.BAD_CONFIGURATION,
            (
                "could not be created: container has runAsNonRoot and image will run as root (pod: x); set"
                " templates[].probe.securityContext.runAsUser"
            ),
        ),
        (
            waits("CreateContainerConfigError", 'secret "x" not found'),
            ProbeReason.BAD_CONFIGURATION,
            'could not be created: secret "x" not found',
        ),
    ],
)
def test_one_that_cannot_be_started_fails_for_a_reason_of_its_own(
    state: dict[str, Any], reason: ProbeReason, said: str
) -> None:
    with pytest.raises(Failed) as caught:
        read_pod(pod(state))
    assert (caught.value.reason, caught.value.what) == (reason, said)


NOTHING_OF_IT = "which says nothing of its candidate"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            pod(ended(137, "Error")),
            "The candidate in pod agents/wsr-probe-x was killed from outside (exit code 137), which says nothing of it",
        ),
        (
            pod(ended(137, "ContainerStatusUnknown")),
            "The candidate in pod agents/wsr-probe-x was killed from outside (exit code 137), which says nothing of it",
        ),
        (
            pod(ended(143), metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            "Pod agents/wsr-probe-x was deleted while its candidate was proven, which says nothing of that",
        ),
        (
            pod(
                metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"},
                conditions=[
                    condition(
                        "DisruptionTarget",
                        "True",
                        reason="EvictionByEvictionAPI",
                        message="Eviction API: evicting",
                    )
                ],
            ),
            f"Pod agents/wsr-probe-x was taken away (EvictionByEvictionAPI: Eviction API: evicting), {NOTHING_OF_IT}",
        ),
        (
            pod(ended(1), phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            f"Pod agents/wsr-probe-x was taken away (Evicted: The node was low on resource: memory), {NOTHING_OF_IT}",
        ),
        (
            pod(
                phase="Failed",
                reason="DeadlineExceeded",
                message="Pod was active on the node longer than the deadline",
            ),
            "Pod agents/wsr-probe-x was taken away (DeadlineExceeded: Pod was active on the node longer than the deadline), "
            + NOTHING_OF_IT,
        ),
        (
            pod(conditions=[condition("Ready", "False")]),
            f"Node node1 of pod agents/wsr-probe-x does not report any more, {NOTHING_OF_IT}",
        ),
        (
            pod(stand_in={"state": ended(1)}),
            f"The stand-in model in pod agents/wsr-probe-x ended (exit code 1), {NOTHING_OF_IT}",
        ),
        (
            pod(stand_in={"state": RUNNING, "restartCount": 1, "lastState": ended(137)}),
            f"The stand-in model in pod agents/wsr-probe-x ended (exit code 137), {NOTHING_OF_IT}",
        ),
        (
            pod(waits("ImagePullBackOff", "Back-off pulling image: 503 Service Unavailable")),
            f"Could not pull {IMAGE}: Back-off pulling image: 503 Service Unavailable",
        ),
    ],
)
def test_what_others_did_is_not_its_fault(found: dict[str, Any], said: str) -> None:
    with pytest.raises(Transient) as caught:
        read_pod(found)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("found", "kind", "said"),
    [
        (
            pod(waits("ErrImagePull", "failed to resolve reference: not found")),
            NotFound,
            f"Could not pull {IMAGE}: failed to resolve reference: not found",
        ),
        (
            pod(waits("ErrImagePull", "failed to authorize: 401 Unauthorized")),
            Terminal,
            (
                f"Could not pull {IMAGE}: failed to authorize: 401 Unauthorized. Give registry.pullSecretName credentials that may"
                " pull this repository."
            ),
        ),
        (
            pod(stand_in={"state": waits("ErrImagePull", "failed to authorize: 401 Unauthorized")}),
            Terminal,
            (
                "The stand-in model beside a candidate cannot be started: Could not pull registry.example/operator:1: failed to"
                " authorize: 401 Unauthorized. Let pods of that namespace pull the operator's own image."
            ),
        ),
        (
            pod(stand_in={"state": waits("ErrImagePull", "manifest unknown")}),
            Terminal,
            (
                "The stand-in model beside a candidate cannot be started: Could not pull registry.example/operator:1: manifest"
                " unknown. Let pods of that namespace pull the operator's own image."
            ),
        ),
    ],
)
def test_an_image_that_cannot_be_had_is_told_with_the_cure(
    found: dict[str, Any], kind: type[Problem], said: str
) -> None:
    with pytest.raises(kind) as caught:
        read_pod(found)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            pod(conditions=[condition("PodScheduled", "False", reason="Unschedulable", message="0/1 nodes are available.")]),
            "Unschedulable: 0/1 nodes are available",
        ),
        (pod(waits("PodInitializing"), stand_in={"state": waits("ContainerCreating")}), "ContainerCreating"),
        (pod(waits("CreateContainerError", "context deadline exceeded")), "CreateContainerError: context deadline exceeded"),
        (pod(waits("PodInitializing"), conditions=[condition("Ready", "False", reason="ContainersNotReady")]), "PodInitializing"),
    ],
)  # fmt: skip
def test_what_is_still_waited_for_is_told(found: dict[str, Any], said: str) -> None:
    assert read_pod(found).waits == said
