"""`wsr verify`: whether a wheel can be trusted with a fleet, found out where a mistake costs least."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from controller.cli.options import SECRETS, STATE
from controller.cli.output import fail
from controller.model.errors import Problem

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("wheel", type=_FILE, required=False)
@click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A WorkspaceRuntime document: the recorded wheel of its version is proven, the one that is uploaded.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="Form of the findings.",
)
@click.option(
    "--removed",
    multiple=True,
    metavar="NAME",
    help="A public name, dotted, that is meant to be gone with all below it; several with spaces between, or given again.",
)
@click.option(
    "--index-url",
    metavar="URL",
    help="The simple index with the dependencies and the release before; default: what pip is set to.",
)
@click.option("--previous", type=_FILE, help="The wheel of the release before; default: the index's newest.")
@click.option("--static", is_flag=True, help="Look only at the wheel's bytes: no install, no boot.")
@STATE
@SECRETS
def verify(  # noqa: PLR0913 -- one parameter per option
    *,
    wheel: Path | None,
    file: Path | None,
    form: str,
    removed: tuple[str, ...],
    index_url: str | None,
    previous: Path | None,
    static: bool,
    state: Path | None,
    secrets: Path | None,
) -> int:
    """Prove WHEEL, or what is recorded of a document: its bytes, a clean install, a boot from a foreign folder, two turns.

    What each rule asks for, and the cure, is in docs/verify.md.

    Example: wsr verify dist/molecule_ai_workspace_runtime-0.1.6-py3-none-any.whl --format sarif
    """
    from builder.contract import VerifyRun  # noqa: PLC0415 -- `--help` and refusals need none of what they import
    from controller.cli._verify import verify_recorded, verify_wheel  # noqa: PLC0415 -- as above

    names = tuple(name for each in removed for name in each.split())
    asked = partial(
        VerifyRun, removed=names, index_url=index_url, previous=previous, static=static, format=form
    )
    try:
        match wheel, file:
            case Path(), None:
                return verify_wheel(asked(wheel=wheel))
            case None, Path():
                return verify_recorded(file, asked, state=state, secrets=secrets)
            case _:
                raise click.UsageError("Give one of both: a WHEEL, or a document with -f FILE.")
    except Problem as problem:
        return fail(problem)
