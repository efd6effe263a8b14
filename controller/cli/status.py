"""`wsr status`: what is true, and why."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import OUTPUT, Exit, fail
from controller.model.errors import Problem


@click.command()
@FILE
@OUTPUT
@click.option("--watch", is_flag=True, help="Print again whenever it changes, until interrupted.")
@STATE
@SECRETS
def status(*, file: Path, output: str, watch: bool, state: Path | None, secrets: Path | None) -> int:
    """Show the status that the last pass of `wsr run` wrote.

    Example: wsr status -f runtime.yaml -o json
    """
    from controller.cli._status import show  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        show(file, output=output, watch=watch, state=state, secrets=secrets)
    except Problem as problem:
        return fail(problem)
    except KeyboardInterrupt:
        return Exit.DONE
    return Exit.DONE
