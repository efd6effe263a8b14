"""What `wsr verify` does: one builder run, whose findings are the answer and whose log is passed on."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from builder.contract import VerifyRun
from controller.cli.output import Exit
from controller.clients.runs import Run, Runs
from controller.model.errors import Terminal
from controller.settings import Settings

_WRONG_USE: Final = frozenset({"WrongUse", "BadURL", "NothingRemoved"})


def verify_wheel(given: VerifyRun) -> int:
    """Verify, print the findings on stdout in the asked form, and return the exit code.

    Raises:
        Problem: as `Runs.run`, where the run ended without findings for another reason than its input.
    """
    with tempfile.TemporaryDirectory(prefix="wsr-verify-") as scratch:
        findings = Path(scratch) / "findings"
        try:
            asyncio.run(_run(replace(given, findings=findings)))
            code = Exit.DONE
        except Terminal as refusal:  # its complaints are on stderr already, as the builder's log
            code = Exit.WRONG_USE if refusal.reason in _WRONG_USE else Exit.FAILED
        if findings.exists():
            click.echo(findings.read_text(), nl=False)
    return code


async def _run(given: VerifyRun) -> None:
    runs = Runs(Settings.of_process().child_environment, parallel=1)
    run = Run("verify", given.arguments(), {"wheel": str(given.wheel)})
    await runs.run(run, progress=lambda line: click.echo(line, err=True))
