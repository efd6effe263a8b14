"""Drives one object of a cluster for as long as it is there: opens its world, runs the loop, says what cannot be done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.jobs import FullBuilds
from controller.clients.kube import KubeCluster
from controller.clients.notifications import sender
from controller.model.errors import NotFound, Problem, Terminal
from controller.model.redaction import redact
from controller.operator import refusals
from controller.operator.fleet import Fleet
from controller.operator.image_names import ImageNames
from controller.operator.inbox import Inbox, generation_of
from controller.operator.narrator import Narrator, News
from controller.operator.secret_uses import SecretUse, uses_of
from controller.operator.secrets import ObjectSecrets
from controller.operator.store import KubeStore, Superseded, document_of
from controller.operator.vitals import Vitals
from controller.operator.world import Surroundings, foundation_of, open_world, settings_of_object
from controller.reconcile.attempts import back_off
from controller.reconcile.loop import Reconciler
from controller.reconcile.notifying import Notifier
from controller.reconcile.observers import Observers
from controller.reconcile.refresh import LoopRefresher
from controller.settings import Settings
from controller.status.unread import first_seen, refused
from controller.telemetry.metrics import Metrics

_LOOK_AGAIN_SECONDS: Final = 300.0
"""After how long a refusal is looked into again that no watch could have told the end of."""


@dataclass(frozen=True, slots=True)
class Office:
    """What all objects of one operator share.

    `namespaces` are those whose workloads may be rolled; `state` is a folder that may be lost,
    `secrets` one in memory; `writer` is the name under which this process writes release records.
    """

    cluster: KubeCluster
    settings: Settings
    namespaces: frozenset[str]
    state: Path
    secrets: Path
    writer: str
    builder_image: str | None
    full_builds: FullBuilds | None
    vitals: Vitals
    metrics: Metrics
    fleet: Fleet
    known: dict[str, frozenset[str]] = field(default_factory=dict)
    """What must not show anywhere, by object."""


class Driver:
    """The daemon of one object; `post` takes its events."""

    def __init__(self, office: Office, inbox: Inbox, post: Callable[[News], None]) -> None:
        self._office = office
        self._inbox = inbox
        self._secrets = ObjectSecrets(office.cluster, inbox.namespace, office.secrets / inbox.uid)
        self._narrator = Narrator(inbox.key, office.vitals, self._redacted, post)
        self._names = ImageNames(office.cluster, inbox)
        self._store = KubeStore(
            office.cluster, inbox, self._redacted, self._narrator.on_write, before_write=self._names.tell
        )

    async def run(self) -> None:
        """Work until cancelled, or until the object is no more."""
        watching = asyncio.create_task(self._watch_secrets())
        try:
            await self._work()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self._secrets.close()
            self._office.vitals.forget(self._inbox.key)
            self._office.metrics.forget(self._inbox.key)
            self._office.known.pop(self._inbox.uid, None)

    async def _work(self) -> None:
        failures = 0
        while not self._inbox.gone:
            self._inbox.changed.clear()
            self._secrets.changed.clear()
            try:
                await self._session()
            except Terminal as problem:
                failures = 0
                await self._refuse(problem)
                self._office.vitals.rests(self._inbox.key)
                await _first(
                    self._inbox.changed.wait(), self._secrets.changed.wait(), seconds=_LOOK_AGAIN_SECONDS
                )
            except Exception as error:  # noqa: BLE001 -- whatever it is, the object must not be left alone for ever
                failures += 1
                self._narrator.on_trouble(error)
                await _first(self._inbox.changed.wait(), seconds=back_off(failures).total_seconds())
            else:
                failures = 0

    async def _session(self) -> None:
        """Work with one opening of the world; returns when the object or a Secret asks for another one.

        Raises:
            Terminal: the document asks for what cannot be done.
        """
        document = self._store.admit()
        office, inbox = self._office, self._inbox
        office.vitals.looked(inbox.key)
        if not self._store.status.conditions:
            await self._store.write(first_seen(generation_of(inbox.latest), _now()))
        refusals.check(document, namespaces=office.namespaces)
        await self._names.admit()
        await self._secrets.provide(self._uses(document))
        office.known[inbox.uid] = self._secrets.known
        settings = settings_of_object(office.settings, secrets=self._secrets.folder)
        folder = office.state / "objects" / inbox.uid
        around = Surroundings(
            office.cluster,
            inbox.uid,
            settings,
            folder,
            office.writer,
            office.builder_image,
            office.full_builds,
            self._narrator.say,
        )
        wake = asyncio.Event()
        async with open_world(document, around, self._secrets.withheld) as world:
            told = Observers([self._narrator, office.metrics.of(inbox.key)])
            loop = Reconciler(
                self._store,
                world,
                wake,
                told.on_pass,
                told.on_action,
                self._narrator.on_trouble,
                anew=world.parts.checkouts.look_anew,
            )
            refresher = LoopRefresher(self._store, loop.look_anew, world.fetch, loop.hurrying)
            notifier = Notifier(self._store.status, sender(settings, self._secrets.withheld), self._say)
            told.members += [refresher, notifier]
            steering = self._steer(document, loop, world.leave)
            work = _first(loop.run_forever(), world.watch(document, wake.set), steering)
            try:
                with office.fleet.running(inbox.key, refresher):
                    await _until_cancelled(work, world.leave)
            finally:
                await notifier.close()

    async def _steer(self, document: WorkspaceRuntime, loop: Reconciler, leave: Callable[[], None]) -> None:
        """Have the loop work on every edit; returns at one that it cannot be left to, or, after `leave`, at another Secret."""
        foundation = self._foundation(document)
        while True:
            await _first(self._inbox.changed.wait(), self._secrets.changed.wait())
            if self._inbox.gone:
                return
            if self._secrets.changed.is_set():
                leave()  # the same runs are asked for with another Secret, too
                return
            self._inbox.changed.clear()
            try:
                edited = document_of(self._inbox.latest)
                refusals.check(edited, namespaces=self._office.namespaces)
            except Terminal:
                return
            if self._foundation(edited) != foundation:
                return
            self._store.admit()
            loop.look_anew()

    def _uses(self, document: WorkspaceRuntime) -> tuple[SecretUse, ...]:
        return uses_of(document, github=self._office.settings.github.api_url)

    def _foundation(self, document: WorkspaceRuntime) -> tuple[object, ...]:
        """Return what the world of a document is opened with, its Secrets included."""
        return foundation_of(document), self._uses(document)

    async def _refuse(self, problem: Terminal) -> None:
        """Say in the status why nothing is done; where even that fails, in the log."""
        annotations = self._inbox.latest["metadata"].get("annotations") or {}
        generation = generation_of(self._inbox.latest)
        before = self._store.status
        status = refused(before, generation, problem, annotations=annotations, now=_now())
        try:
            if status != before:
                await self._store.write(status)
        except (Superseded, NotFound):
            return
        except Problem as trouble:
            self._narrator.on_trouble(trouble)

    async def _watch_secrets(self) -> None:
        try:
            await self._secrets.watch()
        except Problem as problem:
            self._narrator.say(f"Secrets are not watched, a change of one is found late: {problem}")

    def _say(self, line: str) -> None:
        self._narrator.say(self._redacted(line))

    def _redacted(self, text: str) -> str:
        return redact(text, self._secrets.known)


async def _first(*works: Coroutine[Any, Any, Any], seconds: float | None = None) -> None:
    """Run `works` until one of them ends, and raise what it raised; the others are cancelled and have ended then."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException) and not isinstance(each, asyncio.CancelledError):
            raise each


async def _until_cancelled(work: Coroutine[Any, Any, None], before: Callable[[], None]) -> None:
    """Do `work`; when we are cancelled, call `before` first."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        before()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


def _now() -> datetime:
    return datetime.now(UTC)
