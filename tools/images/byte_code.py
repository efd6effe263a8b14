"""Byte code of the modules in an image: its root cannot be written, so that every start would compile them anew."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import PurePosixPath

from builder.stages.bytecode_script import byte_code


def compiled(modules: Mapping[str, bytes], above: str) -> Iterator[tuple[str, bytes]]:
    """Yield the byte code of modules, by its path.

    Args:
        modules: sources by their paths.
        above: the folder of the image that the paths are in.
    """
    for name, source in modules.items():
        path = PurePosixPath(name)
        # What is no Python of today is there as data for tests.
        with suppress(SyntaxError, ValueError), warnings.catch_warnings(action="ignore"):
            code = byte_code(source, f"{above}/{name}")
            yield f"{path.parent}/__pycache__/{path.stem}.{sys.implementation.cache_tag}.pyc", code
