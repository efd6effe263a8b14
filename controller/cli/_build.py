"""What `wsr build` does: one builder run, its log passed on."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from builder.contract import PackageRun, Report
from controller.clients.runs import Run, Runs
from controller.settings import Settings


def build_tree(source: Path, *, version: str, out: Path) -> dict[str, Any]:
    """Write the tree and return its facts; the builder's log goes to stderr.

    Raises:
        Problem: as `Runs.run`.
    """
    report = asyncio.run(_run(PackageRun(source=source, version=version, out=out)))
    return {"tree": str(out), **report.facts}


def table(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts as lines for people, with what to type next."""
    return [
        f"Version {facts['version']} is in {facts['tree']} (source tree {facts['treeSha256'][:12]}).",
        f"Next: python -m build --outdir dist {shlex.quote(facts['tree'])}",
    ]


async def _run(given: PackageRun) -> Report:
    runs = Runs(Settings.of_process().child_environment, parallel=1)
    run = Run("package", given.arguments(), {"out": str(given.out)})
    return await runs.run(run, progress=lambda line: click.echo(line, err=True))
