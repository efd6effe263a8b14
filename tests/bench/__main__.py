"""`make bench`: measures this machine against honest baselines, prints a table, and keeps every raw sample.

python -m tests.bench [--only NAME] [--report FILE] [--pairs N]
"""

import argparse
import fcntl
import importlib
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.figures import Figure, table, write
from tests.bench.site import Site, opened, say
from tests.parts.ground import PartError, cache_dir

BENCHES = (
    "rewrite",
    "planner",
    "hook",
    "cascade",
    "gate",
    "replace",
    "kubernetes",
    "inplace",
    "chain",
    "fleet",
)
FEWEST_PAIRS = 3


def main() -> int:
    """Measure what was asked for; return 0 when all of it was measured, whatever the bars say."""
    options = _parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made is removed
    figures: list[Figure] = []
    try:
        with _only_one(), opened(options.pairs) as site:
            for name in [options.only] if options.only else BENCHES:
                say(f"{name}: begins")
                figures += _bench(name)(site)
    except PartError as error:
        sys.stderr.write(f"The benchmarks could not be measured: {error}\n")
        return 1
    finally:
        if options.report and figures:
            write(figures, options.report)
    sys.stdout.write("\n".join([*table(figures), "", _summary(figures)]) + "\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure this machine.")
    parser.add_argument("--only", choices=BENCHES, help="measure this one alone")
    parser.add_argument(
        "--report", type=Path, help="write all figures with their samples as JSON to this file"
    )
    parser.add_argument(
        "--pairs",
        type=int,
        default=FEWEST_PAIRS,
        help=f"how often each side is measured (default {FEWEST_PAIRS})",
    )
    return parser.parse_args()


def _bench(name: str) -> Callable[[Site], list[Figure]]:
    measure: Callable[[Site], list[Figure]] = importlib.import_module(f"tests.bench.{name}").measure
    return measure


def _summary(figures: list[Figure]) -> str:
    barred = [figure for figure in figures if figure.bar]
    return f"{sum(figure.holds for figure in barred)} of {len(barred)} bars hold"


@contextmanager
def _only_one() -> Iterator[None]:
    """Two at a time would measure each other."""
    with ExitStack() as stack:
        lock = stack.enter_context((cache_dir() / "bench.lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PartError("other benchmarks are running on this machine; wait for their end.") from None
        yield


if __name__ == "__main__":
    sys.exit(main())
