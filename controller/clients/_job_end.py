"""Tells from a Job and its pod how a builder run stands: at work, ended with a report, or lost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from builder.contract import Outcome
from controller.clients._job_spec import CONTAINER, STEPS, TAKEN
from controller.model.errors import Problem, Terminal, Transient

Json = Mapping[str, Any]

_OVERDUE_SECONDS: Final = 5.0
"""How much later than it was to be gone a pod counts as lost: its node does not answer."""
_KILLED: Final = 128
_PULL_FAILURES: Final = frozenset({"ErrImagePull", "ImagePullBackOff"})
_UNUSABLE: Final = frozenset(
    {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError"}
)
_FOR_GOOD: Final = ("not found", "unauthorized", "denied", "forbidden", "not authorized", "invalid")
"""Words of a registry, in a kubelet's message, that the next pull will hear again."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The run came to its end: exit code (negative: the signal), and what it left as its termination message."""

    code: int
    message: str

    @property
    def report(self) -> str:
        """The line with the report; empty when there is none."""
        return self.message.partition("\n")[0]

    @property
    def results(self) -> str:
        """The digest of the artifact with what was written; empty when nothing was."""
        return self.message.partition("\n")[2].strip()


@dataclass(frozen=True, slots=True)
class Lost:
    """The run has no end of its own; `why` completes "builder VERB …"."""

    why: str


@dataclass(frozen=True, slots=True)
class Working:
    """The run is under way, or waits for what the cluster still has to do: `waits` says what, as far as it does."""

    pod: str | None = None
    waits: str = ""
    failed: Problem | None = None
    """Why the image of the builder cannot be had, while that is so."""


Standing = Ended | Lost | Working


def standing(job: Json | None, pods: Iterable[Json], *, image: str, now: datetime) -> Standing:
    """Return how a run stands whose Job was created; None is a Job that is not there any more.

    Args:
        job: as the server has it.
        pods: those of the Job.
        image: of the builder, for messages.
        now: the time.
    """
    pods = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    newest = pods[-1] if pods else None
    ended = next((each for each in map(_ended, reversed(pods)) if each is not None), None)
    if isinstance(ended, Ended):
        return ended
    if job is None:
        return ended or Lost("lost its Job: somebody deleted it")
    lost = ended or (_lost(newest, now) if newest is not None else None)
    failed = _condition(job, "Failed")
    failing = failed or _condition(job, "FailureTarget")
    if failing is not None and failing.get("reason") == "DeadlineExceeded":
        return Lost(f"ran longer than {job['spec']['activeDeadlineSeconds']} s and was ended")
    if failed is not None:
        why = _disrupted(newest) if newest is not None else None
        return lost or Lost(why or "lost its pod: somebody deleted it")
    if ended is not None:
        return Working(waits="its Job to say why it ended")
    if lost is not None:
        return lost
    if _condition(job, "Complete") is not None:
        return Lost("ended, and its pod with the report is gone")
    if job["metadata"].get("deletionTimestamp"):
        return Lost("lost its Job: somebody deleted it")
    return _working(newest, image)


def is_of(pod: Json, uid: str) -> bool:
    """Tell whether a pod is that of the Job with this uid: one of an earlier Job of the name may still be going."""
    return any(each["uid"] == uid for each in pod["metadata"].get("ownerReferences") or ())


def is_taken(job: Json) -> bool:
    """Tell whether the result of a Job was taken."""
    return TAKEN in (job["metadata"].get("annotations") or {})


def _ended(pod: Json) -> Ended | Lost | None:
    for status in pod.get("status", {}).get("containerStatuses") or ():
        terminated = (status.get("state") or {}).get("terminated")
        if status["name"] != CONTAINER or terminated is None:
            continue
        message, code = str(terminated.get("message") or ""), int(terminated["exitCode"])
        killed = _out_of_memory(terminated) or (code == Outcome.RETRY and _steps_out_of_memory(pod))
        if message and not killed:
            return Ended(code, message)
        if killed:
            limit = _limit(pod, CONTAINER if _out_of_memory(terminated) else STEPS)
            return Lost(
                f"was killed for using more memory than its limit{limit}; that of full builds is fullBuilds.resources of the chart"
            )
        if (why := _disrupted(pod)) is not None:
            return Lost(why)
        if pod["metadata"].get("deletionTimestamp") and code > _KILLED:
            return Lost("lost its pod: somebody deleted it")
        return Ended(_KILLED - code if code > _KILLED else code, "")
    return None


