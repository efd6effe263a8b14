"""`wsr why`: what one target runs, and where every byte of it came from."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import FILE, SECRETS, STATE
from controller.cli.output import OUTPUT, Exit, fail, print_facts
from controller.model.errors import Problem


@click.command()
@click.argument("target")
@FILE
@OUTPUT
@STATE
@SECRETS
def why(*, target: str, file: Path, output: str, state: Path | None, secrets: Path | None) -> int:
    """Show what TARGET (docker/HOST/CONTAINER or NAMESPACE/KIND/NAME) runs, which release that is, and what would happen to it.

    Ends with 1 when the document names a key in package.signing and the release's record is not what was signed with it.

    Example: wsr why docker/local/ws-1 -f runtime.yaml
    """
    from controller.cli._why import facts_of, table  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        facts = facts_of(target, file, state=state, secrets=secrets)
    except Problem as problem:
        return fail(problem)
    print_facts(facts, output, table(facts))
    provenance = facts["provenance"]
    if provenance is not None and provenance["verified"] is False:
        click.echo(f"The provenance is not verified. {provenance['reason']}", err=True)
        return Exit.FAILED
    return Exit.DONE
