"""What a cluster is given for one candidate: a pod that boots it beside its model, and a policy that lets it reach nothing else. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller.api.names import LABEL_PROBE, LABEL_TEMPLATE
from controller.clients._kube_objects import RESTRICTED_CONTAINER, RESTRICTED_POD, Owner
from controller.model.probe import CONFIGS, ProbeOrder, ProbeSettings, candidate_environment

Json = dict[str, Any]

CANDIDATE: Final = "workspace"
STAND_IN: Final = "model"
"""The containers' names."""
MODEL_PORT: Final = 21_801
CONTROL_PORT: Final = 21_802
"""Where the stand-in listens for the candidate, and for us: below what systems give to outgoing connections."""
MODEL_ADDRESS: Final = f"127.0.0.1:{MODEL_PORT}"
PLACING_SECONDS: Final = 600.0
"""How long a pod may take until its candidate's process starts: a node may have to come, and images to be pulled."""
_SLACK_SECONDS: Final = 120.0
_GIVEN: Final = "/given"
_NOBODY: Final = 65_532
_STAND_IN_RESOURCES: Final = {
    "requests": {"cpu": "50m", "memory": "64Mi"},
    "limits": {"cpu": "1", "memory": "256Mi"},
}


def probe_labels(owner: Owner) -> dict[str, str]:
    """Return what the probes of an object carry; they are booted in its namespace."""
    return {LABEL_PROBE: owner.name}


@dataclass(frozen=True, slots=True)
class ProbePlace:
    """How a cluster boots candidates.

    `image` is the operator's own, which the stand-in runs from. `url` is where a pod is asked, with ``{namespace}``,
    ``{pod}``, ``{podIP}`` and ``{port}``. `callers` are the peers of a NetworkPolicy from which the operator asks; None: any.
    """

    image: str
    url: str
    callers: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Making:
    """What is one pod's own: its name, the SHA-256 of the word that its stand-in heeds, and the Secret that it pulls with."""

    name: str
    authorized: str
    pull_secret: str | None


def probe_pod(order: ProbeOrder, owner: Owner, place: ProbePlace, making: Making) -> Json:
    """Return the pod for `order`."""
    settings = order.settings
    limit = PLACING_SECONDS + order.start_deadline_seconds + 2 * order.turn_deadline_seconds + _SLACK_SECONDS
    return {
        "metadata": {
            "name": making.name,
            "labels": {**probe_labels(owner), LABEL_TEMPLATE: order.template},
            "ownerReferences": [owner.reference],
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": math.ceil(limit),
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # No name can be resolved; without these, whoever tries would wait for ten seconds.
            "dnsPolicy": "None",
            "dnsConfig": {
                "nameservers": ["127.0.0.1"],
                "options": [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "1"}],
            },
            "securityContext": RESTRICTED_POD,
            **({"imagePullSecrets": [{"name": making.pull_secret}]} if making.pull_secret else {}),
            **({"nodeSelector": _nodes(order.platform)} if order.platform else {}),
            "initContainers": [_stand_in(settings, place, making.authorized)],
            "containers": [_candidate(order)],
            "volumes": _volumes(settings),
        },
    }


def _nodes(platform: str) -> Mapping[str, str]:
    system, architecture, *_ = platform.split("/")
    return {"kubernetes.io/os": system, "kubernetes.io/arch": architecture}


def _stand_in(settings: ProbeSettings, place: ProbePlace, authorized: str) -> Json:
    """Return the container that starts before the candidate, which starts once the model listens, and ends after it."""
    mounts = [{"name": "configs", "mountPath": CONFIGS}]
    if settings.config_map is not None:
        mounts.append({"name": "given", "mountPath": _GIVEN})
    return {
        "name": STAND_IN,
        "image": place.image,
        "restartPolicy": "Always",
        "command": ["python3", "-m", "controller.model_server"],
        "args": [
            f"--port={MODEL_PORT}",
            f"--control-port={CONTROL_PORT}",
            f"--authorized={authorized}",
            f"--given={_GIVEN}",
            f"--configs={CONFIGS}",
        ],
        "startupProbe": {
            "tcpSocket": {"port": MODEL_PORT},
            "periodSeconds": 1,
            "failureThreshold": int(PLACING_SECONDS),
        },
        "resources": _STAND_IN_RESOURCES,
        "securityContext": {
            **RESTRICTED_CONTAINER,
            "runAsUser": _NOBODY,
            "runAsGroup": _NOBODY,
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": mounts,
    }


def _candidate(order: ProbeOrder) -> Json:
    settings = order.settings
    limits = {
        **({"cpu": f"{settings.nano_cpus}n"} if settings.nano_cpus else {}),
        **({"memory": str(settings.memory_bytes)} if settings.memory_bytes else {}),
    }
    user = (
        {}
        if settings.user is None
        else {"runAsUser": int(settings.user), "runAsNonRoot": settings.user != "0"}
    )
    mounts = [{"name": "configs", "mountPath": CONFIGS}]
    if settings.read_only_root:
        mounts += [{"name": folder, "mountPath": f"/{folder}"} for folder in ("tmp", "run")]
    return {
        "name": CANDIDATE,
        "image": order.image,
        "imagePullPolicy": "IfNotPresent",
        # A cluster would replace $(NAME) in a value.
        "env": [
            {"name": key, "value": value.replace("$", "$$")}
            for key, value in candidate_environment(order).items()
        ],
        "ports": [{"containerPort": settings.port}],
        "resources": {"limits": limits},
        "securityContext": {
            **RESTRICTED_CONTAINER,
            "readOnlyRootFilesystem": settings.read_only_root,
            **user,
        },
        "volumeMounts": mounts,
    }


def _volumes(settings: ProbeSettings) -> list[Json]:
    volumes: list[Json] = [{"name": "configs", "emptyDir": {}}]
    if settings.config_map is not None:
        # One that is missing must not keep the pod waiting without a word: the stand-in tells that it got no file.
        volumes.append({"name": "given", "configMap": {"name": settings.config_map, "optional": True}})
    if settings.read_only_root:
        volumes += [{"name": folder, "emptyDir": {"medium": "Memory"}} for folder in ("tmp", "run")]
    return volumes


def probe_policy(owner: Owner, place: ProbePlace, *, port: int) -> Json:
    """Return what lets the object's probes reach nothing, and be reached at `port` and the stand-in's by us alone.

    What a pod says to itself, as the candidate to its model, no policy looks at.
    """
    ports = [{"port": each, "protocol": "TCP"} for each in sorted({port, CONTROL_PORT})]
    callers = {} if place.callers is None else {"from": [dict(each) for each in place.callers]}
    return {
        "metadata": {
            "name": f"wsr-probe-{owner.name}",
            "labels": probe_labels(owner),
            "ownerReferences": [owner.reference],
        },
        "spec": {
            "podSelector": {"matchLabels": probe_labels(owner)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{**callers, "ports": ports}],
            "egress": [],
        },
    }
