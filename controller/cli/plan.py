"""`wsr plan`: what would happen and why, with nothing touched."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import OUTPUT, Exit, columns, fail, print_facts
from controller.model.errors import Problem
from controller.plan.preview import Preview, preview
from controller.plan.state import classify
from controller.standalone.session import open_session
from controller.standalone.store import saved_status


@click.command()
@FILE
@OUTPUT
@STATE
@SECRETS
def plan(*, file: Path, output: str, state: Path | None, secrets: Path | None) -> int:
    """Show what `wsr run` would do and why; touches nothing.

    Example: wsr plan -f runtime.yaml -o json
    """
    try:
        answer = asyncio.run(_preview(file, state, secrets))
    except Problem as problem:
        return fail(problem)
    print_facts(answer.to_json(), output, _table(answer))
    return Exit.DONE


async def _preview(file: Path, state: Path | None, secrets: Path | None) -> Preview:
    async with open_session(file, state=state, secrets=secrets) as session:
        observation = await session.world.observe(session.document, earlier=None)
        status = saved_status(session.folder)
        return preview(
            session.document,
            observation,
            classify(session.document, observation),
            status.history if status else (),
        )


def _table(answer: Preview) -> list[str]:
    rows = [["TEMPLATE", "BUILD", "REASON"]]
    rows += [[entry.name, "yes" if entry.build else "no", entry.reason] for entry in answer.templates]
    lines = [f"Version {answer.version} is {answer.state}; plan {answer.hash[:12]}", "", *columns(rows), ""]
    lines.append("The package would be published." if answer.publish else "Nothing would be published.")
    lines.append(f"{len(answer.targets)} targets would be replaced, {len(answer.busy)} of them busy.")
    lines += [f"  {target}{' (busy)' if target in answer.busy else ''}" for target in answer.targets]
    lines += [f"  {name} would be left alone: {why}" for name, why in answer.untouched]
    lines += [f"Could not be read: {source}" for source in answer.unknown]
    return lines
