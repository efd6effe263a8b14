"""The operator of a cluster: `python -m controller`."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import sys
import tempfile
from dataclasses import replace
from itertools import chain
from pathlib import Path

import click

from controller.admin.server import Address
from controller.cli.output import exit_code
from controller.cli.parameters import Listen
from controller.clients.jobs import FullBuilds
from controller.clients.kube import SILENCE_SECONDS
from controller.model.errors import Problem
from controller.operator.process import Options, serve
from controller.settings import Settings
from controller.telemetry.log import write_log


@click.command()
@click.option(
    "--namespace",
    envvar="WSR_NAMESPACE",
    required=True,
    help="Where the operator is installed; it serves the objects there.",
)
@click.option(
    "--target-namespaces",
    "targets",
    envvar="WSR_TARGET_NAMESPACES",
    default="",
    help="Namespaces with commas between them: the objects there are served, too, and workloads in all may be rolled.",
)
@click.option(
    "--pod", envvar="WSR_POD_NAME", default=socket.gethostname, help="What tells this replica from others."
)
@click.option(
    "--lease",
    envvar="WSR_LEASE_NAME",
    help="The Lease in its namespace that replicas agree by; without it this must be the only one.",
)
@click.option(
    "--listen",
    type=Listen(),
    envvar="WSR_LISTEN",
    default="127.0.0.1:8080",
    show_default=True,
    help="Where it answers over HTTP.",
)
@click.option(
    "--state",
    envvar="WSR_STATE_DIR",
    type=click.Path(path_type=Path),
    help="A folder for files that may be lost.",
)
@click.option(
    "--secrets",
    envvar="WSR_SECRETS_DIR",
    type=click.Path(path_type=Path),
    help="A folder in memory for the Secrets of objects; default: one in /dev/shm that is removed at the end.",
)
@click.option(
    "--builder-image",
    envvar="WSR_BUILDER_IMAGE",
    help="What builder runs are Jobs of; without it they are processes beside this one.",
)
@click.option(
    "--full-builds",
    envvar="WSR_FULL_BUILDS",
    help="JSON of Jobs that build Dockerfiles: image (the builder's with Buildah), and optionally resources and"
    " seccompProfile as in a pod; without it none is built.",
)
@click.option(
    "--operator-image",
    envvar="WSR_OPERATOR_IMAGE",
    help="This program's own image, which plays the model beside candidates at the gate.",
)
@click.option(
    "--exec",
    "may_execute",
    envvar="WSR_EXEC",
    type=bool,
    default=False,
    help="Whether workspaces that predate /runtime may be asked for their version by exec.",
)
@click.option(
    "--patch-pods",
    "may_patch",
    envvar="WSR_PATCH_PODS",
    type=bool,
    default=False,
    help="Whether the image of a running pod may be changed where nothing else differs, in place of making the pod anew.",
)
@click.option(
    "--admin",
    "may_review",
    envvar="WSR_ADMIN",
    type=bool,
    default=False,
    help="Whether it may ask the cluster whose token the admin endpoint was shown, and whether that one may call it.",
)
@click.option(
    "--silence",
    "silence_seconds",
    envvar="WSR_SILENCE_SECONDS",
    type=click.FloatRange(min=1.0),
    default=SILENCE_SECONDS,
    show_default=True,
    help="After how many seconds without a word from the API server a connection counts as dead; a watch hears one a minute.",
)
def main(  # noqa: PLR0913 -- one parameter per documented option
    *,
    namespace: str,
    targets: str,
    pod: str,
    lease: str | None,
    listen: tuple[str, int],
    state: Path | None,
    secrets: Path | None,
    builder_image: str | None,
    full_builds: str | None,
    operator_image: str | None,
    may_execute: bool,
    may_patch: bool,
    may_review: bool,
    silence_seconds: float,
) -> int:
    """Reconcile the WorkspaceRuntimes of a cluster.

    The cluster is that of KUBECONFIG, else that of the pod that this runs in. It logs JSON lines to stderr.
    """
    known: dict[str, frozenset[str]] = {}
    write_log(lambda: frozenset(chain.from_iterable(known.values())))
    made = None if secrets else Path(tempfile.mkdtemp(prefix="wsr-secrets-", dir="/dev/shm"))
    namespaces = tuple(
        dict.fromkeys([namespace, *(each.strip() for each in targets.split(",") if each.strip())])
    )
    try:
        settings = Settings.of_process(state_dir=state)
        settings = replace(
            settings,
            operator_image=settings.operator_image or operator_image,
            exec_in_pods=settings.exec_in_pods or may_execute,
            patch_pods=settings.patch_pods or may_patch,
        )
        options = Options(
            namespaces=namespaces,
            pod=pod,
            lease=lease,
            listen=Address(*listen),
            state=settings.state_dir,
            secrets=secrets or made or Path(),
            builder_image=builder_image,
            full_builds=_full_builds(full_builds),
            may_review=may_review,
            silence_seconds=silence_seconds,
        )
        return asyncio.run(serve(options, settings, known))
    except Problem as problem:
        logging.getLogger("controller.operator").error("Ending: %s", problem)  # noqa: TRY400 -- it says what to do; a trace would not
        return 1
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _full_builds(given: str | None) -> FullBuilds | None:
    if not given:
        return None
    try:
        document = json.loads(given)
        usual = FullBuilds(str(document["image"]), document.get("seccompProfile") or None)
        return replace(usual, resources=document.get("resources") or usual.resources)
    except (ValueError, TypeError, LookupError, AttributeError):
        raise click.BadParameter(
            f'{given!r} does not say it; write JSON as {{"image": "REPOSITORY:TAG"}}.',
            param_hint="--full-builds",
        ) from None


if __name__ == "__main__":
    sys.exit(exit_code(main))
