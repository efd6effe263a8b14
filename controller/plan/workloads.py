"""What forbids to roll a workload, with the cure: somebody else's hand on its image, another owner, an unsafe shape. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from controller.api.v1alpha1 import Drain
from controller.model.roll import Marks
from controller.model.workload import FIELD_MANAGER, Container, ImageWriter, Pod, Workload, WorkloadKind

_CURES: Final = (
    (
        "argocd",
        "add the field to spec.ignoreDifferences of its Application, with RespectIgnoreDifferences=true",
    ),
    (
        "kustomize-controller",
        "take the image out of its source, or annotate it kustomize.toolkit.fluxcd.io/ssa: Merge",
    ),
    ("helm", "set the image in the release's values to the one that runs"),
    ("kubectl", "take the image out of the manifest that is applied"),
)
_USUAL_CURE: Final = "have it leave the image alone"


def contest(workload: Workload, container: Container) -> str | None:
    """Return who put another image in the place of ours, and the cure; None when nobody did."""
    ours = Marks.of(workload).image
    if ours is None or container.image == ours:
        return None
    writer = last_writer(container)
    who = writer.manager if writer else "somebody"
    cure = next((cure for name, cure in _CURES if who.startswith(name)), _USUAL_CURE)
    return f"{who} set its image to {container.image} after {ours} was set for it; {cure}, or take label managed off it"


def last_writer(container: Container) -> ImageWriter | None:
    """Return whoever other than us wrote the image last."""
    others = [writer for writer in container.writers if writer.manager != FIELD_MANAGER]
    return max(others, key=lambda writer: writer.time.timestamp() if writer.time else 0.0, default=None)


def foreign_owner(workload: Workload, owner: str) -> str | None:
    """Return why the workload is another object's; None when it is `owner`'s or nobody's."""
    theirs = Marks.of(workload).owner
    if theirs is None or theirs == owner:
        return None
    return (
        f"WorkspaceRuntime {theirs} rolls it; narrow one of the two selectors, or remove its annotation owner"
    )


def why_missing(workload: Workload, pods: Iterable[Pod]) -> str:
    """Return why some of a workload's pods are not there, as far as that is known, else who tells it."""
    if workload.refused:
        return f"the cluster takes no more: {workload.refused.rstrip('.')}"
    ending = next((pod.name for pod in pods if pod.deleting), None)
    if ending is not None:
        return f"pod {ending} has not ended yet"
    return f"kubectl -n {workload.namespace} describe {_named(workload)} says why"


def unsafe_workload(workload: Workload, drain: Drain, *, single_writer_claims: Collection[str]) -> str | None:
    """Return why rolling it would cut work or hang, with the patch to apply; None when it would not."""
    if workload.paused:
        return f"It is paused: kubectl -n {workload.namespace} rollout resume {_named(workload)}"
    if workload.partition:
        fix = {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}
        return f"Partition {workload.partition} keeps pods on the old revision. {_patch(workload, fix)}"
    if drain.on_timeout == "Proceed":
        return None
    shared = sorted(set(workload.claims) & set(single_writer_claims))
    if workload.surge and shared:
        return (
            f"A new pod would start beside the old one, and volume claim {shared[0]} has one writer. "
            f"{_patch(workload, _RECREATE)}"
        )
    if (
        workload.replicas > 1
        and workload.strategy == "RollingUpdate"
        and workload.grace_seconds < drain.timeout_seconds
    ):
        grace = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": drain.timeout_seconds}}}}
        return (
            f"Its pods get {workload.grace_seconds} s to end, and work in progress up to {drain.timeout_seconds} s. "
            f"{_patch(workload, grace)}"
        )
    return None


def behind(workload: Workload, pods: Iterable[Pod], image: str) -> tuple[Pod, ...]:
    """Return the pods that do not agree with the template of a workload, which asks for `image`.

    Those that serve nobody come first, then the highest number, as a StatefulSet has it. While the cluster has not taken up the template, nobody knows what it calls it, so that none agrees yet.
    """

    def agrees(pod: Pod) -> bool:
        return workload.is_observed and pod.image == image and pod.revision == workload.update_revision

    left = (pod for pod in pods if not agrees(pod))
    return tuple(sorted(left, key=lambda pod: (pod.ready, -_number(pod))))


def _number(pod: Pod) -> int:
    number = pod.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


_RECREATE: Final = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}


def _named(workload: Workload) -> str:
    return f"{str(workload.kind).lower()}/{workload.name}"


def _patch(workload: Workload, body: Mapping[str, Any]) -> str:
    kind = "deployment" if workload.kind is WorkloadKind.DEPLOYMENT else "statefulset"
    return f"kubectl -n {workload.namespace} patch {kind} {workload.name} -p '{json.dumps(body)}'"
