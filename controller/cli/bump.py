"""`wsr bump`: another version in the one line that holds it."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.output import OUTPUT, Exit, fail, print_facts
from controller.model.errors import Problem


@click.command()
@click.argument("file")
@click.argument("version")
@click.option("--name", help="The object to change, where FILE holds several.")
@click.option("--push", is_flag=True, help="Commit FILE and push the branch that is checked out.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --push: the token for git; default WSR_RELEASE_TOKEN, else git's own credentials.",
)
@OUTPUT
def bump(  # noqa: PLR0913 -- one parameter per documented option
    *, file: str, version: str, name: str | None, push: bool, token_file: Path | None, output: str
) -> int:
    """Write VERSION into FILE and leave every other byte of it as it is.

    FILE is a document with a WorkspaceRuntime, whose spec.version is changed, or a template's requirements.txt (any *.txt),
    whose pin of the runtime package is changed. VERSION is like 0.1.7, or a tag of a release, like runtime-v0.1.7.

    Example: wsr bump runtime.yaml 0.1.7
    """
    if token_file is not None and not push:
        raise click.UsageError("--token-file goes with --push.")
    from controller.cli._bump import bump_file, push_bump, table  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        facts = bump_file(file, version, name=name)
    except Problem as problem:
        return fail(problem)
    try:
        facts |= push_bump(facts, token_file) if push else {}
    except Problem as problem:
        click.echo("\n".join(table(facts)), err=True)  # FILE stays as it is now
        return fail(problem)
    print_facts(facts, output, table(facts))
    return Exit.DONE
