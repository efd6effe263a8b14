"""What a builder run is as a Kubernetes Job: the document, a pure function of the run and of where it is placed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from builder.contract import BUILDAH_INPUTS, BUILDAH_SOCKET
from builder.oci import Blob
from builder.packing import PLACE
from controller.api.names import GROUP
from controller.clients._kube_objects import RESTRICTED_CONTAINER, RESTRICTED_POD
from controller.clients.runs import Run

CONTAINER: Final = "builder"
STEPS: Final = "steps"
"""The container in which steps of Dockerfiles run: they are strangers, so it has no Secret."""
RUN_LABEL: Final = f"{GROUP}/run"
TAKEN: Final = f"{GROUP}/taken"
"""Annotation of a Job whose result was taken: another run of the same input is another Job."""
_USER: Final = 65532
_BUILDING_CONTAINER: Final = {
    "allowPrivilegeEscalation": True,
    "capabilities": {"drop": ["ALL"], "add": ["SETGID", "SETUID"]},
}
_NODE_GONE_SECONDS: Final = 60
_GRACE_SECONDS: Final = 10
_USUAL_RESOURCES: Final[Mapping[str, Any]] = {
    "requests": {"cpu": "250m", "memory": "256Mi"},
    "limits": {"cpu": "2", "memory": "1Gi"},
}
_BUILD_RESOURCES: Final[Mapping[str, Any]] = {
    "requests": {"cpu": "500m", "memory": "512Mi"},
    "limits": {"cpu": "2", "memory": "2Gi"},
}
BUILDAH: Final = Path("/var/tmp/buildah")  # noqa: S108 -- the pod's own
"""Where Buildah keeps images in a Job, below a folder that it uses in any case."""
_TMP: Final = "/tmp"  # noqa: S108 -- the container's own
_SHARED: Final = (
    {"name": "buildah", "mountPath": str(BUILDAH.parent)},
    {"name": "shared", "mountPath": str(BUILDAH_INPUTS)},
)
_SHARED_VOLUMES: Final = (
    {"name": "buildah", "emptyDir": {}},
    {"name": "shared", "emptyDir": {}},
    {"name": "steps-tmp", "emptyDir": {}},
)


@dataclass(frozen=True, slots=True)
class FullBuilds:
    """In what Jobs that build Dockerfiles differ: an image with Buildah, and the seccomp profile, None for the node's usual one.

    Buildah makes a user namespace and is root in it, in a container of its own without any Secret. For that a profile must let `unshare` pass, which that of container
    runtimes (RuntimeDefault) does not, and `newuidmap` must have the two capabilities of its file: so the container may gain
    privileges, but no others than these.
    """

    image: str
    seccomp_profile: Mapping[str, Any] | None = None
    resources: Mapping[str, Any] = field(default_factory=lambda: _BUILD_RESOURCES)


@dataclass(frozen=True, slots=True)
class JobPlace:
    """Where the Jobs of one object run.

    `owner` is what an owner reference says of the object (`apiVersion`, `kind`, `name`, `uid`). `image` is the builder's.
    `work` is the folder below which everything lies that runs read and write. `ttl_seconds` is how long an ended Job can
    be looked at; `start_seconds` how long its pod may take until it runs.
    """

    namespace: str
    owner: Mapping[str, str]
    image: str
    work: Path
    pull_secrets: tuple[str, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=lambda: _USUAL_RESOURCES)
    ttl_seconds: int = 3_600
    start_seconds: float = 300.0
    full_builds: FullBuilds | None = None

    def of(self, run: Run) -> JobPlace:
        """Return the place of a run: one that builds has another image."""
        if not run.builds:
            return self
        if self.full_builds is None:
            raise ValueError("no image with Buildah is known")
        return replace(self, image=self.full_builds.image)


@dataclass(frozen=True, slots=True)
class JobAccess:
    """How a Job reaches the registry of artifacts: `repository` there, a login (see `builder.login`), and a CA's file."""

    repository: str
    login: Path | None
    hosts: tuple[str, ...]
    ca_file: Path | None
    insecure: bool

    @property
    def secrets(self) -> tuple[Path, ...]:
        """The folders of Secrets that it lies in."""
        login = self.login.parent if self.login and self.login.name.startswith(".") else self.login
        return tuple(folder for folder in (login, self.ca_file.parent if self.ca_file else None) if folder)

    def arguments(self) -> tuple[str, ...]:
        """Return the options of `builder.job` that say so."""
        options = [f"--login={self.login}"] if self.login else []
        options += [f"--login-host={host}" for host in self.hosts]
        options += [f"--ca={self.ca_file}"] if self.ca_file else []
        return (*options, *(("--insecure",) if self.insecure else ()))


