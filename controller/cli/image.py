"""`wsr image`: which image a new workspace of a template should use."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import Exit, fail
from controller.model.errors import Problem, Terminal
from controller.plan.state import image_for_new
from controller.standalone.session import open_session


@click.command()
@click.argument("template")
@FILE
@STATE
@SECRETS
def image(*, template: str, file: Path, state: Path | None, secrets: Path | None) -> int:
    """Print the image that a new workspace of TEMPLATE should use.

    Example: docker run -d --name ws-1 "$(wsr image echo -f runtime.yaml)"
    """
    try:
        click.echo(asyncio.run(_image(template, file, state, secrets)))
    except Problem as problem:
        return fail(problem)
    return Exit.DONE


async def _image(template: str, file: Path, state: Path | None, secrets: Path | None) -> str:
    async with open_session(file, state=state, secrets=secrets) as session:
        known = [each.name for each in session.document.spec.templates]
        if template not in known:
            raise Terminal(
                "Invalid", f"{file} lists no template {template!r}.", fix=f"It lists: {', '.join(known)}."
            )
        records = await session.world.parts.records.records()
        found = image_for_new(records, session.document.spec.version, template)
    if found is None:
        raise Terminal(
            "NotFound",
            f"No released image of template {template} exists yet.",
            fix=f"Run: wsr run -f {file} --once",
        )
    return found
