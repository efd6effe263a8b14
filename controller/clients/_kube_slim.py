"""Keeps of a cluster's objects what is read of them here (`_kube_workloads`): the rest is most of their size. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from controller.api.names import LABEL_HOLD
from controller.clients._kube_objects import JsonObject

Mask = Mapping[str, Any]
"""The keys to keep, each with the mask of what is below it; an empty one keeps all, None nothing."""

_ALL: Final[Mask] = MappingProxyType({})
_OTHERS: Final = "*"
"""Stands for every key that is not named."""


def _of(*keys: str, **below: Mask) -> Mask:
    return {**dict.fromkeys(keys, _ALL), **below}


_METADATA: Final = _of(
    "name", "namespace", "uid", "resourceVersion", "generation", "labels", "deletionTimestamp"
)
_CONDITIONS: Final = _of("type", "status", "reason", "message")
_IMAGE_WRITERS: Final = {"f:spec": {"f:template": {"f:spec": {"f:containers": {_OTHERS: _of("f:image")}}}}}
_POD_TEMPLATE: Final = _of(
    spec=_of(
        "terminationGracePeriodSeconds",
        containers=_of("name", "image"),
        volumes=_of("persistentVolumeClaim"),
    )
)
_WORKLOAD: Final = _of(
    metadata={
        **_METADATA,
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": None, _OTHERS: _ALL},
        "managedFields": _of("manager", "time", fieldsV1=_IMAGE_WRITERS),
    },
    spec=_of("replicas", "selector", "strategy", "updateStrategy", "paused", template=_POD_TEMPLATE),
    status=_of("observedGeneration", "replicas", "updatedReplicas", "updateRevision", conditions=_CONDITIONS),
)
_CONTAINER_STATUSES: Final = _of("name", "state", "imageID", "containerID", "ready", "restartCount")
_KEPT: Final[Mapping[str, Mask]] = {
    "Deployment": _WORKLOAD,
    "StatefulSet": _WORKLOAD,
    "Pod": _of(
        metadata={**_METADATA, "annotations": _of(LABEL_HOLD)},
        spec=_of("nodeName", containers=_of("name", "image", "ports")),
        status=_of("podIP", containerStatuses=_CONTAINER_STATUSES, conditions=_CONDITIONS),
    ),
    "PersistentVolumeClaim": _of(metadata=_METADATA, spec=_of("accessModes")),
    "PodDisruptionBudget": _of(
        metadata=_METADATA,
        spec=_of("selector"),
        status=_of("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"),
    ),
}


def slim(kind: str, found: JsonObject) -> JsonObject:
    """Return what is kept of an object of `kind`; one of another kind stays whole."""
    kept: JsonObject = _masked(found, _KEPT.get(kind, _ALL))
    return kept


def _masked(value: Any, mask: Mask) -> Any:  # noqa: ANN401 -- any JSON
    if not mask:
        return value
    if isinstance(value, list):
        return [_masked(each, mask) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: _masked(value[key], below) for key, below in mask.items() if below is not None and key in value
    }
    if _OTHERS in mask:
        kept |= {key: _masked(each, mask[_OTHERS]) for key, each in value.items() if key not in mask}
    return kept
