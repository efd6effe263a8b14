"""A cluster from the command line.

python -m tests.cluster [--state DIR] start | stop [--keep] | kubectl … | helm … | run COMMAND… | push IMAGE REPOSITORY:TAG

`start` leaves it running, and says where its kubeconfig, registry, index and git server are; `stop` removes all of it, or
with `--keep` leaves its folder, over which the next start finds objects, images and volumes again; `run` runs a command in
its network.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from tests.cluster import node
from tests.cluster.cluster import Cluster, cluster_of
from tests.cluster.place import Place
from tests.parts.engine import running_engine
from tests.parts.ground import PartError


def main() -> int:
    """Do what the command line says and return the exit code."""
    options = _parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    place = Place((options.state or node.home() / "node").resolve())
    try:
        if options.verb == "start":
            _start(place)
        elif options.verb == "stop":
            with node.alone(place):
                node.stop(place) if options.keep else node.wipe(place)
        else:
            _use(cluster_of(place), options)
    except PartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster", description="A Kubernetes of one node, for tests and demonstration."
    )
    parser.add_argument(
        "--state", type=Path, help="its folder, whose path should be short; one folder, one cluster"
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("start", help="start it and leave it running")
    stop = verbs.add_parser("stop", help="stop it and remove all of it")
    stop.add_argument("--keep", action="store_true", help="leave its folder for the next start")
    for verb, about in (("kubectl", "kubectl as administrator"), ("helm", "helm as administrator")):
        verbs.add_parser(verb, help=about, add_help=False)
    verbs.add_parser("run", help="run a command in its network", add_help=False)
    push = verbs.add_parser("push", help="push an image of this machine's engine to its registry")
    push.add_argument("image")
    push.add_argument("name", metavar="REPOSITORY:TAG")
    options, rest = parser.parse_known_args()
    if rest and options.verb not in {"kubectl", "helm", "run"}:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    options.rest = rest
    return options


def _start(place: Place) -> None:
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.1f}s  {text}\n")
        sys.stdout.flush()

    node.sweep()
    with node.alone(place):
        node.start(place, say=say)
        node.keep(place)
    made = cluster_of(place)
    for name, value in (
        ("kubeconfig", made.kubeconfig),
        ("registry", f"{made.registry} (from pods {made.registry_inside})"),
        ("index", f"{made.index.simple_url} (from pods {made.index_inside.simple_url})"),
        ("git", f"{made.git.url} (from pods {made.git_inside.url}; repositories in {made.git_folder})"),
        ("kubectl", made.program("kubectl")),
    ):
        say(f"{name}: {value}")


def _use(used: Cluster, options: argparse.Namespace) -> None:
    if not node.running(used.own):
        raise PartError(f"No cluster runs in {used.own.root}. Start it first: python -m tests.cluster start")
    if options.verb == "push":
        with running_engine() as engine:
            sys.stdout.write(f"{used.push_from_engine(engine, options.image, options.name)}\n")
        return
    environment = {**os.environ, "KUBECONFIG": str(used.kubeconfig)}
    command = [*used.inside, *options.rest]
    if options.verb in {"kubectl", "helm"}:
        command = [used.program(options.verb), *options.rest]
    else:
        environment["KUBECONFIG"] = str(used.own.kubeconfig("admin"))
    os.execvpe(command[0], command, environment)  # noqa: S606 -- what the user typed


if __name__ == "__main__":
    sys.exit(main())
