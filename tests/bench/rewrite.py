"""How long the builder takes to move a source of bare imports into a package, to prove it, and to pack it; with what memory."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, at_most
from tests.bench.module_tree import write_tree
from tests.bench.site import Site, listed, say
from tests.parts.ground import REPOSITORY

SMALL, MIDDLE, LARGE = (60, 250), (300, 70), (2000, 70)
"""Modules of the generated trees, and about how many lines each has."""
_REWRITING = "reading, indexing and rewriting {what} in a new process (start and imports not counted); median"
_PROVING = (
    "reading, indexing, rewriting {what}, and the proof with every Python here, in a new process (start and imports not "
    "counted); median; the whole command, which also starts, imports and writes the build tree, takes {command:.2f} s"
)
_MEMORY = (
    "the same whole command over the large tree: resident memory of all processes together, asked every 5 ms, what they "
    "share counted in each; the largest of all runs"
)
_PACKAGE = "`python -m builder package` from a fresh copy of workspace/ to wheel and sdist, the whole command; median"
_SAMPLE_SECONDS = 0.005


def measure(site: Site) -> list[Figure]:
    """The project's own runtime and three generated trees, taking turns."""
    folder = site.folder / "rewrite"
    lines = {
        size: write_tree(folder / str(size[0]), modules=size[0], lines=size[1])
        for size in (SMALL, MIDDLE, LARGE)
    }
    try:
        return [
            *_rewriting(site, folder),
            *_proving(site, folder, lines),
            _memory(site, folder),
            _package(site),
        ]
    finally:
        shutil.rmtree(folder)


def _rewriting(site: Site, folder: Path) -> Iterator[Figure]:
    own, tree = site.alternate(
        lambda _: _inside("rewrite", REPOSITORY / "workspace"),
        lambda _: _inside("rewrite", folder / str(MIDDLE[0])),
    )
    say(f"rewrite: workspace {listed(own)} s, {MIDDLE[0]} modules {listed(tree)} s")
    yield Figure.middle("rewrite.seconds", own, how=_REWRITING.format(what="the project's own workspace/"))
    what = f"a generated tree of {MIDDLE[0]} modules"
    yield Figure.middle("rewrite.seconds300", tree, how=_REWRITING.format(what=what))


def _proving(site: Site, folder: Path, lines: dict[tuple[int, int], int]) -> Iterator[Figure]:
    for name, size, seconds in (("small", SMALL, 0.6), ("large", LARGE, 5.0)):
        inside, whole = _proving_once(site, folder / str(size[0]))
        say(f"rewrite: {name} {listed(inside)} s, as a whole command {listed(whole)} s")
        what = f"a generated tree of {size[0]:,} modules and {lines[size]:,} lines"
        how = _PROVING.format(what=what, command=statistics.median(whole))
        yield Figure.middle(f"rewrite.{name}", inside, how=how, bar=at_most(seconds))
        yield Figure.middle(f"rewrite.{name}Command", whole, how=f"that whole command over {what}; median")


def _proving_once(site: Site, source: Path) -> tuple[list[float], ...]:
    return site.alternate(lambda _: _inside("prove", source), lambda _: _whole(_command(source)))


def _memory(site: Site, folder: Path) -> Figure:
    (samples,) = site.alternate(lambda _: _peak_megabytes(_command(folder / str(LARGE[0]))))
    say(f"rewrite: memory {listed(samples)} MB")
    return Figure("rewrite.memory", round(max(samples), 1), "MB", _MEMORY, tuple(samples), bar=at_most(200))


def _package(site: Site) -> Figure:
    def once(_: int) -> float:
        checkout = site.folder / "checkout"
        try:
            shutil.copytree(
                REPOSITORY / "workspace", checkout / "workspace", ignore=shutil.ignore_patterns("__pycache__")
            )
            return _whole([*_command(checkout / "workspace"), f"--dist={checkout / 'dist'}"])
        finally:
            shutil.rmtree(checkout)

    (samples,) = site.alternate(once)
    say(f"rewrite: package {listed(samples)} s")
    return Figure.middle("package.seconds", samples, how=_PACKAGE, bar=at_most(4))


def _inside(what: str, source: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.rewrite_once", what, str(source)],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    return float(done.stdout)


def _command(source: Path) -> list[str]:
    out = source.parent / f"{source.name}-tree"
    return [
        sys.executable,
        "-m",
        "builder",
        "package",
        f"--source={source}",
        "--version=0.1.0",
        f"--out={out}",
    ]


def _whole(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True, cwd=REPOSITORY)
    return time.perf_counter() - begun


def _peak_megabytes(command: list[str]) -> float:
    peak = 0
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        while run.poll() is None:
            peak = max(peak, sum(map(_resident_bytes, _family(run.pid))))
            time.sleep(_SAMPLE_SECONDS)
    assert run.returncode == 0, f"{command} ended with {run.returncode}"
    return peak / 1_000_000


def _family(process: int) -> Iterator[int]:
    yield process
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:  # it has ended meanwhile
        return
    for child in children.split():
        yield from _family(int(child))


def _resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
