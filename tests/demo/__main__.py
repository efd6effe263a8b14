"""`make demo`: one line is edited, and eight running workspaces follow; on real parts, in about a minute.

python -m tests.demo [--report FILE] [--keep]
python -m tests.demo --clean
"""

import argparse
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.demo.desk import Desk
from tests.demo.place import NAME, Place
from tests.demo.session import clock, only_one
from tests.demo.story import FIRST, Story
from tests.demo.user import DemoError
from tests.parts.base_image import ensure_base_image
from tests.parts.engine import gateway, running_engine
from tests.parts.ground import PartError, cache_dir
from tests.parts.index import running_devpi

_DESK = cache_dir("demo") / NAME


def main() -> int:
    """Play the demo, or clean up after a kept one; return the exit code."""
    options = _parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    try:
        with only_one(_DESK):
            return _clean() if options.clean else _play(options.report, keep=options.keep)
    except (DemoError, PartError) as error:
        sys.stderr.write(f"The demo failed: {error}\n")
        return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.demo", description="Edit one line, and running workspaces follow."
    )
    parser.add_argument("--report", type=Path, help="write what was seen as JSON to this file")
    parser.add_argument("--keep", action="store_true", help="leave everything running for a look")
    parser.add_argument("--clean", action="store_true", help="end what a kept demo left")
    return parser.parse_args()


def _play(report: Path | None, *, keep: bool) -> int:
    say = clock()
    with running_engine(keep=keep) as endpoint, _place(endpoint, keep=keep) as place:
        say("an engine answers; getting base image and package index ready")
        base_image = ensure_base_image(endpoint)
        with running_devpi(address=gateway(endpoint), keep=keep) as index:
            desk = Desk(_DESK, say=say)
            desk.lay_out(version=FIRST, index=index, engine=endpoint, base_image=base_image)
            story = Story(desk, place, index, say)
            seen = story.tell()
            if report:
                seen.write(report)
                say(f"the report is in {report}")
    if keep:
        say("everything is left running; `make demo-clean` ends it")
    say(
        f"done: {seen.from_version} → {seen.to} reached {len(seen.containers)} workspaces in {seen.seconds:.1f} s,"
        f" {seen.tasks_cut} tasks cut"
    )
    return 0


def _clean() -> int:
    with running_engine() as endpoint, _place(endpoint, keep=False), running_devpi(address=gateway(endpoint)):
        return 0  # the last one that leaves engine and index ends them, the kept ones too


@contextmanager
def _place(endpoint: str, *, keep: bool) -> Iterator[Place]:
    """The place, cleared before and after; what a killed demo left is a thing of the past too."""
    place = Place(endpoint)
    try:
        place.clear()
        try:
            yield place
        finally:
            if not keep:
                place.clear()
                shutil.rmtree(_DESK, ignore_errors=True)
    finally:
        place.close()


if __name__ == "__main__":
    sys.exit(main())
