"""`make demo-kubernetes`: one line is edited, and the pods of a real cluster of one node follow.

python -m tests.demo.kubernetes [--report FILE] [--keep]
python -m tests.demo.kubernetes --clean
"""

import argparse
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.cluster import node
from tests.cluster.cluster import Cluster
from tests.cluster.place import Place
from tests.demo.kubernetes.desk import Desk
from tests.demo.kubernetes.ground import Ground, prepared, push_full_builds, running_cluster, wheel_of
from tests.demo.kubernetes.sight import Pods
from tests.demo.kubernetes.story import TEMPLATES, Story
from tests.demo.place import NAME
from tests.demo.session import clock, only_one
from tests.demo.story import FIRST
from tests.demo.user import DemoError
from tests.parts.base_image import ensure_base_image
from tests.parts.engine import gateway, running_engine
from tests.parts.ground import PartError, cache_dir
from tests.parts.index import running_devpi

_DESK = cache_dir("demo-kubernetes") / NAME
_PREFIX = f"k8s-{NAME}-"


def main() -> int:
    """Play the demo, or clean up after a kept one; return the exit code."""
    options = _parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    place = Place(node.home() / f"demo-{NAME}")
    try:
        with only_one(_DESK):
            if options.clean:
                with node.alone(place):
                    node.wipe(place)
                shutil.rmtree(_DESK, ignore_errors=True)
            else:
                _play(place, options.report, keep=options.keep)
    except (DemoError, PartError) as error:
        sys.stderr.write(f"The demo failed: {error}\n")
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.demo.kubernetes", description="Edit one line, and the pods of a cluster follow."
    )
    parser.add_argument("--report", type=Path, help="write what was seen as JSON to this file")
    parser.add_argument("--keep", action="store_true", help="leave the cluster running for a look")
    parser.add_argument("--clean", action="store_true", help="end what a kept demo left")
    return parser.parse_args()


def _play(place: Place, report: Path | None, *, keep: bool) -> None:
    say = clock()
    try:
        with running_cluster(place, keep=keep, say=say) as cluster:
            ground, desk = _ready(cluster, say)
            with Pods(cluster) as pods:
                seen = Story(desk, ground, pods, say).tell()
            if report:
                seen.write(report)
                say(f"the report is in {report}")
    finally:
        if not keep:
            shutil.rmtree(_DESK, ignore_errors=True)
    if keep:
        say(f"everything is left running (export KUBECONFIG={cluster.kubeconfig});")
        say("`make demo-kubernetes-clean` ends it")
    say(
        f"done: {seen.from_version} → {seen.to} reached {len(seen.workloads)} workloads in {seen.seconds:.1f} s,"
        f" {seen.tasks_cut} tasks cut"
    )


def _ready(cluster: Cluster, say: Callable[[str], None]) -> tuple[Ground, Desk]:
    """Bring what somebody has who begins with a cluster; the engine that it takes is left as it was."""
    with running_engine() as engine:
        say("pushing the images of operator and builder")
        ground = prepared(cluster, engine, ensure_base_image(engine), prefix=_PREFIX)
        desk = Desk(_DESK, ground, say=say)
        checkouts = desk.lay_out(FIRST, TEMPLATES)
        say(
            "building each template's Dockerfile once on this machine's engine: namespaces that enforce restricted let no Job do so"
        )
        with running_devpi(address=gateway(engine)) as index:
            wheel = wheel_of(desk.source, FIRST, _DESK / "built")
            push_full_builds(ground, checkouts, wheel, engine=engine, index=index)
    return ground, desk


if __name__ == "__main__":
    sys.exit(main())
