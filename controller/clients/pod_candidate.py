"""The pod that a candidate image is booted in: made as production makes one, beside its model, and gone afterwards in every case.

A pod is asked for and read, not watched: a probe takes seconds, and a read that is repeated misses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import aiohttp

from controller.api.conditions import Reason
from controller.api.names import LABEL_TEMPLATE
from controller.clients._probe_pod import (
    CANDIDATE,
    CONTROL_PORT,
    MODEL_ADDRESS,
    PLACING_SECONDS,
    Making,
    ProbePlace,
    probe_labels,
    probe_pod,
    probe_policy,
)
from controller.clients._probe_pod_status import PodSight, read_pod
from controller.clients.candidate import ModelSide, Sight
from controller.clients.kube import PODS, KubeCluster, Owner, Place, Resource
from controller.clients.pod_stand_in import PodStandIn, new_word
from controller.clients.pods import pod_url
from controller.clients.to_the_end import to_its_end
from controller.model.errors import NotFound, Problem, Terminal, Transient
from controller.model.probe import Failed, ModelUse, ProbeOrder, ProbeReason
from controller.model.workload import FIELD_MANAGER, digest_of
from controller.model_server.script import Script
from controller.model_server.ticket import Ticket

__all__ = ["PodCandidate", "PodPlace", "ProbePlace", "pod_candidate"]

_POLICIES: Final = Resource("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy")
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 1.0
_PAUSE_GROWTH: Final = 1.2
_STAND_IN_SECONDS: Final = 60.0
"""How long the stand-in's process may take until it answers."""


@dataclass(frozen=True, slots=True)
class PodPlace:
    """Where the candidates of one object are booted; `say` takes lines about what a pod waits for."""

    cluster: KubeCluster
    owner: Owner
    place: ProbePlace
    say: Callable[[str], None]


@asynccontextmanager
async def pod_candidate(
    where: PodPlace, order: ProbeOrder, *, pull_secret: str | None
) -> AsyncIterator[PodCandidate]:
    """Give the candidate of `order`, not yet started, in a pod that may pull with `pull_secret`.

    It goes in every case, also on cancellation; what a killed run left of this template's probes goes first.

    Raises:
        Terminal: the cluster refuses the pod: a quota, a policy, missing rights; Transient: it does not answer.
    """
    cluster, owner = where.cluster, where.owner
    await _remove_leftovers(where, order)
    policy = probe_policy(owner, where.place, port=order.settings.port)
    at = Place(_POLICIES, owner.namespace, policy["metadata"]["name"])
    await cluster.apply(at, policy, manager=FIELD_MANAGER)
    script, ticket = None, Ticket("", frozenset(), order.settings.environment)
    if order.model is not ModelUse.NONE:
        script = Script(tools=order.model is ModelUse.REQUIRED)
        ticket = Ticket.drawn(MODEL_ADDRESS, order.settings.environment)
    order = replace(order, settings=replace(order.settings, environment=ticket.environment))
    word, authorized = new_word()
    name = f"wsr-probe-{order.template}-{secrets.token_hex(4)}"
    pod = probe_pod(order, owner, where.place, Making(name, authorized, pull_secret))
    creation = asyncio.create_task(cluster.create(PODS, owner.namespace, pod))
    try:
        await asyncio.shield(creation)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield PodCandidate(where, order, name, ticket, PodStandIn(session, "", word, script))
    finally:
        await to_its_end(_remove(where, name, creation))


async def _remove(where: PodPlace, name: str, creation: asyncio.Task[object]) -> None:
    """Delete the pod, also one whose creation was not answered; what stays goes with its deadline, the next probe or its owner."""
    await asyncio.wait([creation])
    with contextlib.suppress(Problem):
        await where.cluster.delete(PODS, where.owner.namespace, name)


async def _remove_leftovers(where: PodPlace, order: ProbeOrder) -> None:
    """Remove probes of this template and object that a killed run left; one template is probed once at a time."""
    labels = {**probe_labels(where.owner), LABEL_TEMPLATE: order.template}
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    for pod in (await where.cluster.list(PODS, where.owner.namespace, labels=selector)).items:
        metadata = pod["metadata"]
        with contextlib.suppress(NotFound):
            await where.cluster.delete(PODS, where.owner.namespace, metadata["name"], uid=metadata["uid"])