def _out_of_memory(ended: Json) -> bool:
    return ended.get("reason") == "OOMKilled"


def _steps_out_of_memory(pod: Json) -> bool:
    """Whether the container with the steps was killed for it: the builder then only sees that it is gone."""
    found = pod.get("status", {}).get("initContainerStatuses") or ()
    states = (state for each in found if each["name"] == STEPS for state in _states(each))
    return any(_out_of_memory(state.get("terminated") or {}) for state in states)


def _states(status: Json) -> Iterable[Json]:
    return (status.get("state") or {}, status.get("lastState") or {})


def _limit(pod: Json, name: str) -> str:
    for container in (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]):
        memory = (container.get("resources", {}).get("limits") or {}).get("memory")
        if container["name"] == name and memory:
            return f" of {memory}"
    return ""


def _lost(pod: Json, now: datetime) -> Lost | None:
    """Return why a pod whose container has no end will have none; None while it may."""
    status = pod.get("status", {})
    if status.get("phase") == "Failed":
        why = (
            _disrupted(pod) or f"lost its pod: {status.get('message') or status.get('reason') or 'it failed'}"
        )
        return Lost(why)
    gone = pod["metadata"].get("deletionTimestamp")
    if gone and (now - _time(gone)).total_seconds() > _OVERDUE_SECONDS:
        return Lost(
            _disrupted(pod) or "lost its pod: it was deleted, and its node does not say that it ended"
        )
    return None


def _disrupted(pod: Json) -> str | None:
    status = pod.get("status", {})
    if status.get("reason") == "Evicted":
        return f"lost its pod, which was evicted: {_line(status.get('message')) or 'its node was short of something'}"
    target = _condition(pod, "DisruptionTarget")
    if target is not None:
        told = _line(target.get("message")) or str(target.get("reason"))
        return f"lost its pod, which was evicted: {told}"
    return None


def _working(pod: Json | None, image: str) -> Working:
    if pod is None:
        return Working(waits="a pod")
    name = pod["metadata"]["name"]
    for status in _begun(pod):
        state = status.get("state") or {}
        if "running" in state and status["name"] == CONTAINER:
            return Working(name)
        waiting = state.get("waiting") or {}
        if waiting.get("reason") in _PULL_FAILURES | _UNUSABLE:
            return Working(name, str(waiting["reason"]), _unusable(waiting, image))
    unscheduled = _condition(pod, "PodScheduled", status="False")
    if unscheduled is not None:
        return Working(name, f"a node: {_line(unscheduled.get('message'))}")
    return Working(name, "its container to start")


def _begun(pod: Json) -> Iterable[Json]:
    """Return what is told of the containers, in the order in which they are started."""
    told = pod.get("status", {})
    return (*(told.get("initContainerStatuses") or ()), *(told.get("containerStatuses") or ()))


def _unusable(waiting: Json, image: str) -> Problem:
    said = _line(waiting.get("message")) or str(waiting["reason"])
    if waiting["reason"] in _UNUSABLE or any(word in said.lower() for word in _FOR_GOOD):
        return Terminal(
            "BuilderImageUnusable",
            f"No builder run can start from image {image}: {said.rstrip('.')}.",
            fix="Name an image that the nodes can pull in builderImage of the chart (fullBuilds.image for full builds); Secrets to"
            " pull it with are those of ServiceAccount default in the object's namespace.",
        )
    return Transient(f"No builder run can start from image {image}: {said}")


def _condition(found: Json, type_: str, *, status: str = "True") -> Json | None:
    conditions = found.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == type_ and each["status"] == status), None)


def _line(text: object) -> str:
    return " ".join(str(text or "").split())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
