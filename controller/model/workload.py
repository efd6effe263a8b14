"""A Deployment or StatefulSet as a cluster shows it, with its pods: the raw nouns of targets in Kubernetes."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

FIELD_MANAGER: Final = "workspace-runtime"
"""As whom we write in a cluster."""
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class WorkloadKind(enum.StrEnum):
    """What a workload is."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"


@dataclass(frozen=True, slots=True)
class ImageWriter:
    """A field manager that set a container's image, and when it did so last (aware UTC)."""

    manager: str
    time: datetime | None


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a workload's template, with whoever wrote its image."""

    name: str
    image: str
    writers: tuple[ImageWriter, ...] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload.

    `strategy` is RollingUpdate, Recreate (Deployment) or OnDelete (StatefulSet); `surge` says whether pods of two
    revisions may run beside each other, `partition` how many pods of a StatefulSet keep the old revision. `grace_seconds`
    is what a pod gets between SIGTERM and SIGKILL. `claims` are the names of the volume claims that its template mounts.
    `selector` selects its pods, as a query of the API has it.
    """

    kind: WorkloadKind
    namespace: str
    name: str
    uid: str
    resource_version: str
    replicas: int
    containers: tuple[Container, ...]
    selector: str
    strategy: str = "RollingUpdate"
    surge: bool = False
    partition: int = 0
    paused: bool = False
    grace_seconds: int = 30
    claims: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    generation: int = 0
    observed_generation: int = 0
    current_replicas: int = 0
    """Pods of any revision that exist."""
    updated_replicas: int = 0
    """Pods of the newest revision."""
    update_revision: str = ""
    """What a StatefulSet calls its template as of `observed_generation`; each pod carries that of the template it was made from."""
    refused: str | None = None
    """Why the cluster takes no pod of it, with the cure where there is one; of a StatefulSet it does not say so."""
    written: str | None = None
    """The image that this process wrote last; annotations remember it too, unless somebody replaces the whole object."""
    put_back: str | None = None
    """The edit for which this process put its image back last; annotations likewise."""

    @property
    def id(self) -> str:
        """``NAMESPACE/KIND/NAME``, as targets are called."""
        return f"{self.namespace}/{self.kind}/{self.name}"

    @property
    def on_delete(self) -> bool:
        """Whether the cluster leaves it to others when a pod is replaced: it makes a new one of one that is deleted."""
        return self.strategy == "OnDelete"

    @property
    def is_observed(self) -> bool:
        """Whether the cluster has taken up its template as it is now."""
        return self.observed_generation >= self.generation

    @property
    def rolled(self) -> bool:
        """Whether the cluster has replaced every pod by one of the newest revision."""
        return self.is_observed and self.updated_replicas == self.replicas == self.current_replicas

    def container(self, name: str) -> Container | None:
        """Return the container of this name, or None."""
        return next((each for each in self.containers if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a workload, seen through one of its containers.

    `images` are those of all its containers, by name; `revision` is the template that its StatefulSet made it from.
    `image_id` is what the node says that the container runs; `waiting` why it does not (ImagePullBackOff,
    CrashLoopBackOff), with the node's words; `address` and `port` where it can be asked; `hold` why its owner holds it.
    """

    namespace: str
    name: str
    uid: str
    node: str = ""
    address: str | None = None
    port: int | None = None
    image: str = ""
    images: Mapping[str, str] = field(default_factory=dict, hash=False)
    revision: str = ""
    image_id: str = ""
    container_id: str = ""
    running: bool = False
    ready: bool = False
    deleting: bool = False
    waiting: str | None = None
    restarts: int = 0
    started_time: datetime | None = None
    hold: str | None = None

    @property
    def digest(self) -> str | None:
        """The digest in `image_id`: that of an index, a manifest or a configuration, as the node's engine keeps it."""
        return digest_of(self.image_id)


def digest_of(reference: str) -> str | None:
    """Return the digest that a reference names, None when it names none."""
    found = _DIGEST.search(reference)
    return found[0] if found else None
