"""`wsr release`: the next version of the runtime, and its tag."""

from __future__ import annotations

from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from controller.cli.options import SECRETS
from controller.cli.output import OUTPUT, Exit, fail, print_facts
from controller.model.errors import Problem

_OPTIONS = [
    click.option(
        "--label",
        "labels",
        multiple=True,
        metavar="LABEL",
        help="A label of what was merged: release:major, release:minor. With it, GitHub is not asked.",
    ),
    click.option(
        "-f",
        "--file",
        "file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="A WorkspaceRuntime document: its index is asked, its versionCeiling kept.",
    ),
    click.option("--index", metavar="URL", help="The simple index to ask, instead of a document's."),
    click.option(
        "--repo",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(),
        help="A folder of the git repository; default: this one.",
    ),
    click.option("--remote", default="origin", show_default=True, help="The remote whose tags count."),
    click.option(
        "--github",
        metavar="OWNER/NAME",
        help="Where the pull requests are; default GITHUB_REPOSITORY, else the remote's.",
    ),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The token for git and GitHub; default WSR_RELEASE_TOKEN. GITHUB_TOKEN, where set, asks GitHub.",
    ),
    SECRETS,
    OUTPUT,
]


def _options(command: Callable[..., int]) -> Callable[..., int]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def release() -> None:
    """Say which version of the runtime comes next, and tag it.

    The base is the newest runtime-v* tag, which must be the newest release on the index, too. What was merged since under
    workspace/ or builder/ makes a patch release; labels of the pull requests make it more (release:major, release:minor), and
    [skip-release] or [no-release] in the newest one's merge commit or title makes it none.

    Example: wsr release next --index https://packages.example/simple/
    """


@release.command("next")
@click.option(
    "--tags",
    type=click.File(),
    help="Tags, one a line, instead of the repository's; - is stdin. Neither git nor GitHub is asked.",
)
@_options
def next_(*, tags: TextIOWrapper | None, output: str, **given: Any) -> int:  # noqa: ANN401 -- as click has checked them
    """Print the next version; nothing, when there is nothing to release. The reason goes to stderr.

    Where neither --index nor -f names an index, the tags alone decide, and stderr says so.

    Example: wsr release next --label release:minor
    """
    from controller.cli._release import Ask, next_release  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        facts = next_release(Ask(**given, tags=tuple(tags.read().split("\n")) if tags else None))
    except Problem as problem:
        return fail(problem)
    return _print(facts, output)


@release.command()
@_options
def tag(*, output: str, **given: Any) -> int:  # noqa: ANN401 -- as click has checked them
    """Tag what is checked out with the next version, and push the tag; run again, it changes nothing.

    The index must be named, by --index or by the document of -f: a tag that contradicts it would be published in vain.

    The tag is annotated and pushed with the token, so that the publishing workflow starts: a tag that a workflow pushes with
    its own GITHUB_TOKEN starts none. Without a token git's own credentials are used.

    Example: wsr release tag --token-file token --index https://packages.example/simple/
    """
    from controller.cli._release import Ask, tag_release  # noqa: PLC0415 -- `--help` and refusals need none of what it imports

    try:
        facts = tag_release(Ask(**given))
    except Problem as problem:
        return fail(problem)
    return _print(facts, output)


def _print(facts: dict[str, Any], output: str) -> int:
    """Print the version alone for scripts, with the reason beside it for people; or all of it as JSON or YAML."""
    click.echo(facts["message"], err=True)
    print_facts(facts, output, [facts["version"]] if facts["version"] else [])
    return Exit.DONE
