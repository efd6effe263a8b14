"""Where a benchmark works: an engine, a base image, a folder and a name prefix of its own, all cleared afterwards."""

import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import docker

from tests.parts.base_image import ensure_base_image
from tests.parts.engine import running_engine
from tests.parts.leftovers import remove_leftovers

T = TypeVar("T")


@dataclass(frozen=True)
class Site:
    """What every benchmark is given. `pairs` is how often each side is measured."""

    engine: str
    base_image: str
    client: docker.DockerClient
    folder: Path
    pairs: int
    prefix: str = field(default_factory=lambda: f"bench{secrets.token_hex(3)}-")

    def alternate(self, *sides: Callable[[int], T]) -> tuple[list[T], ...]:
        """Call every side once a round, each round beginning with the next one; return the results by side."""
        return alternate(self.pairs, *sides)

    def clear(self) -> None:
        """Remove all that carries the prefix."""
        remove_leftovers(self.engine, self.prefix)


def alternate(rounds: int, *sides: Callable[[int], T]) -> tuple[list[T], ...]:
    """Call every side with the round's number, the order turned by one each round; return the results by side."""
    results: tuple[list[T], ...] = tuple([] for _ in sides)
    for number in range(rounds):
        for turn in range(len(sides)):
            side = (number + turn) % len(sides)
            results[side].append(sides[side](number))
    return results


@contextmanager
def opened(pairs: int) -> Iterator[Site]:
    """A site on the machine's engine, or on one started for it; what was made there goes at the end, also on failure."""
    with running_engine() as engine:
        base_image = ensure_base_image(engine)
        client = docker.DockerClient(base_url=engine, timeout=300)
        folder = Path(tempfile.mkdtemp(prefix="wsr-bench-"))
        site = Site(engine, base_image, client, folder, pairs)
        try:
            yield site
        finally:
            site.clear()
            client.close()
            shutil.rmtree(folder, ignore_errors=True)


_BEGUN = time.monotonic()


def say(text: str) -> None:
    """Tell people what is being done; the results alone go to stdout."""
    sys.stderr.write(f"{time.monotonic() - _BEGUN:7.1f}s  {text}\n")
    sys.stderr.flush()


def listed(samples: Sequence[float]) -> str:
    """Samples in seconds, for a line of progress."""
    return ", ".join(f"{sample:.2f}" for sample in samples)
