"""What a cluster's objects are called, listed and told as: kinds, places, and the JSON that the server sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller.api.names import API_VERSION, KIND

JsonObject = dict[str, Any]


def age_of(found: Mapping[str, Any]) -> int:
    """Return a number that is larger for every newer state of an object, and of objects of its kind (KEP-5504)."""
    return int(found["metadata"]["resourceVersion"])


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object: `api` is ``v1`` or ``apps/v1``, `plural` its name in paths, `kind` in documents."""

    api: str
    plural: str
    kind: str

    def path(self, namespace: str | None = None, name: str | None = None, *more: str) -> str:
        """Return where its objects, or one of them, are."""
        parts = ["apis" if "/" in self.api else "api", self.api]
        parts += ["namespaces", namespace] if namespace else []
        return "/" + "/".join([*parts, self.plural, *((name, *more) if name else ())])


DEPLOYMENTS: Final = Resource("apps/v1", "deployments", "Deployment")
STATEFUL_SETS: Final = Resource("apps/v1", "statefulsets", "StatefulSet")
PODS: Final = Resource("v1", "pods", "Pod")
NAMESPACES: Final = Resource("v1", "namespaces", "Namespace")
JOBS: Final = Resource("batch/v1", "jobs", "Job")
SECRETS: Final = Resource("v1", "secrets", "Secret")


RESTRICTED_POD: Final = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
"""What the level `restricted` of Pod Security asks of a pod."""
RESTRICTED_CONTAINER: Final = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""And of each of its containers."""


@dataclass(frozen=True, slots=True)
class Owner:
    """An object of ours, and what is made for it goes with."""

    namespace: str
    name: str
    uid: str
    api_version: str = API_VERSION
    kind: str = KIND

    @property
    def reference(self) -> dict[str, str]:
        """An owner reference: what carries it goes with the object."""
        return {"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid}


@dataclass(frozen=True, slots=True)
class Place:
    """One object of a kind, by its name."""

    resource: Resource
    namespace: str | None
    name: str

    def path(self, *part: str) -> str:
        """Return where it is, or a subresource of it."""
        return self.resource.path(self.namespace, self.name, *part)

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.resource.kind} {where}"


@dataclass(frozen=True, slots=True)
class Listed:
    """All objects of a kind at one moment, and the resource version to watch from."""

    items: tuple[JsonObject, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something changed: `kind` is ADDED, MODIFIED, DELETED or BOOKMARK, which has nothing but a new `version`."""

    kind: str
    object: JsonObject
    version: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """How another client is to reach the server as we do: certificates and key are files."""

    server: str
    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    scheme: str | None = None
    token: str | None = field(default=None, repr=False)
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request; `doing` completes "Could not …", and empty values of `query` are not sent."""

    method: str
    path: str
    doing: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content_type: str = "application/json"
