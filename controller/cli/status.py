"""`wsr status`: what is true, and why."""

from __future__ import annotations

import click

from controller.cli.options import Address, Here, of_object
from controller.cli.output import OUTPUT, Exit


@click.command()
@of_object
@OUTPUT
@click.option("--watch", is_flag=True, help="Print again whenever it changes, until interrupted.")
def status(*, place: Here | Address, output: str, watch: bool) -> int:
    """Show the status that the last pass wrote: of NAME in a cluster, or with -f of `wsr run` on this machine.

    NAME may be left out where the namespace has one object.

    Example: wsr status molecule-runtime -n molecule -o json
    """
    from controller.cli import _status  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        if isinstance(place, Here):
            _status.show(place.file, output=output, watch=watch, state=place.state, secrets=place.secrets)
        else:
            _status.show_of_cluster(place, output=output, watch=watch)
    except KeyboardInterrupt:
        return Exit.DONE
    return Exit.DONE
