"""An object in a cluster, as verbs see it: what its operator wrote into its status, and the annotations that steer it.

Who may read and who may steer is for the cluster to say: all is asked with the user's own kubeconfig.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from controller.api.status import Status
from controller.api.stops import Changes
from controller.cli.options import Address
from controller.model.errors import NotFound, Terminal
from controller.settings import Settings

if TYPE_CHECKING:
    from controller.clients.kube import JsonObject, KubeCluster

_MANAGER: Final = "wsr"
"""As whom an object is annotated."""
_WRITES: Final = 5
"""How often annotations are changed anew because something else of the object changed in between."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One object as the cluster has it now."""

    found: JsonObject

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return str(self.found["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.found["metadata"]["name"])

    @property
    def key(self) -> str:
        """`NAMESPACE/NAME`."""
        return f"{self.namespace}/{self.name}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """What is asked for."""
        spec: Mapping[str, Any] = self.found["spec"]
        return spec

    @property
    def annotations(self) -> Mapping[str, str]:
        """What steers it, beside all else that is noted on it."""
        found: Mapping[str, str] = self.found["metadata"].get("annotations") or {}
        return found

    @property
    def version(self) -> str:
        """The version that is asked for."""
        return str(self.spec["version"])

    @property
    def status(self) -> Status:
        """What its operator wrote last. Raises Terminal when it wrote nothing yet."""
        told = Status.model_validate(self.found.get("status") or {})
        if not told.conditions:
            raise Terminal(
                "NotFound",
                f"Nothing is known of WorkspaceRuntime {self.key} yet.",
                fix="Check that an operator serves its namespace: kubectl get pods -A -l app.kubernetes.io/name=workspace-runtime-operator",
            )
        return told

    @property
    def behind(self) -> str:
        """Why the status is not about the object as it is; empty when it is."""
        looked_at = (self.found.get("status") or {}).get("observedGeneration", 0)
        if looked_at == self.found["metadata"].get("generation", 0):
            return ""
        return f"{self.key} was edited since; its operator has not looked at it as it is now."


@asynccontextmanager
async def opened(address: Address) -> AsyncIterator[tuple[KubeCluster, tuple[Seen, ...]]]:
    """Give the cluster, and the object of this address in it.

    Raises:
        Terminal: no kubeconfig leads to a cluster, it refuses us, or no single object is meant.
        Transient: the cluster does not answer.
    """
    async with _connected(address) as cluster:
        namespace = address.namespace or cluster.namespace()
        yield cluster, (Seen(await _found(cluster, namespace, address.name)),)


@asynccontextmanager
async def opened_all(address: Address) -> AsyncIterator[tuple[KubeCluster, tuple[Seen, ...]]]:
    """Give the cluster, and all objects of the namespace of this address, or without one of all; raises as `opened`."""
    from controller.operator.store import OBJECTS  # noqa: PLC0415 -- see `_connected`

    async with _connected(address) as cluster:
        items = (await cluster.list(OBJECTS, address.namespace)).items
        if not items:
            where = f"Namespace {address.namespace}" if address.namespace else "The cluster"
            raise Terminal("NotFound", f"{where} has no WorkspaceRuntime.", fix="Give another one.")
        yield cluster, tuple(Seen(each) for each in items)


@asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[KubeCluster]:
    kubeconfig = Settings.of_process().kubeconfig
    if kubeconfig is None or not kubeconfig.exists():
        raise Terminal(
            "ClusterUnknown",
            f"No kubeconfig leads to a cluster{f': there is no {kubeconfig}' if kubeconfig else ''}.",
            fix="Name a document of this machine with -f FILE, or set KUBECONFIG.",
        )
    try:
        from controller.clients.kube import KubeCluster  # noqa: PLC0415 -- it need not be installed
    except ModuleNotFoundError as missing:
        raise Terminal(
            "ClusterUnknown",
            f"What speaks with clusters is not installed: {missing}.",
            fix="Install wsr with its extra: workspace-runtime-controller[cluster]",
        ) from None
    async with KubeCluster(kubeconfig, context=address.context) as cluster:
        yield cluster


async def _found(cluster: KubeCluster, namespace: str, name: str | None) -> JsonObject:
    from controller.operator.store import OBJECTS  # noqa: PLC0415 -- see above

    if name is not None:
        try:
            return await cluster.read(OBJECTS, namespace, name)
        except NotFound as missing:
            raise Terminal("NotFound", f"{missing}.", fix="List them with: kubectl get wsr -A") from None
    items = (await cluster.list(OBJECTS, namespace)).items
    if len(items) == 1:
        return items[0]
    names = ", ".join(sorted(item["metadata"]["name"] for item in items))
    told = (
        f"Namespace {namespace} has several: {names}."
        if items
        else f"Namespace {namespace} has no WorkspaceRuntime."
    )
    raise Terminal("NotFound", told, fix="Give NAME, or another namespace with -n.")


async def look_again(cluster: KubeCluster, seen: Seen) -> Seen:
    """Return the same object as it is by now; raises as `opened`."""
    return Seen(await _found(cluster, seen.namespace, seen.name))


async def annotate(cluster: KubeCluster, seen: Seen, how: Callable[[Mapping[str, str]], Changes]) -> Changes:
    """Change the object's annotations as `how` says of those that are there, and return the changes.

    Raises:
        Terminal: nobody may, or as `opened`.
        Transient: the cluster does not answer, or others write it all the time.
    """
    from controller.clients.kube import Conflict, Place  # noqa: PLC0415 -- see `_connected`
    from controller.operator.store import OBJECTS  # noqa: PLC0415 -- the same

    place, tries = Place(OBJECTS, seen.namespace, seen.name), 0
    while changes := how(seen.annotations):
        metadata = {"annotations": changes, "resourceVersion": seen.found["metadata"]["resourceVersion"]}
        try:
            await cluster.merge(place, {"metadata": metadata}, manager=_MANAGER)
        except Conflict:
            tries += 1
            if tries == _WRITES:
                raise
            seen = await look_again(cluster, seen)
        else:
            break
    return changes
