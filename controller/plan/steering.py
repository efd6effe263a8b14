"""Holds and pins that stand on the object, put on the targets that they name. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from controller.api.annotations import EVERY
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.target import Target


def steered(document: WorkspaceRuntime, targets: Iterable[Target]) -> tuple[Target, ...]:
    """Return `targets` with the document's holds and pins.

    What names one target wins over its label, which may be older and cannot change; its label over what is said of all.
    """
    held, pinned = document.metadata.held_targets, document.metadata.pinned_targets
    if not held and not pinned:
        return tuple(targets)
    return tuple(
        dataclasses.replace(
            target,
            hold=_said(held, target, target.hold),
            pin=_said(pinned, target, target.pin),
        )
        for target in targets
    )


def unmatched(document: WorkspaceRuntime, targets: Iterable[Target]) -> tuple[str, ...]:
    """Return what the document holds or pins and no target is called: it may be a slip."""
    known = {name for target in targets for name in (target.id, target.name, *_around(target))}
    named = {*document.metadata.held_targets, *document.metadata.pinned_targets}
    return tuple(sorted(named - known - {EVERY}))


def _said(told: Mapping[str, str], target: Target, label: str | None) -> str | None:
    own = told.get(target.id, told.get(target.name, label))
    return own if own is not None else next((told[each] for each in _around(target) if each in told), None)


def _around(target: Target) -> tuple[str, ...]:
    """Return what stands for all targets beside one, the narrowest first."""
    parts = target.id.split("/")
    return tuple("/".join([*parts[:end], EVERY]) for end in range(len(parts) - 1, -1, -1))
