"""`wsr approve`: let go out what has passed the gate."""

from __future__ import annotations

import click

from controller.cli.options import Address, Here, of_object
from controller.cli.output import Exit


@click.command()
@of_object
@click.option(
    "--hash",
    "expected",
    metavar="HASH",
    help="Approve only what has this hash, of which the first 8 characters are enough; default whatever waits now.",
)
def approve(*, place: Here | Address, expected: str | None) -> int:
    """Let be published and rolled out what has passed the gate, where rollout.approval is Required.

    What waits stands in the status, by the hash of version, wheel, the images that are built here, and the rollout. Exactly
    that is approved; when one of these changes it is asked for anew.

    Of the object NAME in a cluster its operator is asked, by annotation runtime.molecule.ai/approve, and waited for. Who may
    write that is for the cluster to say.

    Example: wsr approve -f runtime.yaml --hash 1f0c9d4a
    """
    from controller.cli import _approve  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    if isinstance(place, Here):
        click.echo(_approve.here(place, expected))
    else:
        click.echo(_approve.there(place, expected))
    return Exit.DONE
