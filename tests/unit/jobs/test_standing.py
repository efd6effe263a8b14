"""How a run stands, as its Job and its pod tell: at work, ended, or lost, and why."""

from datetime import UTC, datetime
from typing import Any

import pytest

from controller.clients._job_end import Ended, Lost, Working, standing
from controller.model.errors import Terminal, Transient

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
IMAGE = "registry.example/builder:1"
REPORT = '{"verb": "package"}\nsha256:abc'


def _job(**condition: str) -> dict[str, Any]:
    conditions = [{"status": "True", **condition}] if condition else []
    return {"metadata": {}, "spec": {"activeDeadlineSeconds": 60}, "status": {"conditions": conditions}}


FAILED = _job(type="Failed", reason="BackoffLimitExceeded")


def _pod(state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:  # noqa: ANN401 -- any field of a status
    containers = [{"name": "builder", "state": state}] if state else []
    builder, steps = (
        {"name": name, "resources": {"limits": {"memory": memory}}}
        for name, memory in (("builder", "1Gi"), ("steps", "2Gi"))
    )
    return {
        "metadata": {"name": "p-1", "uid": "1"},
        "spec": {"containers": [builder], "initContainers": [steps]},
        "status": {"containerStatuses": containers, **status},
    }


def _terminated(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


def _waiting(reason: str, message: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


DISRUPTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


@pytest.mark.parametrize(
    ("job", "pod", "expected"),
    [
        (_job(), _pod(_terminated(0, REPORT)), Ended(0, REPORT)),
        (FAILED, _pod(_terminated(30, REPORT)), Ended(30, REPORT)),
        (None, _pod(_terminated(10, REPORT)), Ended(10, REPORT)),
        (FAILED, _pod(_terminated(1)), Ended(1, "")),
        (FAILED, _pod(_terminated(137)), Ended(-9, "")),
        (
            FAILED,
            _pod(_terminated(137, reason="OOMKilled")),
            Lost(
                "was killed for using more memory than its limit of 1Gi; that of full builds is fullBuilds.resources of the chart"
            ),
        ),
        (
            FAILED,
            _pod(_terminated(143), conditions=[DISRUPTED]),
            Lost("lost its pod, which was evicted: Eviction API: evicting"),
        ),
        (
            FAILED,
            _pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            Lost("lost its pod, which was evicted: The node was low on resource: memory."),
        ),
        (FAILED, None, Lost("lost its pod: somebody deleted it")),
        (
            _job(type="Failed", reason="DeadlineExceeded"),
            None,
            Lost("ran longer than 60 s and was ended"),
        ),
        (_job(type="Complete"), None, Lost("ended, and its pod with the report is gone")),
        (None, None, Lost("lost its Job: somebody deleted it")),
        (None, _pod({"running": {}}), Lost("lost its Job: somebody deleted it")),
        (_job(), _pod({"running": {}}), Working("p-1")),
        (_job(), _pod(), Working("p-1", "its container to start")),
        (_job(), None, Working(waits="a pod")),
        (
            _job(),
            _pod(
                conditions=[
                    {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: too much memory."}
                ]
            ),
            Working("p-1", "a node: 0/1 nodes: too much memory."),
        ),
    ],
)
def test_a_run_stands_as_its_job_and_its_pod_say(
    job: dict[str, Any] | None, pod: dict[str, Any] | None, expected: object
) -> None:
    assert standing(job, [pod] if pod else [], image=IMAGE, now=NOW) == expected


def test_a_report_counts_whatever_became_of_its_pod() -> None:
    pod = _pod(_terminated(0, REPORT), phase="Failed", reason="Evicted", conditions=[DISRUPTED])
    pod["metadata"]["deletionTimestamp"] = "2026-11-01T11:00:00Z"
    assert standing(FAILED, [pod], image=IMAGE, now=NOW) == Ended(0, REPORT)
    assert Ended(0, REPORT).report == '{"verb": "package"}'
    assert Ended(0, REPORT).results == "sha256:abc"
    assert Ended(0, "{}").results == ""


@pytest.mark.parametrize(("gone", "lost"), [("2026-11-01T12:00:00Z", False), ("2026-11-01T11:59:54Z", True)])
def test_a_pod_whose_node_is_gone_is_lost_once_it_should_have_ended(gone: str, *, lost: bool) -> None:
    pod = _pod({"running": {}})
    pod["metadata"]["deletionTimestamp"] = gone
    found = standing(_job(), [pod], image=IMAGE, now=NOW)
    expected = Lost("lost its pod: it was deleted, and its node does not say that it ended")
    assert found == (expected if lost else Working("p-1"))


@pytest.mark.parametrize(
    ("reason", "message", "final"),
    [
        ("ErrImagePull", 'failed to pull "x": not found', True),
        ("ImagePullBackOff", 'Back-off pulling image "x": 401 Unauthorized', True),
        ("InvalidImageName", "couldn't parse image name", True),
        ("ErrImagePull", "dial tcp: i/o timeout", False),
        ("ImagePullBackOff", 'Back-off pulling image "x"', False),
    ],
)
def test_an_image_that_is_not_there_is_told_at_once_and_a_registry_that_is_away_is_waited_for(
    reason: str, message: str, *, final: bool
) -> None:
    found = standing(_job(), [_pod(_waiting(reason, message))], image=IMAGE, now=NOW)
    assert isinstance(found, Working)
    assert str(found.failed).startswith(f"No builder run can start from image {IMAGE}: {message}")
    assert isinstance(found.failed, Terminal if final else Transient)
    if isinstance(found.failed, Terminal):
        assert found.failed.reason == "BuilderImageUnusable"
        assert found.failed.fix == (
            "Name an image that the nodes can pull in builderImage of the chart (fullBuilds.image for full builds); Secrets to pull it with are those of ServiceAccount default in the object's namespace."
        )


def test_steps_that_were_killed_for_their_memory_are_why_the_builder_has_to_try_again() -> None:
    killed = {"name": "steps", "state": {"running": {}}, "lastState": _terminated(137, reason="OOMKilled")}
    pod = _pod(_terminated(20, REPORT), initContainerStatuses=[killed])
    assert standing(FAILED, [pod], image=IMAGE, now=NOW) == Lost(
        "was killed for using more memory than its limit of 2Gi; that of full builds is fullBuilds.resources of the chart"
    )
    done = _pod(_terminated(0, REPORT), initContainerStatuses=[killed])
    assert standing(_job(), [done], image=IMAGE, now=NOW) == Ended(0, REPORT)


def test_an_image_that_the_steps_wait_for_is_told_though_the_builder_has_not_begun() -> None:
    waiting = {"name": "steps", "state": _waiting("ErrImagePull", "manifest unknown: not found")}
    pod = _pod(_waiting("PodInitializing", ""), initContainerStatuses=[waiting])
    seen = standing(_job(), [pod], image=IMAGE, now=NOW)
    assert isinstance(seen, Working)
    assert isinstance(seen.failed, Terminal)
    begun = {"name": "steps", "state": {"running": {}}}
    pod = _pod(_waiting("PodInitializing", ""), initContainerStatuses=[begun])
    assert standing(_job(), [pod], image=IMAGE, now=NOW) == Working("p-1", "its container to start")
