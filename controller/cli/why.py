"""`wsr why`: what one target runs, and where every byte of it came from."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.options import CONTEXT, DOCUMENT, NAME, NAMESPACE, SECRETS, STATE, place_of
from controller.cli.output import OUTPUT, Exit, fail, print_facts
from controller.model.errors import Problem


@click.command()
@click.argument("target")
@NAME
@DOCUMENT
@NAMESPACE
@CONTEXT
@OUTPUT
@STATE
@SECRETS
def why(  # noqa: PLR0913 -- its options
    *,
    target: str,
    name: str | None,
    file: Path | None,
    namespace: str | None,
    context: str | None,
    output: str,
    state: Path | None,
    secrets: Path | None,
) -> int:
    """Show what TARGET (docker/HOST/CONTAINER or NAMESPACE/KIND/NAME) runs, which release that is, and what would happen to it.

    Of the object NAME in a cluster its status and the workload are asked, with -f the world itself: registry, engine, workspaces.

    Ends with 1 when the document names a key in package.signing and the release's record is not what was signed with it.

    Example: wsr why docker/local/ws-1 -f runtime.yaml
    """
    from controller.cli import _why  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    place = place_of(file, name=name, namespace=namespace, context=context)
    try:
        if isinstance(place, Path):
            facts = _why.facts_of(target, place, state=state, secrets=secrets)
        else:
            from controller.cli import _of_cluster  # noqa: PLC0415 -- the same

            facts = _of_cluster.facts_of(target, place)
    except Problem as problem:
        return fail(problem)
    print_facts(facts, output, _why.table(facts))
    provenance = facts.get("provenance")
    if provenance is not None and provenance["verified"] is False:
        click.echo(f"The provenance is not verified. {provenance['reason']}", err=True)
        return Exit.FAILED
    return Exit.DONE
