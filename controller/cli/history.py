"""`wsr history`: which versions were asked for, and what became of them."""

from __future__ import annotations

import click

from controller.cli.options import Address, Here, of_object
from controller.cli.output import OUTPUT, Exit


@click.command()
@of_object
@OUTPUT
def history(*, place: Here | Address, output: str) -> int:
    """Show the last versions that were asked for, newest first, with what became of each and how long that took.

    Of NAME in a cluster, or with -f as `wsr run` on this machine noted them.

    Example: wsr history -f runtime.yaml
    """
    from controller.cli import _history  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    _history.show(place, output=output)
    return Exit.DONE