def job_name(place: JobPlace, access: JobAccess, run: Run, blobs: Sequence[Blob]) -> str:
    """Return what the Job of a run is called: the same for the same input, of one object."""
    document = {
        "owner": place.owner["uid"],
        "run": run.identity,
        "arguments": run.arguments,
        "files": {blob.annotations[PLACE]: blob.descriptor.digest for blob in blobs},
        "image": place.image,
        "artifacts": access.repository,
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return f"wsr-{run.verb}-{digest[:16]}"


def job_document(place: JobPlace, access: JobAccess, run: Run, *, name: str, artifact: str) -> dict[str, Any]:
    """Return the Job: restricted, without a token, and with no Secret but those of the run and its registry."""
    labels = {"app.kubernetes.io/name": "workspace-runtime-builder", RUN_LABEL: name}
    return {
        "metadata": {
            "name": name,
            "namespace": place.namespace,
            "labels": labels,
            "ownerReferences": [{**place.owner, "controller": True}],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(run.maximum_seconds + place.start_seconds),
            "ttlSecondsAfterFinished": place.ttl_seconds,
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod(place, access, run, name=name, artifact=artifact),
            },
        },
    }


def _pod(place: JobPlace, access: JobAccess, run: Run, *, name: str, artifact: str) -> dict[str, Any]:
    secrets = list(dict.fromkeys((*run.secrets, *access.secrets)))
    arguments = _arguments(place, access, run, name=name, artifact=artifact)
    work = {"name": "work", "mountPath": str(place.work)}
    builder = _container(CONTAINER, place, "builder.job", arguments, _restricted(run)) | {
        "volumeMounts": [
            work,
            {"name": "tmp", "mountPath": _TMP},
            *(_SHARED if run.builds else ()),
            *(
                {"name": volume, "mountPath": str(folder), "readOnly": True}
                for volume, folder in _named(secrets)
            ),
        ]
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": {
            # Without a profile of the pod one that builds is let in at the level `baseline`, too.
            **({"runAsNonRoot": True} if run.builds else RESTRICTED_POD),
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
        },
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{what}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": _NODE_GONE_SECONDS,
            }
            for what in ("not-ready", "unreachable")
        ],
        "imagePullSecrets": [{"name": secret} for secret in place.pull_secrets],
        **({"initContainers": [_steps(place, work)]} if run.builds else {}),
        "containers": [builder],
        "volumes": [
            {"name": "work", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            *(_SHARED_VOLUMES if run.builds else ()),
            *(
                {"name": volume, "secret": {"secretName": folder.name, "defaultMode": 0o440}}
                for volume, folder in _named(secrets)
            ),
        ],
    }


def _container(
    name: str, place: JobPlace, module: str, arguments: Sequence[str], security: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "image": place.image,
        "command": ["python", "-P", "-m", module],
        "args": list(arguments),
        "env": [{"name": "HOME", "value": _TMP}, {"name": "PYTHONUNBUFFERED", "value": "1"}],
        "workingDir": _TMP,
        "resources": dict(place.resources),
        "securityContext": {**security, "readOnlyRootFilesystem": True},
    }


def _restricted(run: Run) -> Mapping[str, Any]:
    """Return what a container is bound to that runs nobody's steps, also where the pod is not."""
    profile = {"seccompProfile": RESTRICTED_POD["seccompProfile"]} if run.builds else {}
    return {**RESTRICTED_CONTAINER, **profile}


def _steps(place: JobPlace, work: Mapping[str, Any]) -> dict[str, Any]:
    """Return the container beside the builder that runs what Dockerfiles say, as long as the builder runs."""
    builds = place.full_builds or FullBuilds(place.image)
    profile = {"seccompProfile": dict(builds.seccomp_profile)} if builds.seccomp_profile else {}
    security = {**_BUILDING_CONTAINER, **profile}
    return _container(STEPS, place, "builder.steps", [str(BUILDAH / BUILDAH_SOCKET)], security) | {
        "restartPolicy": "Always",
        "resources": dict(builds.resources),
        "volumeMounts": [{**work, "readOnly": True}, {"name": "steps-tmp", "mountPath": _TMP}, *_SHARED],
    }


def _arguments(place: JobPlace, access: JobAccess, run: Run, *, name: str, artifact: str) -> list[str]:
    return [
        f"--artifact={artifact}",
        f"--results={results_tag(place, name)}",
        *(f"--folder={path}" for path in run.reads),
        *(f"--writes={path}" for path in run.writes),
        *access.arguments(),
        "--",
        run.verb,
        *run.arguments,
    ]


def _named(secrets: Iterable[Path]) -> list[tuple[str, Path]]:
    return [(f"secret-{number}", folder) for number, folder in enumerate(secrets)]


def inputs_tag(place: JobPlace, name: str) -> str:
    """Return the tag of the artifact with what the run of a Job reads."""
    return f"{_tags(place)}{name}.inputs"


def results_tag(place: JobPlace, name: str) -> str:
    """Return the tag of the artifact with what it writes."""
    return f"{_tags(place)}{name}.results"


def job_of_tag(place: JobPlace, tag: str) -> str | None:
    """Return the Job that an artifact is of; None for one that is of no run of this object."""
    if not tag.startswith(_tags(place)):
        return None
    return tag.removeprefix(_tags(place)).rpartition(".")[0]


def _tags(place: JobPlace) -> str:
    """Return how tags of this object's runs begin: others, of other clusters too, have theirs in the same repository."""
    return f"run-{place.owner['uid']}-"
