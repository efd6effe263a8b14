"""How `wsr` speaks: facts on stdout in the asked form, progress and errors on stderr, exit codes with a meaning."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from controller.model.errors import Problem, Terminal


class Exit(enum.IntEnum):
    """What the exit code of every verb means."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    NOT_YET = 3


WRONG_USE = frozenset({"Invalid", "SecretNotFound", "SecretIncomplete", "SecretExposed"})
"""Reasons that say that what was given cannot be used, whatever the world is like."""

OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="Form of the answer.",
)


def exit_code(command: click.Command) -> int:
    """Run a command of this process with what follows its name, and return how it ended; wrong use is told on stderr."""
    try:
        code: int = command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        return Exit.FAILED
    return code


def print_facts(facts: Mapping[str, Any], output: str, table: Sequence[str]) -> None:
    """Print `facts` as JSON or YAML, or the lines of `table`."""
    if output == "json":
        click.echo(json.dumps(facts, indent=2))
    elif output == "yaml":
        import yaml  # noqa: PLC0415 -- only this form pays for it

        # By way of JSON, so that both forms say the same: YAML alone knows no words of an enumeration.
        click.echo(yaml.safe_dump(json.loads(json.dumps(facts)), sort_keys=False).rstrip())
    else:
        for line in table:
            click.echo(line)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return `rows` as aligned lines, two spaces apart."""
    if not rows:
        return []
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def fail(problem: Problem) -> int:
    """Print what went wrong and what to do next; return the exit code."""
    if isinstance(problem, Terminal):
        click.echo(problem.message, err=True)
        if problem.fix:
            click.echo(problem.fix, err=True)
        return Exit.WRONG_USE if problem.reason in WRONG_USE else Exit.FAILED
    click.echo(str(problem), err=True)
    return Exit.FAILED
