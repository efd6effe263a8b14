"""`wsr adapter`: a new template, and whether one works with this runtime."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import SECRETS
from controller.cli.output import OUTPUT, Exit, fail, print_facts
from controller.model.errors import Problem


@click.group()
def adapter() -> None:
    """Begin a template, and try one as the gate does.

    Example: wsr adapter new pydantic-ai
    """


@adapter.command()
@click.argument("name")
@click.option(
    "--like",
    default="langgraph",
    show_default=True,
    metavar="TEMPLATE",
    help="The template to begin with: one of those in templates/.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to make; default: NAME, here.",
)
@click.option(
    "--add-to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A WorkspaceRuntime document, whose list of templates it is added to.",
)
@OUTPUT
def new(*, name: str, like: str, into: Path | None, file: Path | None, output: str) -> int:
    """Make a complete template NAME, which works as it is: a copy of another one under the new name.

    Example: wsr adapter new pydantic-ai --into templates/pydantic-ai --add-to runtime.yaml
    """
    from controller.cli._adapter_new import make, table  # noqa: PLC0415 -- `--help` and refusals need none of what they import

    try:
        facts = make(name, like=like, folder=into or Path(name), file=file)
    except Problem as problem:
        return fail(problem)
    print_facts(facts, output, table(facts))
    return Exit.DONE


@adapter.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The WorkspaceRuntime document with the version, its source, the index, and how the template is probed.",
)
@SECRETS
def check(*, directory: Path, file: Path, secrets: Path | None) -> int:
    """Build the image of DIRECTORY with the document's version of the runtime, and take it through the gate.

    Nothing is published, and nothing of it stays in the engine.

    Example: wsr adapter check templates/pydantic-ai -f runtime.yaml
    """
    from controller.cli._adapter_check import check_adapter  # noqa: PLC0415 -- `--help` and refusals need none of what they import

    try:
        return check_adapter(directory, file, secrets=secrets)
    except Problem as problem:
        return fail(problem)
