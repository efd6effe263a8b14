"""Options that several verbs share, spelled once."""

from __future__ import annotations

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
