"""python -m controller.operator.letting_go NAMESPACE…: takes our finalizer off all objects, when the operator is removed.

Without it objects could not be deleted any more. Workloads, images and records are left as they are.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from controller.api.names import FINALIZER
from controller.clients.kube import PODS, Conflict, KubeCluster, Place
from controller.model.errors import NotFound, Problem, Transient
from controller.operator.store import OBJECTS

_MANAGER: Final = "workspace-runtime"
_LOOK_SECONDS: Final = 1.0
_TRIES: Final = 5


def main(arguments: Sequence[str]) -> int:
    """Do it and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m controller.operator.letting_go")
    parser.add_argument("namespaces", nargs="+", metavar="NAMESPACE")
    parser.add_argument("--kubeconfig", type=Path, help="default: the service account of this pod")
    parser.add_argument(
        "--operators",
        metavar="NAMESPACE/LABELS",
        help="pods to wait for the end of, before anything is touched",
    )
    given = parser.parse_args(arguments)
    try:
        return asyncio.run(_let_go(given))
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return 1


async def _let_go(given: argparse.Namespace) -> int:
    async with KubeCluster(given.kubeconfig) as cluster:
        if given.operators:
            namespace, _, labels = given.operators.partition("/")
            while (await cluster.list(PODS, namespace, labels=labels)).items:  # noqa: ASYNC110 -- what ends is elsewhere
                await asyncio.sleep(_LOOK_SECONDS)
        for namespace in given.namespaces:
            for item in (await cluster.list(OBJECTS, namespace)).items:
                await _release(cluster, namespace, item["metadata"]["name"])
    return 0


async def _release(cluster: KubeCluster, namespace: str, name: str) -> None:
    """Take the finalizer off one object, and leave those of others; without effect when it is not there."""
    for _ in range(_TRIES):
        try:
            found = (await cluster.read(OBJECTS, namespace, name))["metadata"]
            if FINALIZER not in found.get("finalizers", ()):
                return
            rest = [each for each in found["finalizers"] if each != FINALIZER]
            metadata = {"finalizers": rest, "resourceVersion": found["resourceVersion"]}
            await cluster.merge(Place(OBJECTS, namespace, name), {"metadata": metadata}, manager=_MANAGER)
        except Conflict:
            continue
        except NotFound:
            return
        sys.stderr.write(f"Let go of {namespace}/{name}\n")
        return
    raise Transient(f"{namespace}/{name} changes faster than its finalizer could be taken off")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
