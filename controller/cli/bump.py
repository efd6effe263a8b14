"""`wsr bump`: another version in the one line that holds it."""

from __future__ import annotations

import click

from controller.cli.output import OUTPUT, Exit, fail, print_facts
from controller.model.errors import Problem


@click.command()
@click.argument("file")
@click.argument("version")
@click.option("--name", help="The object to change, where FILE holds several.")
@OUTPUT
def bump(*, file: str, version: str, name: str | None, output: str) -> int:
    """Write VERSION into FILE and leave every other byte of it as it is.

    FILE is a document with a WorkspaceRuntime, whose spec.version is changed, or a template's requirements.txt (any *.txt),
    whose pin of the runtime package is changed. VERSION is like 0.1.7, or a tag of a release, like runtime-v0.1.7.

    Example: wsr bump runtime.yaml 0.1.7
    """
    from controller.cli._bump import bump_file, table  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        facts = bump_file(file, version, name=name)
    except Problem as problem:
        return fail(problem)
    print_facts(facts, output, table(facts))
    return Exit.DONE
