"""What `wsr plan` does: reads the world and tells what the loop would do with it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from controller.cli.output import columns
from controller.plan.preview import Preview, preview
from controller.plan.state import classify
from controller.standalone.session import open_session
from controller.standalone.store import saved_status


def preview_of(file: Path, *, state: Path | None, secrets: Path | None) -> Preview:
    """Return what a run would do. Raises Terminal when document, environment or a Secret is not valid."""
    return asyncio.run(_preview(file, state, secrets))


def table(answer: Preview) -> list[str]:
    """Return the preview as lines for people."""
    rows = [["TEMPLATE", "BUILD", "REASON", "BEFORE", "AFTER"]]
    rows += [
        [entry.name, "yes" if entry.build else "no", entry.reason, entry.before or "-", entry.after or "-"]
        for entry in answer.templates
    ]
    lines = [f"Version {answer.version} is {answer.state}; plan {answer.hash[:12]}"]
    lines += [answer.held] if answer.held else []
    lines += [f"Could not be read: {source}" for source in answer.unknown]
    lines += ["What follows is true only as far as these do not change it."] if answer.unknown else []
    lines += ["", *columns(rows), ""]
    lines += [
        f"{entry.name}: UpdateAvailable: {entry.update.words}. {entry.cure}"
        for entry in answer.templates
        if entry.update is not None
    ]
    lines.append("The package would be published." if answer.publish else "Nothing would be published.")
    lines.append(f"{len(answer.targets)} targets would be replaced, {len(answer.busy)} of them busy.")
    lines += [f"  {target}{' (busy)' if target in answer.busy else ''}" for target in answer.targets]
    lines += [f"  {name} would be left alone: {why}" for name, why in answer.untouched]
    lines += [f"{old.image} would be deleted: {old.reason}" for old in answer.prunes]
    lines += [f"{name} is held or pinned, and no target is called so" for name in answer.unmatched]
    return lines


async def _preview(file: Path, state: Path | None, secrets: Path | None) -> Preview:
    async with open_session(file, state=state, secrets=secrets) as session:
        observation = await session.world.observe(session.document, earlier=None)
        status = saved_status(session.folder)
        history = status.history if status else ()
        found = classify(session.document, observation, history)
        return preview(session.document, observation, found, history, now=datetime.now(UTC))
