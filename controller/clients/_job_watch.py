"""Follows one Job and its pods to their end, passes its log on, and finds out why a Job gets no pod or a pod does not start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

from controller.clients._job_end import Ended, Lost, Working, is_of, standing
from controller.clients._job_spec import CONTAINER, RUN_LABEL, JobPlace
from controller.clients.kube import JOBS, PODS, JsonObject, KubeCluster, Listed, Place, Resource
from controller.clients.kube_follow import follow
from controller.clients.runs import Progress
from controller.model.errors import NotFound, Terminal, Transient

_NO_POD_SECONDS: Final = 3.0
"""A Job without a pod after this long has been refused one, as a rule; the server is asked what it says to such a pod."""
_LOOK_SECONDS: Final = 2.0
_PULL_SECONDS: Final = 60.0
"""How long a registry may be away from the nodes before a run is given up."""
_LOG_SECONDS: Final = 5.0


class WatchedJob:
    """The Job of one run."""

    def __init__(
        self, cluster: KubeCluster, place: JobPlace, name: str, verb: str, progress: Progress
    ) -> None:
        self._cluster = cluster
        self._place = place
        self._name = name
        self._verb = verb
        self._progress = progress
        self._seen: dict[Resource, dict[str, JsonObject]] = {}
        self._changed = asyncio.Event()
        self._uid = ""
        self._log: asyncio.Task[None] | None = None
        self._now = asyncio.get_running_loop().time
        self._started = self._usable = self._now()
        self._ask = self._started + _NO_POD_SECONDS

    async def ended(self) -> Ended:
        """Wait for the end of the run and return it; every line of its log was passed on then.

        Raises:
            Transient: it is lost (evicted, deleted, its node gone), was hung, or did not start.
            Terminal: its pod may not be, or its image cannot be had.
        """
        following = [asyncio.create_task(self._follow(resource)) for resource in (JOBS, PODS)]
        try:
            return await self._end(following)
        finally:
            tasks = [*following, *((self._log,) if self._log else ())]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, following: list[asyncio.Task[None]]) -> Ended:
        while True:
            await self._news(following)
            if len(self._seen) < len(following):
                continue
            seen = self._standing()
            match seen:
                case Ended():
                    await self._whole_log()
                    return seen
                case Lost():
                    raise Transient(f"builder {self._verb} {seen.why}")
                case Working(pod=str(pod), waits=""):
                    self._pass_on(pod)
                    self._started = self._usable = self._now()
                case Working():
                    await self._be_patient(seen)

    async def _be_patient(self, seen: Working) -> None:
        """Wait for a start; raises what makes it pointless, and Transient when it took too long."""
        now = self._now()
        if seen.pod is None and now > self._ask:
            self._ask = now + self._place.start_seconds / 10
            await self._ask_why_no_pod()
        if seen.failed is None:
            self._usable = now
        elif isinstance(seen.failed, Terminal) or now > self._usable + _PULL_SECONDS:
            raise seen.failed
        if now > self._started + self._place.start_seconds:
            raise Transient(
                f"builder {self._verb} did not start in {self._place.start_seconds:g} s: it waits for {seen.waits}"
            )

    async def _news(self, following: list[asyncio.Task[None]]) -> None:
        """Wait until something changed, or it is time to look; raises what ended one of those that follow."""
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait(
                {changed, *following}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            changed.cancel()
        self._changed.clear()
        for task in following:
            if task.done():
                task.result()

    def _standing(self) -> Ended | Lost | Working:
        job = next(iter(self._seen[JOBS].values()), None)
        self._uid = job["metadata"]["uid"] if job is not None else self._uid
        pods = [pod for pod in self._seen[PODS].values() if is_of(pod, self._uid)]
        return standing(job, pods, image=self._place.image, now=datetime.now(UTC))

    async def _follow(self, resource: Resource) -> None:
        label = f"{RUN_LABEL}={self._name}"
        async with aclosing(follow(self._cluster, resource, self._place.namespace, labels=label)) as news:
            async for told in news:
                if isinstance(told, Listed):
                    self._seen[resource] = {item["metadata"]["uid"]: item for item in told.items}
                elif told.kind == "DELETED" and resource is JOBS:
                    self._seen[resource].pop(told.object["metadata"]["uid"], None)
                else:  # of a pod that is deleted its last words, or why it went, still count
                    self._seen[resource][told.object["metadata"]["uid"]] = told.object
                self._changed.set()

    async def _ask_why_no_pod(self) -> None:
        """Ask the server what it says to the pod that the Job does not get; what it refuses is raised."""
        job = next(iter(self._seen[JOBS].values()), None)
        if job is None:
            return
        template = job["spec"]["template"]
        labels = {"app.kubernetes.io/name": template["metadata"]["labels"]["app.kubernetes.io/name"]}
        pod = {"metadata": {"generateName": f"{self._name}-", "labels": labels}, "spec": template["spec"]}
        with contextlib.suppress(Transient):
            await self._cluster.create(PODS, self._place.namespace, pod, dry_run=True)

    def _pass_on(self, pod: str) -> None:
        if self._log is None:
            self._log = asyncio.create_task(self._tell(pod))

    async def _whole_log(self) -> None:
        """Wait for the rest of the log; one that nobody read yet is read now."""
        for pod in self._seen[PODS].values():
            self._pass_on(pod["metadata"]["name"])
        if self._log is not None:
            await asyncio.wait([self._log], timeout=_LOG_SECONDS)

    async def _tell(self, pod: str) -> None:
        """Pass every line on, each once; what the log has nobody to tell is not worth failing for."""
        told = 0
        while True:
            try:
                told = await self._tell_from(pod, told)
            except (NotFound, Terminal):
                return
            except Transient:
                await asyncio.sleep(1)
                continue
            return

    async def _tell_from(self, pod: str, told: int) -> int:
        number = 0
        lines: AsyncIterator[str]
        async with aclosing(self._cluster.log(Place(PODS, self._place.namespace, pod), CONTAINER)) as lines:
            async for line in lines:
                number += 1
                if number > told:
                    told = number
                    self._progress(line)
        return told
