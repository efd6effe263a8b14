"""`wsr hold`: nothing moves an object or a target until `wsr resume`."""

from __future__ import annotations

import click

from controller.cli.options import Address, Here, What, of_targets
from controller.cli.output import Exit


@click.command()
@of_targets
@click.option("--reason", help="Why, for whoever wonders; default that it was asked for, and when.")
@click.option("--pin", metavar="VERSION", help="Let targets go to this version, and to no other.")
def hold(*, place: Here | Address, what: What, reason: str | None, pin: str | None) -> int:
    """Hold all of an object, or only the TARGETs that are named.

    Of an object that is held nothing is built, published, replaced or promoted. A target that is held stays what it is
    while all others go on; it is counted and listed. `wsr resume` with the same words lets go.

    A TARGET is docker/HOST/CONTAINER or NAMESPACE/KIND/NAME; 'docker/HOST/*', 'NAMESPACE/*' and '*' are all of a host, a
    namespace and the object. With -f the words are targets, and a container's name is enough.

    Example: wsr hold -f runtime.yaml ws-1 --reason "a demo until five"
    """
    from controller.cli import _hold  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    if pin is not None and (reason is not None or not what.targets):
        raise click.UsageError("--pin goes with targets, and says why by itself: leave --reason out.")
    _hold.hold(place, what, reason=reason, pin=pin)
    return Exit.DONE
