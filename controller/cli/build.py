"""`wsr build`: the build tree of a source folder, as the documented build script makes it."""

from __future__ import annotations

from pathlib import Path

import click

from controller.cli.output import OUTPUT, Exit, fail, print_facts
from controller.model.errors import Problem, Terminal


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

    Example: wsr build --version 0.1.6 --out /tmp/runtime && python -m build --outdir dist /tmp/runtime
    """
    from controller.cli._build import build_tree, table  # noqa: PLC0415 -- `--help` and refusals need none of what they import
    from controller.clients.runs import AsksAgain  # noqa: PLC0415 -- as above

    try:
        facts = build_tree(source, version=version, out=out)
    except Terminal as refusal:  # each complaint is on stderr already, as the builder's log
        return Exit.WRONG_USE if refusal.reason == "BadVersion" else Exit.FAILED
    except AsksAgain:  # as above
        return Exit.FAILED
    except Problem as problem:
        return fail(problem)
    print_facts(facts, output, table(facts))
    return Exit.DONE
