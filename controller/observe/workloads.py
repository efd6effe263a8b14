"""Reads the targets in one cluster namespace: which workloads a document rolls, what their pods run, what they say."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from controller.api.conditions import Reason
from controller.api.names import LABEL_HOLD, LABEL_MANAGED, LABEL_PIN, LABEL_TEMPLATE, NAMESPACE_ALLOWED_FROM
from controller.api.v1alpha1 import Drain
from controller.clients.kube_workloads import KubeWorkloads
from controller.clients.pods import PodWorkspaces
from controller.model.container import ContainerState
from controller.model.errors import Terminal
from controller.model.observed import Known, Observed, Unknown
from controller.model.roll import Marks
from controller.model.running import RuntimeReport
from controller.model.target import Barred, Phase, Succession, Target
from controller.model.workload import Container, Pod, Workload, digest_of
from controller.plan.owners import template_of
from controller.plan.workloads import contest, foreign_owner, unsafe_workload, why_missing

_ASKED_AT_ONCE: Final = 16
_WORK_SECONDS: Final = 5.0
"""How old what a workspace says of its work may be: as old as what a pass does not read anew of other sources."""
_PROOF_SECONDS: Final = 30.0
"""How old the proof of one of which only that is needed may be while its process goes on, and up to twice that: so that
they are not all due at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a document says of its workloads.

    `owner` is the object, as ``NAMESPACE/NAME``, and `edit` stands for one edit of it; `selector` narrows further what the
    label of consent already allows; `templates` are image repositories by template name. With `corrects`, an image that
    somebody else wrote is put back once for each.
    """

    owner: str
    edit: str
    container: str
    selector: Mapping[str, str]
    templates: Mapping[str, str]
    drain: Drain
    corrects: bool = False


async def observe(
    workloads: KubeWorkloads,
    workspaces: PodWorkspaces,
    namespace: str,
    asked: Asked,
    *,
    settled: Collection[str] = (),
) -> tuple[Target, ...]:
    """Return the targets in `namespace`, by id: the workloads whose owner consents by label.

    Of `settled`, ids of targets, only the proof matters: their work may be told as of a minute ago.

    Raises:
        Terminal: the namespace does not let this object in.
        Transient: the cluster did not answer: nothing is known of its targets.
    """
    labels, annotations = await workloads.namespace(namespace)
    _check_consent(namespace, {**annotations, **labels}, asked)
    selector = ",".join(f"{key}={value}" for key, value in {**asked.selector, LABEL_MANAGED: "true"}.items())
    found, claims = await asyncio.gather(
        workloads.list(namespace, labels=selector), workloads.single_writer_claims(namespace)
    )
    turns = asyncio.Semaphore(_ASKED_AT_ONCE)
    said = {**labels, **annotations}
    reading = _Reading(workloads, workspaces, asked, claims, said, settled, turns)
    targets = await asyncio.gather(*(reading.target(workload) for workload in found))
    workspaces.forget(seconds=2 * _PROOF_SECONDS)
    return tuple(targets)


def _check_consent(namespace: str, said: Mapping[str, str], asked: Asked) -> None:
    own = asked.owner.partition("/")[0]
    if said.get(NAMESPACE_ALLOWED_FROM) == own:
        return
    raise Terminal(
        Reason.NAMESPACE_NOT_ALLOWED,
        f"Namespace {namespace} does not let objects of namespace {own} roll its workloads.",
        fix=f"If its owner agrees: kubectl label namespace {namespace} {NAMESPACE_ALLOWED_FROM}={own}",
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """One look at a namespace; `around` is what its labels and annotations say of all that is in it."""

    workloads: KubeWorkloads
    workspaces: PodWorkspaces
    asked: Asked
    claims: frozenset[str]
    around: Mapping[str, str]
    settled: Collection[str]
    turns: asyncio.Semaphore

    async def target(self, workload: Workload) -> Target:
        container = workload.container(self.asked.container)
        pods = () if container is None else await self.workloads.pods(workload, self.asked.container)
        marks = Marks.of(workload)
        template, unknown = self._template(workload, container)
        # An image that somebody else wrote in the middle is contested, and not ours to finish or undo.
        ours = container is not None and container.image == marks.image and marks.owner == self.asked.owner
        under_way = marks.roll is not None and ours
        image = (
            ""
            if container is None
            else _serving_image(workload, container, _staying(pods), under_way=under_way)
        )
        unsafe = unsafe_workload(workload, self.asked.drain, single_writer_claims=self.claims)
        said = {**workload.annotations, **workload.labels}
        return Target(
            id=workload.id,
            host=workload.namespace,
            name=workload.name,
            template=template,
            template_unknown=unknown,
            container_id=workload.uid,
            image=image,
            image_id=digest_of(image) or "",
            state=_state(workload, _staying(pods)),
            running=await self._running(workload, pods, under_way=under_way),
            hold=self._hold(said, pods),
            pin=said.get(LABEL_PIN, self.around.get(LABEL_PIN)),
            shape_unsafe=None if under_way else unsafe,
            barred=self._barred(workload, container, marks),
            succession=_succession(marks) if under_way else None,
            has_create_spec=marks.owner is not None,
            labels=workload.labels,
        )

    def _hold(self, said: Mapping[str, str], pods: Sequence[Pod]) -> str | None:
        """Return why its owner holds it: its namespace, itself, or one of its pods, which it cannot be rolled without."""
        pod = next((each for each in pods if each.hold is not None and not each.deleting), None)
        of_pod = f"{pod.hold} (pod {pod.name})" if pod is not None else None
        return self.around.get(LABEL_HOLD, said.get(LABEL_HOLD, of_pod))

    def _template(self, workload: Workload, container: Container | None) -> tuple[str | None, str | None]:
        named = workload.labels.get(LABEL_TEMPLATE)
        if named is not None:
            known = named in self.asked.templates
            return (
                (named, None) if known else (None, f"Its label names template {named}, which is not listed.")
            )
        return template_of(None, [container.image] if container else [], self.asked.templates)

    def _barred(self, workload: Workload, container: Container | None, marks: Marks) -> Barred | None:
        if (other := foreign_owner(workload, self.asked.owner)) is not None:
            return Barred(Reason.TARGET_OWNED, other)
        if container is None:
            names = ", ".join(each.name for each in workload.containers)
            cause = f"It has no container {self.asked.container}, only {names}; correct targets.workloads[].container"
            return Barred(Reason.CONTAINER_NOT_FOUND, cause)
        contested = contest(workload, container)
        if contested is None or (self.asked.corrects and marks.corrected != self.asked.edit):
            return None
        return Barred(Reason.IMAGE_CONTESTED, contested)

    async def _running(
        self, workload: Workload, everything: Sequence[Pod], *, under_way: bool
    ) -> Observed[RuntimeReport]:
        """Return what stands for all pods: the first that cannot be asked, else the one that has most to do.

        While it is rolled they are left to whoever rolls it: nothing is decided about it.
        """
        pods = _staying(everything)
        if len(pods) < workload.replicas or not pods:
            because = f"; {why_missing(workload, everything)}" if workload.replicas else ""
            return Unknown(f"{len(pods)} of {workload.replicas} pods are there{because}", datetime.now(UTC))
        only_proof = workload.id in self.settled
        told = [self._told(pod, only_proof=only_proof) for pod in pods]
        silent = [pod for pod, each in zip(pods, told, strict=True) if each is None]
        if silent and under_way:
            return Unknown(f"pod {silent[0].name} has not proven itself yet", datetime.now(UTC))
        asked = iter(await asyncio.gather(*map(self._ask, silent)) if silent else ())
        said = [next(asked) if each is None else each for each in told]
        unknown = next((each for each in said if isinstance(each, Unknown)), None)
        if unknown is not None:
            return unknown
        known = [each for each in said if isinstance(each, Known)]
        versions = {(each.value.version, each.value.content_sha256) for each in known}
        if len(versions) > 1:
            each_other = " and ".join(sorted(version for version, _ in versions))
            return Unknown(f"its pods report {each_other}", datetime.now(UTC))
        return max(known, key=lambda each: (each.value.active_tasks or 0) + (each.value.queued_tasks or 0))

    def _told(self, pod: Pod, *, only_proof: bool) -> Observed[RuntimeReport] | None:
        """Return what is known of the workspace in a pod without asking it; None when it is to be asked."""
        if not pod.running:
            why = pod.waiting or "its container does not run"
            return Unknown(f"pod {pod.name}: {why}", datetime.now(UTC))
        seconds = _lasting(pod) if only_proof else _WORK_SECONDS
        return self.workspaces.told(pod, container=self.asked.container, seconds=seconds)

    async def _ask(self, pod: Pod) -> Observed[RuntimeReport]:
        async with self.turns:
            return await self.workspaces.report(pod, container=self.asked.container)


def _lasting(pod: Pod) -> float:
    return _PROOF_SECONDS * (1 + zlib.crc32(pod.uid.encode()) / 2**32)


def _staying(pods: Sequence[Pod]) -> tuple[Pod, ...]:
    return tuple(pod for pod in pods if not pod.deleting)


def _serving_image(workload: Workload, container: Container, pods: Sequence[Pod], *, under_way: bool) -> str:
    """Return the image of a template, or where nobody else brings it to its pods, that of one that has another."""
    others = (pod.image for pod in pods if pod.image != container.image)
    return next(others, container.image) if workload.on_delete and not under_way else container.image


def _state(workload: Workload, pods: Sequence[Pod]) -> ContainerState:
    """Return what counts for the budget: stopped by its owner, serving, or down already."""
    if workload.replicas == 0:
        return ContainerState.EXITED
    failing = [pod for pod in pods if pod.waiting and not pod.running]
    return ContainerState.RESTARTING if failing and len(failing) == len(pods) else ContainerState.RUNNING


def _succession(marks: Marks) -> Succession | None:
    roll = marks.roll
    if roll is None or marks.image is None:
        return None
    return Succession(
        Phase.SWITCHING,
        old_id=roll.before,
        new_id=marks.image,
        image_id=digest_of(marks.image) or "",
        version=None if roll.back else roll.version,
        content_sha256=None if roll.back else roll.content_sha256,
    )
