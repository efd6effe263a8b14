"""`wsr refresh`: pull current images, recreate what runs an old one."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import OUTPUT, fail
from controller.model.errors import Problem


@click.command()
@FILE
@click.option("--runtime", metavar="TEMPLATE", help="Only this one of the document's templates.")
@click.option("--no-recreate", is_flag=True, help="Only pull; leave containers as they are.")
@click.option(
    "--force",
    is_flag=True,
    help="Do not wait for work in progress: it is cut after the grace of its container.",
)
@OUTPUT
@STATE
@SECRETS
def refresh(  # noqa: PLR0913 -- one parameter per documented option
    *,
    file: Path,
    runtime: str | None,
    no_recreate: bool,
    force: bool,
    output: str,
    state: Path | None,
    secrets: Path | None,
) -> int:
    """Pull the images that are current, and bring containers on old ones to them.

    Current is what `wsr image` prints. Nothing is built or published. Containers are replaced as `wsr run` replaces them, and
    where one is at work, by that one: it is asked at the address of its --listen, with WSR_ADMIN_TOKEN. One template
    that fails keeps no other waiting; a busy container is waited for as the document's drain says, and then reported.

    Exit codes: 1 when something failed, 3 when something stayed busy.

    Example: wsr refresh -f runtime.yaml --runtime langgraph
    """
    if no_recreate and force:
        raise click.UsageError("--force is about what is recreated; it does not go with --no-recreate.")
    from controller.cli._refresh import Wish, refreshed  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        wish = Wish(runtime, recreate=not no_recreate, force=force)
        return refreshed(file, wish, output=output, state=state, secrets=secrets)
    except Problem as problem:
        return fail(problem)
