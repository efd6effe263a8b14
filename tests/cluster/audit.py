"""What accounts of pods asked the API server for, from its audit log, and what roles allow: the two are compared."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from tests.cluster.cluster import Cluster


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource (with a subresource as `pods/log`); the group of the core API is empty."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


@dataclass(frozen=True)
class Asked:
    """One request of an account: what for, in which namespace (empty: of none, or of all), whether it was allowed, and when.

    `name` is empty where it was for no single object.
    """

    right: Right
    namespace: str
    name: str
    allowed: bool
    received: datetime


def asked(cluster: Cluster, account: str, namespace: str) -> list[Asked]:
    """All that a ServiceAccount asked for, watches twice; discovery, which everybody may do, left out."""
    user = f"system:serviceaccount:{namespace}:{account}"
    lines = cluster.own.log("audit").read_text().splitlines()
    events = (json.loads(line) for line in lines if user in line)
    return [_asked(event) for event in events if event["user"]["username"] == user and "objectRef" in event]


def _asked(event: Mapping[str, Any]) -> Asked:
    about = event["objectRef"]
    resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
    right = Right(about.get("apiGroup", ""), resource, event["verb"])
    decision = event.get("annotations", {}).get("authorization.k8s.io/decision")
    received = datetime.fromisoformat(event["requestReceivedTimestamp"])
    return Asked(right, about.get("namespace", ""), about.get("name", ""), decision == "allow", received)


def granted(roles: Iterable[Mapping[str, Any]]) -> frozenset[Right]:
    """What the rules of Roles and ClusterRoles allow."""
    return frozenset(right for role in roles for rule in role["rules"] for right in _rights(rule))


def _rights(rule: Mapping[str, Any]) -> Iterator[Right]:
    for group, resource, verb in product(rule["apiGroups"], rule["resources"], rule["verbs"]):
        yield Right(group, resource, verb)
