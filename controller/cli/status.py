"""`wsr status`: what is true, and why."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import CONTEXT, DOCUMENT, NAME, NAMESPACE, SECRETS, STATE, place_of
from controller.cli.output import OUTPUT, Exit, fail
from controller.model.errors import Problem


@click.command()
@NAME
@DOCUMENT
@NAMESPACE
@CONTEXT
@OUTPUT
@click.option("--watch", is_flag=True, help="Print again whenever it changes, until interrupted.")
@STATE
@SECRETS
def status(  # noqa: PLR0913 -- its options
    *,
    name: str | None,
    file: Path | None,
    namespace: str | None,
    context: str | None,
    output: str,
    watch: bool,
    state: Path | None,
    secrets: Path | None,
) -> int:
    """Show the status that the last pass wrote: of NAME in a cluster, or with -f of `wsr run` on this machine.

    NAME may be left out where the namespace has one object.

    Example: wsr status molecule-runtime -n molecule -o json
    """
    from controller.cli import _status  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    place = place_of(file, name=name, namespace=namespace, context=context)
    try:
        if isinstance(place, Path):
            _status.show(place, output=output, watch=watch, state=state, secrets=secrets)
        else:
            _status.show_of_cluster(place, output=output, watch=watch)
    except Problem as problem:
        return fail(problem)
    except KeyboardInterrupt:
        return Exit.DONE
    return Exit.DONE
