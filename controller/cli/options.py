"""Options that several verbs share, spelled once, and what they say together: a document here, or an object in a cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from controller.cli.output import Exit, fail
from controller.model.errors import Problem, Waiting

FILE = click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The WorkspaceRuntime document.",
)
DOCUMENT = click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The WorkspaceRuntime document of this machine; else an object in a cluster is asked.",
)
NAME = click.argument("name", required=False)
NAMESPACE = click.option(
    "-n", "--namespace", help="The namespace of the object in a cluster; default that of the context."
)
CONTEXT = click.option(
    "--context", help="The context of KUBECONFIG that leads to the cluster; default the current one."
)
STATE = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="The state folder; default WSR_STATE_DIR, else the XDG state folder.",
)
SECRETS = click.option(
    "--secrets",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of Secrets: Secret NAME is DIR/NAME with one file per key; default WSR_SECRETS_DIR.",
)


@dataclass(frozen=True, slots=True)
class Address:
    """Which object of which cluster: what is None is the only one there is, or what the kubeconfig says."""

    name: str | None
    namespace: str | None
    context: str | None


@dataclass(frozen=True, slots=True)
class Here:
    """An object of this machine: its document, and the folders of state and Secrets where the environment's are not meant."""

    file: Path
    state: Path | None
    secrets: Path | None


@dataclass(frozen=True, slots=True)
class What:
    """What is steered: all of an object, targets of it, or `everything`, all objects of a namespace or of a cluster."""

    targets: tuple[str, ...] = ()
    everything: bool = False


def of_object(verb: Callable[..., int]) -> Callable[..., int]:
    """Give `verb` the options that name an object, and call it with the `place` that they say: `Here` or an `Address`.

    What it raises of our errors is told, and becomes the exit code.
    """

    @functools.wraps(verb)
    def with_place(*, name: str | None, **others: Any) -> int:  # noqa: ANN401 -- the verb's own
        place, own = _placed(name, others)
        return _told(verb, place=place, **own)

    return _with_options(with_place, NAME)


def of_targets(verb: Callable[..., int]) -> Callable[..., int]:
    """Do the same with words that name an object, or targets of it, and `--all`; `what` says which."""

    @functools.wraps(verb)
    def with_place(*, words: tuple[str, ...], everything: bool, **others: Any) -> int:  # noqa: ANN401 -- the verb's own
        is_target = others["file"] is not None
        targets = tuple(word for word in words if is_target or "/" in word or word == "*")
        names = [word for word in words if word not in targets]
        if len(names) > 1:
            raise click.UsageError(
                f"{names[1]} is a second object. A target is docker/HOST/CONTAINER or NAMESPACE/KIND/NAME."
            )
        if everything and (words or is_target):
            raise click.UsageError(
                "--all stands for all objects of a namespace or a cluster; leave it out with -f, NAME or TARGET."
            )
        place, own = _placed(names[0] if names else None, others)
        return _told(verb, place=place, what=What(targets, everything), **own)

    everything = click.option(
        "--all",
        "everything",
        is_flag=True,
        help="All objects of the namespace that -n names, else of the cluster.",
    )
    return _with_options(
        with_place, click.argument("words", nargs=-1, metavar="[NAME] [TARGET]..."), everything
    )


def _with_options(verb: Callable[..., int], *first: Callable[[Any], Any]) -> Callable[..., int]:
    for option in (SECRETS, STATE, CONTEXT, NAMESPACE, DOCUMENT, *reversed(first)):
        option(verb)
    return verb


def _placed(name: str | None, options: dict[str, Any]) -> tuple[Here | Address, dict[str, Any]]:
    """Return what the options say together, and those that say something else."""
    of_place = {each: options.pop(each) for each in ("file", "namespace", "context", "state", "secrets")}
    file, namespace, context = of_place["file"], of_place["namespace"], of_place["context"]
    if file is None:
        return Address(name, namespace, context), options
    if name or namespace or context:
        raise click.UsageError(
            "-f names a document of this machine; NAME, -n and --context an object in a cluster. Give one of the two."
        )
    return Here(file, of_place["state"], of_place["secrets"]), options


def _told(verb: Callable[..., int], **given: Any) -> int:  # noqa: ANN401 -- the verb's own
    try:
        return verb(**given)
    except Waiting as waiting:
        click.echo(f"Not yet. {waiting}", err=True)
        return Exit.NOT_YET
    except Problem as problem:
        return fail(problem)
