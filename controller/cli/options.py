"""Options that several verbs share, spelled once, and what they say together: a document here, or an object in a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

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


def place_of(
    file: Path | None, *, name: str | None, namespace: str | None, context: str | None
) -> Path | Address:
    """Return the document, or the object, that is meant. Raises UsageError for both at once."""
    if file is None:
        return Address(name, namespace, context)
    if name or namespace or context:
        raise click.UsageError(
            "-f names a document of this machine; NAME, -n and --context an object in a cluster. Give one of the two."
        )
    return file
