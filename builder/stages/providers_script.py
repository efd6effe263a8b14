"""Runs inside an environment: reads dotted names as JSON on stdin and says which distributions provide each, on stdout.

Files decide, not top-level names: several distributions share a namespace such as `google`.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import PurePosixPath


def main() -> None:
    """Answer for each name with the distributions that have the longest part of it as a module or folder."""
    owners: dict[str, set[str]] = {}
    folders: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        for file in distribution.files or ():
            parts = _module(file)
            if parts:
                owners.setdefault(".".join(parts), set()).add(distribution.name)
                for depth in range(1, len(parts)):
                    folders.setdefault(".".join(parts[:depth]), set()).add(distribution.name)
    answers = {name: sorted(_providers(name, owners, folders)) for name in json.load(sys.stdin)}
    json.dump(answers, sys.stdout)


def _module(file: PurePosixPath) -> list[str]:
    """Return the parts of the dotted name that a file is imported by; none for what is no module."""
    if file.suffix not in {".py", ".so", ".pyd"}:
        return []
    *parts, name = file.parts
    stem = name.partition(".")[0]
    parts += [] if stem == "__init__" else [stem]
    return parts if all(part.isidentifier() for part in parts) else []


def _providers(name: str, owners: dict[str, set[str]], folders: dict[str, set[str]]) -> set[str]:
    while name:
        if found := owners.get(name) or folders.get(name):
            return found
        name = name.rpartition(".")[0]
    return set()


if __name__ == "__main__":
    main()
