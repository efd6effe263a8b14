"""`wsr rollback`: go back from the version that is asked for, for good."""

from __future__ import annotations

import click

from controller.cli.options import Address, Here, of_object
from controller.cli.output import Exit


@click.command()
@of_object
@click.option("--to", metavar="VERSION", help="Go back to this version; default the last known good one.")
def rollback(*, place: Here | Address, to: str | None) -> int:
    """Go back from the version of the document: every target, and every moving tag.

    The version is held from then on in its release record: whatever is restarted, lost or made anew, here or on another
    machine or cluster that reads it, nothing brings it back but `wsr resume`. Another version in the document goes on.

    Of the object NAME in a cluster its operator is asked, by annotation runtime.molecule.ai/rollback-to, and waited for.

    Example: wsr rollback -f runtime.yaml --to 0.1.5
    """
    if isinstance(place, Here):
        from controller.cli import _rollback  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

        click.echo(_rollback.roll_back(place, to))
    else:
        from controller.cli import _of_cluster  # noqa: PLC0415 -- the same

        click.echo(_of_cluster.roll_back(place, to))
    return Exit.DONE
