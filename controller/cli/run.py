"""`wsr run`: reconcile here, once or for good."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import fail
from controller.cli.parameters import Duration, Listen
from controller.model.errors import Problem


@click.command()
@FILE
@click.option(
    "--once",
    is_flag=True,
    help="Stop when nothing is left to do, someone must change something, or only somebody else can go on (exit 3).",
)
@click.option(
    "--until",
    type=click.Choice(["ImagesBuilt", "Published", "RolledOut"]),
    help="With --once: stop when this condition is True.",
)
@click.option(
    "--wait",
    type=Duration(),
    help="With --once: wait for whatever is missing, and give up after this long (exit 3), such as 10m.",
)
@click.option(
    "--listen",
    type=Listen(),
    help="Serve /hooks/registry and /hooks/index there, which wake it, and /healthz, /readyz and /metrics; in plain HTTP. A port"
    " alone is on loopback. Callers of hooks send the token of Secret hooks, or WSR_HOOK_SECRET, of 16 characters or"
    " more, as Authorization: Bearer.",
)
@STATE
@SECRETS
def run(  # noqa: PLR0913 -- one parameter per documented option
    *,
    file: Path,
    once: bool,
    until: str | None,
    wait: float | None,
    listen: tuple[str, int] | None,
    state: Path | None,
    secrets: Path | None,
) -> int:
    """Bring what runs to what the document asks for.

    Builds and proves the version, boots a candidate image of every template, publishes, replaces the running
    containers one by one without cutting work, and promotes the images. What was begun by a run that died is
    finished. Without --once it goes on watching the document and the engine.

    Example: wsr run -f runtime.yaml --once --wait 10m
    """
    if not once and (until is not None or wait is not None):
        raise click.UsageError("--until and --wait go with --once.")
    from controller.cli._drive import Goal, drive  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        return drive(file, state=state, secrets=secrets, goal=Goal(once, until, wait, listen))
    except Problem as problem:
        return fail(problem)
