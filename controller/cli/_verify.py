"""What `wsr verify` does: one builder run, whose findings are the answer and whose log is passed on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from builder.contract import VerifyRun
from controller.cli.output import Exit
from controller.clients.runs import AsksAgain, Run, Runs
from controller.model.errors import NotFound, Terminal
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
        except AsksAgain:  # as above
            code = Exit.FAILED
        if findings.exists():
            click.echo(findings.read_text(), nl=False)
    return code


def verify_recorded(
    file: Path, asked: Callable[..., VerifyRun], *, state: Path | None, secrets: Path | None
) -> int:
    """Verify the recorded wheel of the version that the document in `file` asks for; `asked` makes the run of it.

    Raises:
        Problem: as `verify_wheel`; or nothing is recorded of the version, or the record cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="wsr-verify-") as scratch:
        return verify_wheel(asyncio.run(_recorded(file, Path(scratch), asked, state, secrets)))


async def _recorded(
    file: Path, folder: Path, asked: Callable[..., VerifyRun], state: Path | None, secrets: Path | None
) -> VerifyRun:
    from controller.standalone.session import open_session  # noqa: PLC0415 -- it brings every client of an engine along

    async with open_session(file, state=state, secrets=secrets) as session:
        wanted, records = session.document.spec, session.world.parts.records
        try:
            record = await records.get(wanted.version)
        except NotFound:
            raise Terminal(
                "NotFound",
                f"No wheel of {wanted.version} is recorded.",
                fix=f"Run: wsr run -f {file} --once --until ImagesBuilt",
            ) from None
        wheel = folder / record.wheel.file
        wheel.write_bytes(await records.get_blob(record.wheel))
    return asked(wheel=wheel, name=wanted.package.name, module=wanted.package.module)


async def _run(given: VerifyRun) -> None:
    runs = Runs(Settings.of_process().child_environment, parallel=1)
    run = Run("verify", given.arguments(), {"wheel": str(given.wheel)})
    await runs.run(run, progress=lambda line: click.echo(line, err=True))
