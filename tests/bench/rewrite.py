"""How long the builder takes to move a source of bare imports into a package."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.module_tree import write_tree
from tests.bench.site import Site, listed, say
from tests.parts.ground import REPOSITORY

MODULES = 300
_HOW = "reading, indexing and rewriting {what} in a new process, LibCST's import included (interpreter start not); median"


def measure(site: Site) -> list[Figure]:
    """The project's own runtime and a generated tree, taking turns."""
    generated = site.folder / "generated-source"
    write_tree(generated, modules=MODULES)
    try:
        own, tree = site.alternate(
            lambda _: _seconds(REPOSITORY / "workspace"),
            lambda _: _seconds(generated),
        )
    finally:
        shutil.rmtree(generated)
    say(f"rewrite: workspace {listed(own)} s, {MODULES} modules {listed(tree)} s")
    return [
        Figure.middle("rewrite.seconds", own, how=_HOW.format(what="the project's own workspace/")),
        Figure.middle(
            "rewrite.seconds300", tree, how=_HOW.format(what=f"a generated tree of {MODULES} modules")
        ),
    ]


def _seconds(source: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.rewrite_once", str(source)],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    return float(done.stdout)
