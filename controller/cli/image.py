"""`wsr image`: which image a new workspace of a template should use."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import Exit, fail
from controller.model.errors import Problem


@click.command()
@click.argument("template")
@FILE
@STATE
@SECRETS
def image(*, template: str, file: Path, state: Path | None, secrets: Path | None) -> int:
    """Print the image that a new workspace of TEMPLATE should use.

    Example: docker run -d --name ws-1 "$(wsr image echo -f runtime.yaml)"
    """
    from controller.cli._image import image_of  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        click.echo(image_of(template, file, state=state, secrets=secrets))
    except Problem as problem:
        return fail(problem)
    return Exit.DONE
