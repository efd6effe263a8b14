"""What `wsr plan` does: reads the world and tells what the loop would do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from controller.act.dispatch import dispatch_token
from controller.act.publish import no_credentials
from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.cli.output import columns
from controller.model.errors import Terminal
from controller.plan.preview import Preview, preview
from controller.plan.state import classify
from controller.settings import SIGNING_KEY, Settings
from controller.standalone.session import open_session


def preview_of(file: Path, *, state: Path | None, secrets: Path | None) -> Preview:
    """Return what a run would do. Raises Terminal when document, environment or a Secret is not valid."""
    return asyncio.run(_preview(file, state, secrets))


def table(answer: Preview) -> list[str]:
    """Return the preview as lines for people."""
    rows = [["TEMPLATE", "STRATEGY", "BUILD", "REASON", "BEFORE", "AFTER"]]
    rows += [
        [
            entry.name,
            entry.strategy,
            "yes" if entry.build else "no",
            entry.reason,
            entry.before or "-",
            entry.after or "-",
        ]
        for entry in answer.templates
    ]
    lines = [f"Version {answer.version} is {answer.state}; plan {answer.hash[:12]}"]
    lines += [each for each in (answer.held, answer.blocked) if each]
    lines += [f"Could not be read: {source}" for source in answer.unknown]
    lines += ["What follows is true only as far as these do not change it."] if answer.unknown else []
    lines += ["", *columns(rows), ""]
    lines += [
        f"{entry.name}: UpdateAvailable: {entry.update.words}. {entry.cure}"
        for entry in answer.templates
        if entry.update is not None
    ]
    lines += [f"{entry.name}: {entry.note}" for entry in answer.templates if entry.note]
    if answer.yanked:
        lines.append(
            f"{answer.version} was yanked on the index, and would be adopted: exactly it is asked for."
        )
    lines += [f"Would be missed: {text}" for text in answer.missing]
    lines.append(_publication(answer))
    if answer.awaits_approval:
        lines.append("Somebody has to approve it before anything is published or replaced.")
    lines.append(f"{len(answer.targets)} targets would be replaced, {len(answer.busy)} of them busy.")
    for name, targets in answer.waves:
        lines += [f"Wave {name}: {len(targets)} targets."] if len(answer.waves) > 1 else []
        lines += [f"  {target}{' (busy)' if target in answer.busy else ''}" for target in targets]
    lines += [f"  {name} would be left alone: {why}" for name, why in answer.untouched]
    lines += [f"{old.image} would be deleted: {old.reason}" for old in answer.prunes]
    lines += [f"{name} is held or pinned, and no target is called so" for name in answer.unmatched]
    return lines


def _publication(answer: Preview) -> str:
    if answer.publish:
        return "The package would be published."
    return f"Nothing would be published{' before that is mended' if answer.blocked else ''}."


async def _preview(file: Path, state: Path | None, secrets: Path | None) -> Preview:
    async with open_session(file, state=state, secrets=secrets) as session:
        observation = await session.world.observe(session.document, earlier=None)
        history = session.history()
        found = classify(session.document, observation, history)
        answer = preview(session.document, observation, found, history, now=datetime.now(UTC))
        return replace(
            answer, missing=tuple(_missing(session.document, session.world.parts.settings, answer))
        )


def _missing(document: WorkspaceRuntime, settings: Settings, answer: Preview) -> Iterator[str]:
    """Yield what an action on the way would not find: it would stop there, perhaps minutes later."""
    package = document.spec.package
    given = (package.index.credentials_secret_name, settings.pypi_token, settings.identity)
    if answer.publish and not any(given):
        yield str(no_credentials(package.index.upload_url))
    key = package.signing.key_secret_name if package.signing else None
    if key is not None:
        with _told() as told:
            settings.secret(key, field=SIGNING_KEY)
        yield from told
    for entry in answer.templates:
        if entry.told is not None and entry.reason != Reason.UP_TO_DATE:
            with _told() as told:
                dispatch_token(document, entry.name, answer.version, settings)
            yield from told


@contextmanager
def _told() -> Iterator[list[str]]:
    """Give the list that a Terminal of the block is told in."""
    told: list[str] = []
    try:
        yield told
    except Terminal as problem:
        told.append(str(problem))
