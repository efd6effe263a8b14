"""Which annotations say that an object or its targets are to stop, and what lifts that: the same words here and in a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from controller.api.annotations import checked, held_targets, pinned_targets
from controller.api.names import ANNOTATION_HOLD, ANNOTATION_HOLD_TARGETS, ANNOTATION_PIN_TARGETS

Changes = Mapping[str, str | None]
"""Annotations by name, as they are to be; None for one that is to go."""

_BY_TARGET: Final = {ANNOTATION_HOLD_TARGETS: held_targets, ANNOTATION_PIN_TARGETS: pinned_targets}


def hold_object(reason: str) -> Changes:
    """Return what stops all work on an object. Raises FieldError without a reason."""
    return checked({ANNOTATION_HOLD: reason})


def hold(annotations: Mapping[str, str], targets: Iterable[str], reason: str) -> Changes:
    """Return what holds these targets besides those that are. Raises FieldError for what is no target, or without a reason."""
    return _with(annotations, ANNOTATION_HOLD_TARGETS, dict.fromkeys(targets, reason))


def pin(annotations: Mapping[str, str], targets: Iterable[str], version: str) -> Changes:
    """Return what pins these targets besides those that are. Raises FieldError for what is no target, or no version."""
    return _with(annotations, ANNOTATION_PIN_TARGETS, dict.fromkeys(targets, version))


def lift(annotations: Mapping[str, str], targets: Iterable[str]) -> Changes:
    """Return what lets these targets go, by the name under which each was stopped; empty when none is."""
    gone = frozenset(targets)
    changes: dict[str, str | None] = {}
    for name, read in _BY_TARGET.items():
        before = read(annotations)
        left = {target: said for target, said in before.items() if target not in gone}
        if len(left) < len(before):
            changes[name] = _text(left) if left else None
    return changes


def stop_of(annotations: Mapping[str, str], target: str) -> str | None:
    """Return how a target is stopped by that name, in words; None when it is not."""
    held, pinned = held_targets(annotations).get(target), pinned_targets(annotations).get(target)
    told = [*([f"held: {held}"] if held else []), *([f"pinned to {pinned}"] if pinned else [])]
    return ", ".join(told) or None


def changed(annotations: Mapping[str, str], changes: Changes) -> dict[str, str]:
    """Return `annotations` with the changes made."""
    after = {**annotations, **changes}
    return {name: value for name, value in after.items() if value is not None}


def joined(document: Mapping[str, str], beside: Mapping[str, str]) -> dict[str, str]:
    """Return a document's annotations with those that are kept beside it, which win; targets are joined one by one."""
    both = {**document, **beside}
    for name, read in _BY_TARGET.items():
        if name in document and name in beside:
            both[name] = _text({**read(document), **read(beside)})
    return both


def _with(annotations: Mapping[str, str], name: str, more: Mapping[str, str]) -> Changes:
    return checked({name: _text({**_BY_TARGET[name](annotations), **more})})


def _text(by_target: Mapping[str, str]) -> str:
    return json.dumps(dict(by_target), ensure_ascii=False, sort_keys=True)
