"""`wsr resume`: let a version that failed be tried again."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import CONTEXT, DOCUMENT, NAME, NAMESPACE, SECRETS, STATE, place_of
from controller.cli.output import Exit, fail
from controller.model.errors import Problem, Waiting


@click.command()
@NAME
@DOCUMENT
@NAMESPACE
@CONTEXT
@STATE
@SECRETS
def resume(  # noqa: PLR0913 -- its options
    *,
    name: str | None,
    file: Path | None,
    namespace: str | None,
    context: str | None,
    state: Path | None,
    secrets: Path | None,
) -> int:
    """Let the version of the document go on after somebody has looked at what stopped it.

    What failed or was held back is tried again, whoever was told to build an image (Dispatch) and has not delivered is
    told again, and moving tags that somebody else moved are taken back.

    Of the object NAME in a cluster its operator is asked, by annotation runtime.molecule.ai/resume, and waited for.

    Example: wsr resume -f runtime.yaml
    """
    place = place_of(file, name=name, namespace=namespace, context=context)
    try:
        if isinstance(place, Path):
            from controller.cli import _resume  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

            click.echo(_resume.resume_version(place, state=state, secrets=secrets))
        else:
            from controller.cli import _of_cluster  # noqa: PLC0415 -- the same

            click.echo(_of_cluster.resume(place))
    except Waiting as waiting:
        click.echo(f"Not yet. {waiting}", err=True)
        return Exit.NOT_YET
    except Problem as problem:
        return fail(problem)
    return Exit.DONE
