"""Tells from what a cluster says of a probe's pod whether its candidate runs, how it ended, and whose fault that is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.api.conditions import Reason
from controller.clients._probe_pod import CANDIDATE, STAND_IN
from controller.clients.candidate import Ended
from controller.clients.pull_errors import one_line, pull_failed
from controller.model.errors import Problem, Terminal, Transient
from controller.model.probe import Failed, ProbeReason

Json = Mapping[str, Any]

_KILLED: Final = 137
_OUT_OF_MEMORY: Final = "OOMKilled"
_PULLS: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"})
_NEVER_BEGAN: Final = frozenset({"StartError", "ContainerCannotRun"})
_LOST: Final = "ContainerStatusUnknown"
_USER_UNPROVEN: Final = ("runAsNonRoot", "non-root")


@dataclass(frozen=True, slots=True)
class PodSight:
    """A probe's pod at one moment.

    `address` is its IP; `stand_in_runs` and `runs` say whose process runs; `waits` why it does not yet, in the cluster's
    words; `image_id` what the node says that the candidate runs, and `ended` how that ended.
    """

    address: str | None = None
    stand_in_runs: bool = False
    runs: bool = False
    waits: str = ""
    image_id: str = ""
    ended: Ended | None = None


def read_pod(found: Json) -> PodSight:
    """Return how the pod is.

    Raises:
        Failed: the candidate cannot be started, for a reason of its own.
        NotFound, Terminal, Transient: the pod was taken away or has no place, or an image cannot be had: nothing is known
            of the candidate.
    """
    name = f"{found['metadata']['namespace']}/{found['metadata']['name']}"
    status = found.get("status") or {}
    _require_left_alone(name, found, status)
    stand_in = _named(status.get("initContainerStatuses"), STAND_IN)
    candidate = _named(status.get("containerStatuses"), CANDIDATE)
    state = candidate.get("state") or {}
    if not _went_with(state.get("terminated"), stand_in):
        _require_stand_in(name, stand_in)
    waiting = state.get("waiting") or {}
    _require_startable(candidate, waiting)
    return PodSight(
        address=status.get("podIP"),
        stand_in_runs="running" in (stand_in.get("state") or {}),
        runs="running" in state,
        waits=_waits(status, stand_in, waiting),
        image_id=candidate.get("imageID", ""),
        ended=_ended(name, state.get("terminated")),
    )


def _named(statuses: Iterable[Json] | None, name: str) -> Json:
    return next((each for each in statuses or () if each["name"] == name), {})


def _require_left_alone(name: str, found: Json, status: Json) -> None:
    """Raise Transient when the cluster or somebody took the pod away: a node that goes, an eviction, a deadline of its own."""
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    disruption = conditions.get("DisruptionTarget") or {}
    if disruption.get("status") == "True":
        raise _taken_away(name, disruption)
    if "deletionTimestamp" in found["metadata"]:
        raise Transient(f"Pod {name} was deleted while its candidate was proven, which says nothing of that")
    if status.get("phase") == "Failed" and status.get("reason"):
        raise _taken_away(name, status)
    # A node that does not report any more has its pods marked; a node that does says of one that runs that it is ready.
    running = "running" in (_named(status.get("containerStatuses"), CANDIDATE).get("state") or {})
    stands = "running" in (_named(status.get("initContainerStatuses"), STAND_IN).get("state") or {})
    ready = conditions.get("Ready") or {}
    if running and stands and ready.get("status") == "False" and not ready.get("reason"):
        node = found["spec"].get("nodeName", "")
        raise Transient(
            f"Node {node} of pod {name} does not report any more, which says nothing of its candidate"
        )


def _taken_away(name: str, told: Json) -> Transient:
    return Transient(f"Pod {name} was taken away ({_words(told)}), which says nothing of its candidate")


def _words(told: Json) -> str:
    """Return reason and message in one line."""
    message = one_line(str(told.get("message") or ""))
    reason = str(told.get("reason") or "")
    return f"{reason}: {message}" if message else reason


def _went_with(candidate: Json | None, stand_in: Json) -> bool:
    """Whether the stand-in ended as it is to: when its candidate has, a kubelet tells it to. A look may see both at once."""
    ended = (stand_in.get("state") or {}).get("terminated")
    if candidate is None or ended is None or ended.get("exitCode") != 0:
        return False
    return bool(ended.get("finishedAt", "") >= candidate.get("finishedAt", ""))


def _require_stand_in(name: str, status: Json) -> None:
    """Raise when the stand-in will not run, or ran and does no more: what it saw is gone."""
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    if waiting.get("reason") in _PULLS:
        problem = _pull_problem(status, waiting)
        if isinstance(problem, Transient):
            raise problem
        cause = problem.message if isinstance(problem, Terminal) else f"{problem}."
        raise Terminal(
            Reason.GATE_UNREACHABLE,
            f"The stand-in model beside a candidate cannot be started: {cause}",
            fix="Let pods of that namespace pull the operator's own image.",
        )
    if "terminated" in state or status.get("restartCount", 0) > 0:
        ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
        raise Transient(
            f"The stand-in model in pod {name} ended (exit code {ended.get('exitCode')}), which says nothing of its candidate"
        )


def _require_startable(candidate: Json, waiting: Json) -> None:
    reason, message = waiting.get("reason"), one_line(str(waiting.get("message") or ""))
    if reason in _PULLS:
        raise _pull_problem(candidate, waiting)
    if reason == "CreateContainerConfigError":
        cure = ""
        if any(word in message for word in _USER_UNPROVEN):
            cure = "; set templates[].probe.securityContext.runAsUser"
        raise Failed(ProbeReason.BAD_CONFIGURATION, f"could not be created: {message}{cure}")


def _pull_problem(status: Json, waiting: Json) -> Problem:
    return pull_failed(str(status.get("image")), str(waiting.get("message") or waiting.get("reason")))


def _waits(status: Json, stand_in: Json, waiting: Json) -> str:
    """Return why nothing runs yet."""
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _words(condition)
    return _words((stand_in.get("state") or {}).get("waiting") or {}) or _words(waiting)


def _ended(name: str, terminated: Json | None) -> Ended | None:
    if terminated is None:
        return None
    code, reason = int(terminated["exitCode"]), terminated.get("reason")
    if reason in _NEVER_BEGAN:
        words = one_line(str(terminated.get("message") or reason))
        raise Failed(ProbeReason.EXITED_AT_ONCE, f"could not be started: {words}", exit_code=code)
    if reason == _LOST or (code == _KILLED and reason != _OUT_OF_MEMORY):
        raise Transient(
            f"The candidate in pod {name} was killed from outside (exit code {code}), which says nothing of it"
        )
    return Ended(code, out_of_memory=reason == _OUT_OF_MEMORY)
