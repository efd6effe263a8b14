"""The targets in a cluster as a world needs them: read for a document, rolled for an action, followed for changes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from controller.act.roll_workload import roll as roll_workload
from controller.api.conditions import Reason
from controller.api.v1alpha1 import Workloads, WorkspaceRuntime
from controller.clients.disruption_budgets import BUDGETS
from controller.clients.kube import DEPLOYMENTS, PODS, STATEFUL_SETS, KubeCluster, Resource
from controller.clients.kube_cache import KubeCache
from controller.clients.kube_workloads import CLAIMS, KubeWorkloads
from controller.clients.parts import Parts
from controller.clients.pods import USUAL_URL, PodWorkspaces
from controller.model.actions import Replace
from controller.model.errors import Problem, Terminal
from controller.model.observed import Unknown
from controller.model.record import ReleaseRecord
from controller.model.replacement import ReplaceResult
from controller.model.roll import RollOrder
from controller.model.target import Barred, Target
from controller.model.workload import WorkloadKind
from controller.observe.workloads import Asked, observe
from controller.reconcile.roll import concluded, ended
from controller.settings import Settings


@dataclass(frozen=True, slots=True)
class ClusterTargets:
    """The workloads of one cluster."""

    cache: KubeCache
    workloads: KubeWorkloads
    workspaces: PodWorkspaces
    _readings: dict[str, asyncio.Task[ReleaseRecord]] = field(default_factory=dict)
    """Records that are being read, by version."""

    async def observe(
        self, document: WorkspaceRuntime, *, settled: Collection[str] = ()
    ) -> tuple[Target, ...]:
        """Return the targets that a document names, each once; of two entries the first has it.

        `settled` are those of which only the proof matters, see `observe.workloads`. One target stands for a namespace that does not let this object in, or cannot be read, while others can.

        Raises:
            Terminal: no namespace lets this object in.
            Transient: the cluster did not answer: nothing is known of its targets.
        """
        edit = _edit(document)
        readings = [
            self._seen(namespace, _asked(document, entry, edit), settled)
            for entry in document.spec.targets.workloads
            for namespace in entry.namespaces
        ]
        seen = await asyncio.gather(*readings)
        problems = [each for each in seen if isinstance(each, Problem)]
        if problems and len(problems) == len(seen):
            raise problems[0]
        names = [name for entry in document.spec.targets.workloads for name in entry.namespaces]
        found = [
            target
            for name, each in zip(names, seen, strict=True)
            for target in ((_unseen(name, each),) if isinstance(each, Problem) else each)
        ]
        return tuple({target.id: target for target in reversed(found)}.values())[::-1]

    async def roll(self, parts: Parts, document: WorkspaceRuntime, action: Replace) -> str:
        """Bring one workload to the recorded image of a version, or end what was begun there. Raises as `reconcile.roll`."""
        order = _order(parts.settings, document, action)
        if action.image_id is None:
            return ended(action, await self._roll(parts, action, order))
        record = await self._record(parts, action.version)
        recorded = record.in_use.templates[action.template]
        template = next(each for each in document.spec.templates if each.name == action.template)
        order = replace(
            order,
            image=f"{recorded.image}@{recorded.digest}",
            version=record.version,
            content_sha256=record.content_sha256,
            digests=tuple(sorted(recorded.digests)),
            start_deadline_seconds=float(template.start_deadline_seconds),
        )
        return await concluded(parts, document, action, await self._roll(parts, action, order))

    async def watch(self, document: WorkspaceRuntime, wake: Callable[[], None]) -> None:
        """Call `wake` whenever a workload of the document or one of its pods may have changed; runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            for namespace in _namespaces(document):
                for resource in (DEPLOYMENTS, STATEFUL_SETS, PODS, CLAIMS, BUDGETS):
                    group.create_task(self._watch(resource, namespace, wake))

    async def _record(self, parts: Parts, version: str) -> ReleaseRecord:
        """Read a record once for all who ask for it at the same time: a fleet begins at once."""
        reading = self._readings.get(version)
        if reading is None:
            reading = self._readings[version] = asyncio.create_task(parts.records.get(version))
            reading.add_done_callback(partial(self._read, version))
        return await asyncio.shield(reading)

    def _read(self, version: str, reading: asyncio.Task[ReleaseRecord]) -> None:
        del self._readings[version]
        if not reading.cancelled():
            reading.exception()  # whoever asked for it may be gone

    async def _seen(
        self, namespace: str, asked: Asked, settled: Collection[str]
    ) -> tuple[Target, ...] | Problem:
        try:
            return await observe(self.workloads, self.workspaces, namespace, asked, settled=settled)
        except Problem as problem:
            return problem

    async def _watch(self, resource: Resource, namespace: str, wake: Callable[[], None]) -> None:
        with suppress(Terminal):  # what may not be watched may not be read either, and that is said there
            await self.cache.follow(resource, namespace, wake)

    async def _roll(self, parts: Parts, action: Replace, order: RollOrder) -> ReplaceResult:
        return await roll_workload(
            self.workloads,
            self.workspaces,
            order,
            on_step=lambda step: parts.say(f"{action.target}: {step}"),
        )


