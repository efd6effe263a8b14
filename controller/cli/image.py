"""`wsr image`: which image a new workspace of a template should use."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import CONTEXT, DOCUMENT, NAME, NAMESPACE, SECRETS, STATE, place_of
from controller.cli.output import Exit, fail
from controller.model.errors import Problem


@click.command()
@click.argument("template")
@NAME
@DOCUMENT
@NAMESPACE
@CONTEXT
@STATE
@SECRETS
def image(  # noqa: PLR0913 -- its options
    *,
    template: str,
    name: str | None,
    file: Path | None,
    namespace: str | None,
    context: str | None,
    state: Path | None,
    secrets: Path | None,
) -> int:
    """Print the image that a new workspace of TEMPLATE should use: of the object NAME in a cluster, or with -f.

    Example: docker run -d --name ws-1 "$(wsr image echo -f runtime.yaml)"
    """
    place = place_of(file, name=name, namespace=namespace, context=context)
    try:
        if isinstance(place, Path):
            from controller.cli import _image  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

            click.echo(_image.image_of(template, place, state=state, secrets=secrets))
        else:
            from controller.cli import _of_cluster  # noqa: PLC0415 -- the same

            click.echo(_of_cluster.image_of(template, place))
    except Problem as problem:
        return fail(problem)
    return Exit.DONE