class PodCandidate:
    """The `Candidate` in one pod."""

    def __init__(
        self, where: PodPlace, order: ProbeOrder, name: str, ticket: Ticket, stand_in: PodStandIn
    ) -> None:
        self._where = where
        self._order = order
        self._name = name
        self._ticket = ticket
        self._stand_in = stand_in

    @property
    def environment(self) -> Mapping[str, str]:
        """See `Candidate`."""
        return self._ticket.environment

    @property
    def model(self) -> ModelSide | None:
        """See `Candidate`."""
        return self._stand_in if self._stand_in.script is not None else None

    async def start(self) -> float:
        """See `Candidate`: the cluster starts it once its model listens, so that one is told what to say."""
        sight = await self._awaited(lambda seen: seen.stand_in_runs and seen.address is not None)
        url = pod_url(self._where.place.url, self._at, sight.address or "", CONTROL_PORT)
        self._stand_in = replace(self._stand_in, url=url)
        config_map = self._order.settings.config_map
        names = await self._admitted({} if config_map else self._order.settings.files)
        if not names:
            what = f"was not booted: there is no ConfigMap {self._where.owner.namespace}/{config_map}, or nothing is in it"
            raise Failed(ProbeReason.BAD_CONFIGURATION, what)
        sight = await self._awaited(lambda seen: seen.runs or seen.ended is not None)
        begun = asyncio.get_running_loop().time()
        if digest_of(sight.image_id) not in self._order.digests:
            what = f"runs {sight.image_id or 'nothing'}, which is not the image asked for"
            raise Failed(ProbeReason.WRONG_VERSION, what)
        return begun

    async def look(self) -> Sight:
        """See `Candidate`."""
        sight = await self._read()
        if sight.address is None:
            return Sight((), sight.ended)
        url = pod_url(self._where.place.url, self._at, sight.address, self._order.settings.port)
        return Sight((url,), sight.ended)

    async def prove_reached(self) -> None:
        """See `Candidate`: the stand-in, in the same pod, answers to a word that nobody else knows."""
        await self._stand_in.seen()

    async def memory_bytes(self) -> int | None:
        """See `Candidate`; a cluster tells it through an add-on only, and minutes later."""
        return None

    async def log_tail(self, *, lines: int) -> tuple[str, ...]:
        """See `Candidate`."""
        return await self._where.cluster.log_tail(self._at, CANDIDATE, lines=lines)

    @property
    def _at(self) -> Place:
        return Place(PODS, self._where.owner.namespace, self._name)

    async def _read(self) -> PodSight:
        at = self._at
        try:
            found = await self._where.cluster.read(at.resource, at.namespace, at.name)
        except NotFound as gone:
            raise Transient(
                f"{at} was deleted while its candidate was proven, which says nothing of that"
            ) from gone
        return read_pod(found)

    async def _awaited(self, holds: Callable[[PodSight], bool]) -> PodSight:
        """Return the pod when something is so of it.

        Raises:
            Transient: it is not after what a node and its pulls may take.
        """
        clock = asyncio.get_running_loop().time
        deadline, pause, told = clock() + PLACING_SECONDS, _FIRST_PAUSE_SECONDS, ""
        while True:
            sight = await self._read()
            if holds(sight):
                return sight
            if clock() >= deadline:
                waits = sight.waits or "its node does not say why"
                raise Transient(f"{self._at} did not start within {PLACING_SECONDS:g} s: {waits}")
            if sight.waits not in {told, "PodInitializing", "ContainerCreating", ""}:
                told = sight.waits
                self._where.say(f"{self._at} waits: {told}")
            await asyncio.sleep(pause)
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)

    async def _admitted(self, files: Mapping[str, bytes]) -> list[str]:
        """Tell the stand-in what to say, and return the names of the candidate's files.

        Raises:
            Terminal: GateUnreachable; its process runs, and it is not reached.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + _STAND_IN_SECONDS
        while True:
            try:
                return await self._stand_in.admit(self._ticket, files)
            except Transient as error:
                if clock() >= deadline:
                    raise Terminal(
                        Reason.GATE_UNREACHABLE,
                        f"The stand-in model in pod {self._at.namespace}/{self._name} runs and is not reached: {error.cause}.",
                        fix="Let the operator reach pods of that namespace, or set WSR_WORKSPACE_URL to a way there.",
                    ) from error
                await self._read()
            await asyncio.sleep(_FIRST_PAUSE_SECONDS)
