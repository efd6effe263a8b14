"""Which labels a selector selects, as an API server reads it in a query (`labels.Parse` of its library). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

_PART: Final = re.compile(
    r"\s*(?:(?P<absent>!)\s*)?(?P<key>[^\s,!=()]+)\s*"
    r"(?:(?P<is>==?|!=)\s*(?P<value>[^\s,()]*)|(?P<word>in|notin)\s*\((?P<values>[^)]*)\))?\s*(?:,|$)"
)


@lru_cache(maxsize=4096)
def _requirements(selector: str) -> tuple[tuple[str, str, frozenset[str]], ...]:
    parts, at = [], 0
    while at < len(selector):
        found = _PART.match(selector, at)
        if found is None or found.end() == at:
            raise ValueError(f"{selector!r} is no label selector")
        at = found.end()
        if found["word"]:
            values = frozenset(each.strip() for each in found["values"].split(","))
            parts.append((found["key"], found["word"], values))
        elif found["is"]:
            word = "notin" if found["is"] == "!=" else "in"
            parts.append((found["key"], word, frozenset({found["value"]})))
        else:
            parts.append((found["key"], "absent" if found["absent"] else "exists", frozenset()))
    return tuple(parts)


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Return whether a selector selects what carries `labels`; an empty one selects everything.

    Raises:
        ValueError: it is no selector.
    """
    for key, word, values in _requirements(selector):
        match word:
            case "in":
                met = labels.get(key) in values
            case "notin":
                met = key not in labels or labels[key] not in values
            case "exists":
                met = key in labels
            case _:
                met = key not in labels
        if not met:
            return False
    return True


def pairs_of(selector: str) -> tuple[tuple[str, str], ...]:
    """Return labels that all it selects must carry; there may be more that it asks for. Raises as `selects`."""
    return tuple(
        (key, min(values))
        for key, word, values in _requirements(selector)
        if word == "in" and len(values) == 1
    )