@asynccontextmanager
async def open_cluster(settings: Settings, *, package: str) -> AsyncIterator[ClusterTargets]:
    """Open the cluster that the settings lead to; `package` is the runtime's name, for `workspaces_in`.

    Raises:
        Terminal: there is no kubeconfig, or it cannot be read.
    """
    if settings.kubeconfig is None:
        raise Terminal(
            "ClusterUnknown",
            "The document names workloads, and no kubeconfig says in which cluster.",
            fix="Set KUBECONFIG to the file that leads to it.",
        )
    async with AsyncExitStack() as stack:
        cluster = KubeCluster(settings.kubeconfig, may_execute=settings.exec_in_pods)
        await stack.enter_async_context(cluster)
        workspaces = await stack.enter_async_context(workspaces_in(cluster, settings, package=package))
        cache = KubeCache(cluster)
        yield ClusterTargets(cache, KubeWorkloads(cache), workspaces)


def workspaces_in(cluster: KubeCluster, settings: Settings, *, package: str) -> PodWorkspaces:
    """Return the way to the workspaces in a cluster's pods; `package` tells by exec, where that is on, what an old one runs."""
    url = settings.workspace_url or USUAL_URL
    return PodWorkspaces(cluster, url=url, package=package if settings.exec_in_pods else None)


def _unseen(namespace: str, problem: Problem) -> Target:
    refused = isinstance(problem, Terminal) and problem.reason == Reason.NAMESPACE_NOT_ALLOWED
    reason = Reason.NAMESPACE_NOT_ALLOWED if refused else Reason.UNKNOWN
    cause = str(problem).rstrip(".")
    return Target.unseen(namespace, Barred(reason, cause), Unknown(cause, datetime.now(UTC)))


def _namespaces(document: WorkspaceRuntime) -> Iterable[str]:
    return dict.fromkeys(name for entry in document.spec.targets.workloads for name in entry.namespaces)


def _edit(document: WorkspaceRuntime) -> str:
    """Return what stands for one edit of the document: a drift is corrected once for each."""
    return hashlib.sha256(document.spec.model_dump_json().encode()).hexdigest()[:16]


def _asked(document: WorkspaceRuntime, entry: Workloads, edit: str) -> Asked:
    return Asked(
        owner=document.key,
        edit=edit,
        container=entry.container,
        selector=entry.selector.match_labels,
        templates={template.name: template.image for template in document.spec.templates},
        drain=document.spec.rollout.drain,
        corrects=document.spec.targets.on_drift == "Correct",
    )


def _order(settings: Settings, document: WorkspaceRuntime, action: Replace) -> RollOrder:
    namespace, kind, name = action.target.split("/")
    number, entry = next(
        (number, each)
        for number, each in enumerate(document.spec.targets.workloads)
        if namespace in each.namespaces
    )
    secret = entry.control_token_secret_name
    field = f"spec.targets.workloads[{number}].controlTokenSecretName"
    cure = "Write the control token of the workspaces there."
    drain = document.spec.rollout.drain
    return RollOrder(
        owner=document.key,
        kind=WorkloadKind(kind),
        namespace=namespace,
        name=name,
        container=entry.container,
        image=None,
        token=None if secret is None else settings.token(secret, field=field, cure=cure),
        drain_timeout_seconds=float(drain.timeout_seconds),
        on_timeout=drain.on_timeout,
        corrects=document.spec.targets.on_drift == "Correct",
        edit=_edit(document),
        pulls_before=document.spec.rollout.pre_pull == "Auto",
        in_place=settings.patch_pods and document.spec.rollout.in_place == "Auto",
    )
