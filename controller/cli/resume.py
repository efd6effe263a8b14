"""`wsr resume`: let a version that failed be tried again."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import Exit, fail
from controller.model.errors import Problem


@click.command()
@FILE
@STATE
@SECRETS
def resume(*, file: Path, state: Path | None, secrets: Path | None) -> int:
    """Let the version of the document go on after somebody has looked at what stopped it.

    What failed or was held back is tried again, whoever was told to build an image (Dispatch) and has not delivered is
    told again, and moving tags that somebody else moved are taken back.

    Example: wsr resume -f runtime.yaml
    """
    from controller.cli._resume import resume_version  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        click.echo(resume_version(file, state=state, secrets=secrets))
    except Problem as problem:
        return fail(problem)
    return Exit.DONE
