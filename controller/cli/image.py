"""`wsr image`: which image a new workspace of a template should use."""

from __future__ import annotations

import click

from controller.cli.options import Address, Here, of_object
from controller.cli.output import Exit


@click.command()
@click.argument("template")
@of_object
def image(*, template: str, place: Here | Address) -> int:
    """Print the image that a new workspace of TEMPLATE should use: of the object NAME in a cluster, or with -f.

    Example: docker run -d --name ws-1 "$(wsr image echo -f runtime.yaml)"
    """
    if isinstance(place, Here):
        from controller.cli import _image  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

        click.echo(_image.image_of(template, place.file, state=place.state, secrets=place.secrets))
    else:
        from controller.cli import _of_cluster  # noqa: PLC0415 -- the same

        click.echo(_of_cluster.image_of(template, place))
    return Exit.DONE
