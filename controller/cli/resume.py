"""`wsr resume`: let a version that failed be tried again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import Exit, fail
from controller.model.errors import NotFound, Problem, Terminal
from controller.standalone.session import open_session


@click.command()
@FILE
@STATE
@SECRETS
def resume(*, file: Path, state: Path | None, secrets: Path | None) -> int:
    """Take back the Failed verdict of the document's version, so that the next pass tries it again.

    Example: wsr resume -f runtime.yaml
    """
    try:
        click.echo(asyncio.run(_resume(file, state, secrets)))
    except Problem as problem:
        return fail(problem)
    return Exit.DONE


async def _resume(file: Path, state: Path | None, secrets: Path | None) -> str:
    async with open_session(file, state=state, secrets=secrets) as session:
        version = session.document.spec.version
        try:
            record = await session.world.parts.records.get(version)
        except NotFound:
            raise Terminal(
                "NotHeld", f"Version {version} has no record, so nothing holds it.", fix=""
            ) from None
        if not record.failed:
            return f"Version {version} is not held; nothing was changed."
        await session.world.parts.amend(version, lambda current: current.judged(None))
        return f"Version {version} is no longer held; the next pass tries it again."
