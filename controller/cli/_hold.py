"""What `wsr hold` does, and `wsr resume` with what was held: changes annotations of an object here or in a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from controller.api import stops
from controller.api.annotations import EVERY
from controller.api.field_error import FieldError
from controller.api.names import ANNOTATION_HOLD
from controller.api.stops import Changes
from controller.cli._cluster import Seen, annotate, opened, opened_all
from controller.cli._of_cluster import workload_of
from controller.cli.options import Address, Here, What
from controller.model.errors import Problem, Terminal
from controller.plan.steering import unmatched
from controller.settings import Settings
from controller.standalone.session import open_session
from controller.standalone.stops import change_stops
from controller.standalone.store import object_folder, read_document
from controller.standalone.world import Needs

if TYPE_CHECKING:
    from controller.clients.kube import KubeCluster

How = Callable[[Mapping[str, str]], Changes]


def hold(place: Here | Address, what: What, *, reason: str | None, pin: str | None) -> None:
    """Hold an object, its targets or all objects, or pin targets, and print one line about each.

    Raises:
        Terminal: what is said is no target, reason or version, nobody may, or as `_cluster.opened`.
        Transient: the cluster does not answer.
    """
    because = reason if reason is not None else f"asked for at {datetime.now(UTC):%Y-%m-%dT%H:%MZ}"

    def how(annotations: Mapping[str, str]) -> Changes:
        if pin is not None:
            return stops.pin(annotations, what.targets, pin)
        if what.targets:
            return stops.hold(annotations, what.targets, because)
        return stops.hold_object(because)

    def say(key: str, _: Changes) -> None:
        for name in what.targets or (key,):
            click.echo(f"{name} is {f'pinned to {pin}' if pin is not None else f'held: {because}'}")

    asyncio.run(_change(place, what, how, say))


def release(place: Here | Address, what: What) -> bool:
    """Let go of what is held or pinned, and print one line about each; return whether anything was.

    Raises:
        Terminal: a target is not stopped by that name, the document itself says so, or as `hold`.
        Transient: the cluster does not answer.
    """
    was: dict[str, str] = {}

    def how(annotations: Mapping[str, str]) -> Changes:
        was.clear()
        if what.targets:
            was.update({target: _stop_of(place, annotations, target) for target in what.targets})
            return stops.lift(annotations, what.targets)
        reason = annotations.get(ANNOTATION_HOLD)
        if reason is not None:
            was[""] = f"held: {reason}"
            return {ANNOTATION_HOLD: None}
        if isinstance(place, Here):
            held = read_document(place.file).metadata.hold
            _check_document(place, "The object", f"held: {held}" if held is not None else None)
        return {}

    def say(key: str, changes: Changes) -> None:
        for name in was if changes else ():
            click.echo(f"{name or key} is no longer {was[name]}")

    return asyncio.run(_change(place, what, how, say))


def _stop_of(place: Here | Address, annotations: Mapping[str, str], target: str) -> str:
    """Return how a target is stopped by that name. Raises Terminal when it is not, or not by what a verb may change."""
    stop = stops.stop_of(annotations, target)
    if stop is not None:
        return stop
    if isinstance(place, Here):
        own = read_document(place.file).metadata.annotations
        _check_document(place, target, stops.stop_of(own, target))
    raise Terminal(
        "NotHeld",
        f"{target} is neither held nor pinned by that name.",
        fix="Write it as it was held. What its own label or its namespace says is for their owner to change.",
    )


def _check_document(place: Here, name: str, stop: str | None) -> None:
    """Raise Terminal for a stop that stands in the document itself."""
    if stop is not None:
        raise Terminal(
            "NotHeld", f"{name} is {stop}, by an annotation in {place.file} itself.", fix="Edit it there."
        )


async def _change(place: Here | Address, what: What, how: How, say: Callable[[str, Changes], None]) -> bool:
    """Change every object that is meant, tell of each, and return whether there was anything to change."""
    try:
        if isinstance(place, Here):
            return await _change_here(place, what, how, say)
        return await _change_there(place, what, how, say)
    except FieldError as error:
        raise Terminal("Invalid", f"{error.path[0]}: {error}.", fix="Nothing was changed.") from None


async def _change_here(place: Here, what: What, how: How, say: Callable[[str, Changes], None]) -> bool:
    document = read_document(place.file)
    settings = Settings.of_process(secrets_dir=place.secrets, state_dir=place.state)
    changes = change_stops(object_folder(settings.state_dir, document), how)
    say(document.key, changes)
    if what.targets and any(value is not None for value in changes.values()):
        await _warn_here(place, what)
    return bool(changes)


async def _warn_here(place: Here, what: What) -> None:
    """Tell of names that no target has; where targets cannot be looked at, nothing is told."""
    needs = Needs(index=False, writing=False)
    with suppress(Problem):
        async with open_session(place.file, state=place.state, secrets=place.secrets, needs=needs) as session:
            targets = await session.world.targets(session.document)
            known = ", ".join(sorted(target.id for target in targets)[:10]) or "none"
            for name in unmatched(session.document, targets):
                if name in what.targets:
                    click.echo(f"No target is called {name} now. Targets are: {known}.", err=True)


async def _change_there(address: Address, what: What, how: How, say: Callable[[str, Changes], None]) -> bool:
    problems: list[Problem] = []
    done = False
    async with (opened_all if what.everything else opened)(address) as (cluster, objects):
        for seen in objects:
            try:
                changes = await annotate(cluster, seen, how)
            except Problem as problem:
                problems.append(problem)
                continue
            say(seen.key, changes)
            done = done or bool(changes)
            if any(value is not None for value in changes.values()):
                await _warn_there(cluster, seen, what.targets)
    if problems:
        raise problems[0]
    return done


async def _warn_there(cluster: KubeCluster, seen: Seen, targets: Sequence[str]) -> None:
    """Tell of workloads that are no targets; of containers the status names only some."""
    for target in targets:
        if target.startswith("docker/") or target.endswith(EVERY):
            continue
        try:
            await workload_of(cluster, target, seen)
        except Terminal as problem:
            click.echo(str(problem), err=True)
        except Problem:
            continue
