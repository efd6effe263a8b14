"""Reads what a cluster says of workloads and pods into nouns of ours, and tells who wrote an image. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from controller.api.names import LABEL_HOLD
from controller.clients._kube_errors import denial
from controller.model.workload import Container, ImageWriter, Pod, Workload, WorkloadKind

Json = Mapping[str, Any]

REVISION_LABEL: Final = "controller-revision-hash"
"""By which a StatefulSet knows the template that a pod was made from."""
_USUAL_PORT: Final = 8000
_USUAL_GRACE_SECONDS: Final = 30


def parse_workload(kind: WorkloadKind, found: Json) -> Workload:
    """Return the workload in the server's JSON."""
    metadata, spec, status = found["metadata"], found["spec"], found.get("status") or {}
    pod = spec["template"]["spec"]
    strategy = spec.get("strategy" if kind is WorkloadKind.DEPLOYMENT else "updateStrategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    replicas = spec.get("replicas")
    type_ = strategy.get("type", "RollingUpdate")
    return Workload(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        replicas=1 if replicas is None else replicas,
        containers=tuple(
            Container(each["name"], each.get("image", ""), tuple(_writers(metadata, each["name"])))
            for each in pod["containers"]
        ),
        selector=selector_of(spec["selector"]),
        strategy=type_,
        surge=kind is WorkloadKind.DEPLOYMENT
        and type_ == "RollingUpdate"
        and rolling.get("maxSurge") not in {0, "0%"},
        partition=rolling.get("partition") or 0 if kind is WorkloadKind.STATEFUL_SET else 0,
        paused=bool(spec.get("paused")),
        grace_seconds=_number(pod.get("terminationGracePeriodSeconds"), _USUAL_GRACE_SECONDS),
        claims=tuple(
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod.get("volumes") or ()
            if volume.get("persistentVolumeClaim")
        ),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        generation=metadata.get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        current_replicas=status.get("replicas", 0),
        updated_replicas=status.get("updatedReplicas", 0),
        update_revision=status.get("updateRevision", ""),
        refused=_refused(status),
    )


def parse_pod(found: Json, container: str) -> Pod:
    """Return the pod in the server's JSON, seen through its container of this name."""
    metadata, status = found["metadata"], found.get("status") or {}
    statuses = status.get("containerStatuses") or ()
    own: Json = next((each for each in statuses if each["name"] == container), {})
    state = own.get("state") or {}
    running = state.get("running") or {}
    spec: Json = next((each for each in found["spec"]["containers"] if each["name"] == container), {})
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=found["spec"].get("nodeName", ""),
        address=status.get("podIP"),
        port=_port(spec),
        image=spec.get("image", ""),
        images={each["name"]: each.get("image", "") for each in found["spec"]["containers"]},
        revision=(metadata.get("labels") or {}).get(REVISION_LABEL, ""),
        image_id=own.get("imageID", ""),
        container_id=own.get("containerID", ""),
        running="running" in state,
        ready=bool(own.get("ready")),
        deleting="deletionTimestamp" in metadata,
        waiting=_waiting(state, status, metadata),
        restarts=own.get("restartCount", 0),
        started_time=datetime.fromisoformat(running["startedAt"]) if running.get("startedAt") else None,
        hold={**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}.get(LABEL_HOLD),
    )


def same_but_image(template: Json, other: Json, container: str) -> bool:
    """Return whether two templates of pods differ in nothing but the image of one container."""
    return bool(_without_image(template, container) == _without_image(other, container))


def _without_image(template: Any, container: str) -> Any:  # noqa: ANN401 -- any JSON
    """Return a template as it is compared: a revision holds it as a patch, and fields that are not set as null."""
    bare = _bare(template)
    for each in bare["spec"]["containers"]:
        if each["name"] == container:
            each.pop("image", None)
    return bare


def _bare(value: Any) -> Any:  # noqa: ANN401 -- any JSON
    if isinstance(value, Mapping):
        return {key: _bare(each) for key, each in value.items() if each is not None and key != "$patch"}
    return [_bare(each) for each in value] if isinstance(value, list) else value


def _refused(status: Json) -> str | None:
    for each in status.get("conditions") or ():
        if each["type"] == "ReplicaFailure" and each["status"] == "True":
            words = " ".join(str(each.get("message") or each.get("reason")).split()).rstrip(".")
            _, cure = denial(words) or ("", "")
            return f"{words}. {cure}".rstrip()
    return None


def _waiting(state: Json, status: Json, metadata: Json) -> str | None:
    for part in ("waiting", "terminated"):
        told = state.get(part)
        if told:
            words = " ".join(str(told.get("message") or "").split())
            if (
                not words and told.get("reason") == "ContainerCreating"
            ):  # of a volume a node tells in events alone
                words = f"kubectl -n {metadata['namespace']} describe pod {metadata['name']} says what it waits for"
            return f"{told.get('reason', part)}: {words}" if words else str(told.get("reason", part))
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{condition.get('reason', 'Unscheduled')}: {condition.get('message', '')}"
    return None


def _port(spec: Json) -> int:
    ports = [
        each["containerPort"] for each in spec.get("ports") or () if each.get("protocol", "TCP") == "TCP"
    ]
    return _USUAL_PORT if not ports or _USUAL_PORT in ports else int(min(ports))


def _number(value: int | None, usual: int) -> int:
    return usual if value is None else value


def selector_of(selector: Json) -> str:
    """Return a label selector as a query has it."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(each.get("values") or ())
        match each["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case _:
                parts.append(f"!{key}")
    return ",".join(parts)


def _writers(metadata: Json, container: str) -> Iterator[ImageWriter]:
    """Yield the managers whose last write holds the image of a container (`metadata.managedFields`)."""
    path = ("f:spec", "f:template", "f:spec", "f:containers", f'k:{{"name":"{container}"}}', "f:image")
    for entry in metadata.get("managedFields") or ():
        node: Any = entry.get("fieldsV1") or {}
        for key in path:
            node = node.get(key) if isinstance(node, Mapping) else None
        if node is not None:
            time = entry.get("time")
            yield ImageWriter(entry.get("manager", "?"), datetime.fromisoformat(time) if time else None)
