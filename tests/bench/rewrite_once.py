"""Moves one source into a package and prints the seconds: a process of its own, so that nothing is warm but imports.

python -m tests.bench.rewrite_once rewrite|prove SOURCE
"""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from builder.contract import PackageRun
from builder.stages.collect import collect
from builder.stages.rewrite import rewrite
from builder.tree import read_tree
from builder.verbs.package import prepare


def rewritten(source: Path) -> Mapping[str, bytes]:
    """Read, index and rewrite."""
    tree = read_tree(source)
    return rewrite(collect(tree, tree.read()), "molecule_runtime").files


def proven(source: Path) -> Mapping[str, bytes]:
    """Do all of `package` but writing: read, index, rewrite, and prove with every Python on the machine."""
    prepared = prepare(PackageRun(source=source, version="0.1.0", out=source.parent / "not-made"))
    assert len(prepared.proven_on) > 1, "no other Python was found to prove with"
    return {path: content for path, (content, _) in prepared.files.items()}


def main() -> None:
    """Do what the first argument names to the folder that the second one is."""
    work = {"rewrite": rewritten, "prove": proven}[sys.argv[1]]
    begun = time.perf_counter()
    files = work(Path(sys.argv[2]))
    seconds = time.perf_counter() - begun
    assert any(b"molecule_runtime." in content for content in files.values()), "nothing was rewritten"
    sys.stdout.write(f"{seconds:.6f}\n")


if __name__ == "__main__":
    main()
