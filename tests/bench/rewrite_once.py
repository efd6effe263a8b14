"""Rewrites one source and prints the seconds: a process of its own, because only the first rewriting pays for LibCST."""

import sys
import time
from pathlib import Path

from builder.stages.collect import collect
from builder.stages.rewrite import rewrite
from builder.tree import read_tree


def main() -> None:
    """Rewrite the folder given as the only argument."""
    source = Path(sys.argv[1])
    begun = time.perf_counter()
    tree = read_tree(source)
    rewritten = rewrite(collect(tree, tree.read()), "molecule_runtime")
    seconds = time.perf_counter() - begun
    assert any(b"molecule_runtime" in content for content in rewritten.files.values()), (
        "nothing was rewritten"
    )
    sys.stdout.write(f"{seconds:.6f}\n")


if __name__ == "__main__":
    main()
