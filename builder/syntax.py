"""Reads Python files that nobody vouches for: what does not parse is no error here, and warnings are its author's."""

from __future__ import annotations

import ast
import warnings


def parsed(content: bytes) -> ast.Module | None:
    """Return the syntax tree of a file; None where this Python cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
