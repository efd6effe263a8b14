"""Runs the builder as Kubernetes Jobs: the cluster's counterpart of a subprocess, same arguments, same report.

What a run reads goes into the registry as an artifact, what it writes comes back as one; between them lies a Job whose
name follows from its input. So whoever comes back after a crash finds the run under way, or its result, and takes it up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from builder import oci
from builder.contract import Outcome, Report
from builder.login import Login, credentials_of
from builder.packing import fetch, packed, send
from builder.problems import Refused
from controller.api.conditions import Reason
from controller.api.v1alpha1 import Registry
from controller.clients._job_end import Ended, Lost, Working, is_of, is_taken, standing
from controller.clients._job_spec import (
    BUILDAH,
    RUN_LABEL,
    TAKEN,
    FullBuilds,
    JobAccess,
    JobPlace,
    inputs_tag,
    job_document,
    job_name,
    job_of_tag,
    results_tag,
)
from controller.clients._job_watch import WatchedJob
from controller.clients.kube import JOBS, PODS, Conflict, JsonObject, KubeCluster, Place
from controller.clients.registry import parse, translated
from controller.clients.registry_config import secret_login
from controller.clients.runs import Progress, Run, settle
from controller.clients.template_failure import ELSEWHERE
from controller.model.errors import NotFound, Problem, Terminal, Transient
from controller.settings import REGISTRY_CA, Settings

__all__ = ["FullBuilds", "JobPlace", "JobRuns", "job_access"]

_MANAGER: Final = "workspace-runtime-operator"
_GONE_LOOKS: Final = 150


def job_access(registry: Registry, settings: Settings, *, hosts: frozenset[str]) -> JobAccess:
    """Return how the runs of an object reach its registry; `hosts` are all that its document names.

    Raises:
        Terminal: a Secret is missing, incomplete or readable by others.
    """
    login = secret_login(registry, settings, hosts=hosts)
    return JobAccess(
        repository=registry.artifacts,
        login=Path(login) if login else None,
        hosts=tuple(sorted(hosts)),
        ca_file=settings.ca_file(registry.ca_secret_name, field=REGISTRY_CA),
        insecure=registry.insecure,
    )


class JobRuns:
    """The builder runs of one object in a cluster; see `BuilderRuns`."""

    def __init__(self, cluster: KubeCluster, place: JobPlace, access: JobAccess) -> None:
        """`access` is asked for the registry by whoever calls and by every Job alike."""
        self._cluster = cluster
        self._place = place
        self._access = access
        self._tidying: asyncio.Task[None] | None = None
        self.leaving = False
        """Set before a cancellation that is to leave the Jobs at work, for whoever comes next."""

    @property
    def buildah(self) -> Path | None:
        """See `BuilderRuns`."""
        return BUILDAH if self._place.full_builds else None

    def prepare(self, verb: str) -> None:
        """Do nothing: a Job has no process to keep ready."""

    async def run(self, run: Run, *, progress: Progress | None = None) -> Report:
        """See `BuilderRuns`. A Job of the same input that is there is taken up; one that ended in failure is repeated.

        Raises:
            Terminal: as there; or no Job may be created, or no pod of it: QuotaExceeded, AdmissionDenied, ClusterForbidden;
                or BuilderImageUnusable; or the namespace lets no pod in that builds Dockerfiles (BuildForbidden).
            Transient: as there; or the Job was lost, evicted, or ran into its deadline.
        """
        place = self._place.of(run)
        _expect_below(place.work, (*run.reads, *run.writes))
        try:
            blobs = await asyncio.to_thread(packed, run.reads)
        except Refused as refusal:
            raise Terminal(refusal.reason, refusal.message, fix=run.fix) from refusal
        name = job_name(place, self._access, run, blobs)
        async with self._registry() as client:
            await self._tidied()
            try:
                await self._place_job(run, client, name, blobs)
                watched = WatchedJob(self._cluster, place, name, run.verb, progress or _ignore)
                ended = await watched.ended()
                await self._fetch(run, client, ended)
            except BaseException as error:
                if not (self.leaving and isinstance(error, asyncio.CancelledError)):
                    await asyncio.shield(self._discard(client, name))
                raise
            await self._note_taken(client, name)
        return settle(run, ended.code, ended.report)

    @contextlib.asynccontextmanager
    async def _registry(self) -> AsyncIterator[oci.Client]:
        access = self._access
        login = Login(access.login, access.hosts) if access.login else None
        with translated():
            client = oci.Client(credentials_of(login), insecure=access.insecure, ca_file=access.ca_file)
            await client.__aenter__()
        try:
            yield client
        finally:
            await client.__aexit__(None, None, None)

    async def _place_job(self, run: Run, client: oci.Client, name: str, blobs: Sequence[oci.Blob]) -> None:
        """See to it that there is a Job: the one that is there, if its result can still be had, else a new one."""
        with translated():
            digest = await send(client, self._repository.at(inputs_tag(self._place, name)), blobs)
        artifact = f"{self._repository.name}@{digest}"
        document = job_document(self._place.of(run), self._access, run, name=name, artifact=artifact)
        if run.builds and not await self._usable(
            client, name
        ):  # one at work was let in, and counts for a quota
            await self._expect_admitted(document)
        while True:
            try:
                await self._cluster.create(JOBS, self._place.namespace, document)
            except Conflict:
                if await self._usable(client, name):
                    return
                await self._deleted(name)
            else:
                return

    async def _expect_admitted(self, document: JsonObject) -> None:
        """Ask the server what it says to a pod of a Job that builds; a Job would be let in, and wait for one for ever."""
        template = document["spec"]["template"]
        pod = {
            "metadata": {**template["metadata"], "generateName": f"{document['metadata']['name']}-"},
            "spec": template["spec"],
        }
        try:
            await self._cluster.create(PODS, self._place.namespace, pod, dry_run=True)
        except Terminal as refusal:
            if refusal.reason != "AdmissionDenied":
                raise
            raise Terminal(
                Reason.BUILD_FORBIDDEN,
                f"It has to be built in full, and namespace {self._place.namespace} lets no pod in that can:"
                f" {refusal.message}",
                fix="Keep the object in a namespace whose label pod-security.kubernetes.io/enforce is baseline or privileged"
                f" (its targets may stay where they are). {ELSEWHERE}",
            ) from refusal

    @property
    def _repository(self) -> oci.Reference:
        return parse(self._access.repository)

    async def _usable(self, client: oci.Client, name: str) -> bool:
        """Tell whether the Job that is there is at work, or is done and its result was not taken and is there."""
        try:
            found = await self._cluster.read(JOBS, self._place.namespace, name)
        except NotFound:
            return False
        pods = await self._cluster.list(PODS, self._place.namespace, labels=f"{RUN_LABEL}={name}")
        ours = [pod for pod in pods.items if is_of(pod, found["metadata"]["uid"])]
        seen = standing(found, ours, image=self._place.image, now=datetime.now(UTC))
        match seen:
            case Working():
                return not is_taken(found)
            case Lost():
                return False
            case Ended():
                return not is_taken(found) and seen.code == Outcome.DONE and await self._there(client, seen)

    async def _there(self, client: oci.Client, ended: Ended) -> bool:
        if not ended.results:
            return True
        try:
            with translated():
                await client.head(self._repository.at(ended.results))
        except NotFound:
            return False
        return True

    async def _fetch(self, run: Run, client: oci.Client, ended: Ended) -> None:
        """Bring what the run wrote to where it belongs."""
        if not ended.results:
            return
        try:
            with translated():
                await fetch(client, self._repository.at(ended.results), run.writes)
        except (NotFound, Refused) as error:
            raise Transient(f"builder {run.verb} left results that cannot be used: {error}") from error

    async def _note_taken(self, client: oci.Client, name: str) -> None:
        """Let nobody take the result again: another run of the same input is another Job."""
        at = Place(JOBS, self._place.namespace, name)
        with contextlib.suppress(NotFound):
            await self._cluster.merge(at, {"metadata": {"annotations": {TAKEN: "true"}}}, manager=_MANAGER)
        await self._forget(client, name)

    async def _discard(self, client: oci.Client, name: str) -> None:
        """Delete a Job whose result nobody wants, as far as that is possible now."""
        with contextlib.suppress(Transient, Terminal):
            with contextlib.suppress(NotFound):
                await self._cluster.delete(JOBS, self._place.namespace, name)
            await self._forget(client, name)

    async def _forget(self, client: oci.Client, name: str) -> None:
        """Delete the artifacts of a run; a registry that allows no deletion keeps them."""
        for tag in (inputs_tag(self._place, name), results_tag(self._place, name)):
            with contextlib.suppress(oci.RegistryError):
                await client.delete(self._repository, (await client.head(self._repository.at(tag))).digest)

    async def _tidied(self) -> None:
        """Delete, once, what a process that was killed left in the registry of runs whose Jobs are gone."""
        if self._tidying is None:
            self._tidying = asyncio.create_task(self._tidy())
        await asyncio.shield(self._tidying)

    async def _tidy(self) -> None:
        with contextlib.suppress(oci.RegistryError, Problem):
            async with self._registry() as client:
                jobs = await self._cluster.list(JOBS, self._place.namespace, labels=RUN_LABEL)
                there = {job["metadata"]["name"] for job in jobs.items}
                of = {tag: job_of_tag(self._place, tag) for tag in await client.tags(self._repository)}
                for name in sorted({name for name in of.values() if name and name not in there}):
                    await self._forget(client, name)

    async def _deleted(self, name: str) -> None:
        """Delete the Job that is there, and wait until it is gone."""
        with contextlib.suppress(NotFound):
            await self._cluster.delete(JOBS, self._place.namespace, name)
            for _ in range(_GONE_LOOKS):
                await self._cluster.read(JOBS, self._place.namespace, name)
                await asyncio.sleep(0.2)
            raise Transient(f"Job {self._place.namespace}/{name} was deleted and is still there")


def _expect_below(work: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.is_relative_to(work):
            raise ValueError(f"{path} is not below {work}, where the files of builder runs are")


def _ignore(line: str) -> None:
    del line
