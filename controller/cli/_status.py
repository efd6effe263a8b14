"""What `wsr status` does: prints the status that was written last, once or whenever it changes."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import click

from controller.api.status import Status, TemplateStatus
from controller.cli._cluster import look_again, opened
from controller.cli.options import Address, Here
from controller.cli.output import columns, print_facts
from controller.model.errors import Terminal, Transient
from controller.settings import Settings
from controller.standalone.store import object_folder, read_document, saved_status, status_is_of

_WATCH_SECONDS = 0.5
_WATCH_CLUSTER_SECONDS = 2.0


def status_of(place: Here | Address) -> Status:
    """Return the status that was written last; raises as `show` and `show_of_cluster`."""
    if isinstance(place, Here):
        return _require(saved_status(_folder(place.file, place.state, place.secrets)), place.file)
    return asyncio.run(_status_of_cluster(place))


async def _status_of_cluster(address: Address) -> Status:
    async with opened(address) as (_, (seen,)):
        return seen.status


def _folder(file: Path, state: Path | None, secrets: Path | None) -> Path:
    settings = Settings.of_process(secrets_dir=secrets, state_dir=state)
    return object_folder(settings.state_dir, read_document(file))


def show(file: Path, *, output: str, watch: bool, state: Path | None, secrets: Path | None) -> None:
    """Print the status; with `watch` go on until interrupted. Stderr says when it is of an older spec than the file's.

    Raises:
        Terminal: the document is not valid, or nothing is known of the object yet.
    """
    document = read_document(file)
    settings = Settings.of_process(secrets_dir=secrets, state_dir=state)
    folder = object_folder(settings.state_dir, document)
    shown = _require(saved_status(folder), file)
    if not status_is_of(folder, document):
        click.echo(f"{file} has changed since; no run has looked at it as it is now.", err=True)
    _print(shown, output)
    while watch:
        time.sleep(_WATCH_SECONDS)
        current = _require(saved_status(folder), file)
        if current != shown:
            shown = current
            _print(shown, output)


def show_of_cluster(address: Address, *, output: str, watch: bool) -> None:
    """Do the same for an object in a cluster.

    Raises:
        Terminal: nothing is known of the object, or as `_cluster.opened`.
        Transient: the cluster does not answer at the first look.
    """
    asyncio.run(_show_of_cluster(address, output, watch=watch))


async def _show_of_cluster(address: Address, output: str, *, watch: bool) -> None:
    async with opened(address) as (cluster, (seen,)):
        shown = seen.status
        if seen.behind:
            click.echo(seen.behind, err=True)
        _print(shown, output)
        while watch:
            await asyncio.sleep(_WATCH_CLUSTER_SECONDS)
            with suppress(Transient):  # it is asked again
                now = (await look_again(cluster, seen)).status
                if now != shown:
                    shown = now
                    _print(shown, output)


def _require(found: Status | None, file: Path) -> Status:
    if found is None:
        raise Terminal(
            "NotFound", f"Nothing is known of the object in {file} yet.", fix=f"Run: wsr run -f {file} --once"
        )
    return found


def _print(shown: Status, output: str) -> None:
    print_facts(shown.model_dump(mode="json", by_alias=True), output, _table(shown))


def _table(shown: Status) -> list[str]:
    rows = [["CONDITION", "STATUS", "REASON", "MESSAGE"]]
    rows += [[each.type, each.status, each.reason, each.message] for each in shown.conditions]
    templates = [["TEMPLATE", "STATE", "REASON", "IMAGE"]]
    templates += [[each.name, each.state, each.reason or "-", each.image or "-"] for each in shown.templates]
    lines = [*columns(rows), "", *columns(templates)]
    lines += [f"  {each.name}: {_told(each)}" for each in shown.templates if each.message]
    if shown.rollout is not None:
        counts = shown.rollout
        lines += [
            "",
            f"{counts.progress.replace('/', ' of ')} targets are up to date, {counts.updating} updating, {counts.busy} busy.",
        ]
    lines += [f"  {each.name}: {each.why}" for each in shown.stragglers]
    return lines


def _told(template: TemplateStatus) -> str:
    if template.update_available is None:
        return f"{template.message}"
    return f"{template.before or 'nothing'} -> {template.after or 'nothing'}. {template.message}"
