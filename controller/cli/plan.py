"""`wsr plan`: what would happen and why, with nothing touched."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import DOCUMENT, SECRETS, STATE
from controller.cli.output import OUTPUT, Exit, fail, print_facts
from controller.model.errors import Problem


@click.command()
@DOCUMENT
@OUTPUT
@STATE
@SECRETS
def plan(*, file: Path | None, output: str, state: Path | None, secrets: Path | None) -> int:
    """Show what `wsr run` would do and why; touches nothing.

    Example: wsr plan -f runtime.yaml -o json
    """
    if file is None:
        raise click.UsageError(
            "Only -f FILE can be previewed: sources, registry, index and targets are asked with the Secrets of this machine. "
            "What the operator of a cluster does next with an object, and why: wsr status NAME -n NAMESPACE"
        )
    from controller.cli._plan import preview_of, table  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        answer = preview_of(file, state=state, secrets=secrets)
    except Problem as problem:
        return fail(problem)
    print_facts(answer.to_json(), output, table(answer))
    return Exit.DONE
