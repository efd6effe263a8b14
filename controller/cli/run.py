"""`wsr run`: reconcile here, once or for good."""

from __future__ import annotations

import re
from pathlib import Path

import click

from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import fail
from controller.model.errors import Problem

_UNITS = {"s": 1, "m": 60, "h": 3600}


class Listen(click.ParamType[tuple[str, int]]):
    """PORT, or HOST:PORT; a port alone is one of this machine's loopback."""

    name = "[host:]port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Return host and port; a value of another form is wrong use."""
        match = re.fullmatch(r"(?:(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):)?([0-9]{1,5})", str(value))
        if match is None or int(match[3]) > 65_535:  # noqa: PLR2004 -- the highest TCP port
            self.fail(f"{value!r} is not an address; write it like 8089 or 127.0.0.1:8089.", param, ctx)
        return match[1] or match[2] or "127.0.0.1", int(match[3])


class Duration(click.ParamType[float]):
    """A number with a unit, such as 90s, 10m or 1h, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; a value of another form is wrong use."""
        match = re.fullmatch(r"([0-9]+)([smh])", str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration; write it like 90s, 10m or 1h.", param, ctx)
        return float(int(match[1]) * _UNITS[match[2]])


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
