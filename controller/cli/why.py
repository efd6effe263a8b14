"""`wsr why`: what one target runs, and where every byte of it came from."""

from __future__ import annotations

import click

from controller.cli.options import Address, Here, of_object
from controller.cli.output import OUTPUT, Exit, print_facts


@click.command()
@click.argument("target")
@of_object
@OUTPUT
def why(*, target: str, place: Here | Address, output: str) -> int:
    """Show what TARGET (docker/HOST/CONTAINER or NAMESPACE/KIND/NAME) runs, which release that is, and what would happen to it.

    Of the object NAME in a cluster its status and the workload are asked, with -f the world itself: registry, engine, workspaces.

    Ends with 1 when the document names a key in package.signing and the release's record is not what was signed with it.

    Example: wsr why docker/local/ws-1 -f runtime.yaml
    """
    from controller.cli import _why  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    if isinstance(place, Here):
        facts = _why.facts_of(target, place.file, state=place.state, secrets=place.secrets)
    else:
        from controller.cli import _of_cluster  # noqa: PLC0415 -- the same

        facts = _of_cluster.facts_of(target, place)
    print_facts(facts, output, _why.table(facts))
    provenance = facts.get("provenance")
    if provenance is not None and provenance["verified"] is False:
        click.echo(f"The provenance is not verified. {provenance['reason']}", err=True)
        return Exit.FAILED
    return Exit.DONE
