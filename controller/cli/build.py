"""`wsr build`: the build tree of a source folder, as the documented build script makes it."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

import click

from builder.contract import PackageRun, Report
from controller.cli.output import OUTPUT, Exit, fail, print_facts
from controller.clients.runs import Run, Runs
from controller.model.errors import Problem, Terminal
from controller.settings import Settings


@click.command()
@click.option("--version", required=True, help="PEP 440; 0.1.0-local becomes 0.1.0+local.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Where the build tree goes; only its own output is replaced.",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    default=Path("workspace"),
    show_default=True,
    help="The folder with the runtime's source.",
)
@OUTPUT
def build(*, version: str, out: Path, source: Path, output: str) -> int:
    """Turn the runtime's source into a tree that `python -m build` makes a wheel and an sdist of.

    Example: wsr build --version 0.1.6 --out /tmp/runtime && python -m build /tmp/runtime
    """
    given = PackageRun(source=source, version=version, out=out)
    try:
        report = asyncio.run(_run(given))
    except Terminal as refusal:  # each complaint is on stderr already, as the builder's log
        return Exit.WRONG_USE if refusal.reason == "BadVersion" else Exit.FAILED
    except Problem as problem:
        return fail(problem)
    facts = {"tree": str(out), **report.facts}
    print_facts(facts, output, _table(facts))
    return Exit.DONE


async def _run(given: PackageRun) -> Report:
    runs = Runs(Settings.of_process().child_environment, parallel=1)
    run = Run("package", given.arguments(), {"out": str(given.out)})
    return await runs.run(run, progress=lambda line: click.echo(line, err=True))


def _table(facts: dict[str, Any]) -> list[str]:
    return [
        f"Version {facts['version']} is in {facts['tree']} (source tree {facts['treeSha256'][:12]}).",
        f"Next: python -m build {shlex.quote(facts['tree'])}",
    ]
