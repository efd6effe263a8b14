"""Holds and pins that stand on the object, put on the targets that they name. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.target import Target


def steered(document: WorkspaceRuntime, targets: Iterable[Target]) -> tuple[Target, ...]:
    """Return `targets` with the document's holds and pins: they win over labels, which may be older and cannot change."""
    held, pinned = document.metadata.held_targets, document.metadata.pinned_targets
    if not held and not pinned:
        return tuple(targets)
    return tuple(
        dataclasses.replace(
            target,
            hold=held.get(target.id, held.get(target.name, target.hold)),
            pin=pinned.get(target.id, pinned.get(target.name, target.pin)),
        )
        for target in targets
    )


def unmatched(document: WorkspaceRuntime, targets: Iterable[Target]) -> tuple[str, ...]:
    """Return what the document holds or pins and no target is called: it may be a slip."""
    known = {name for target in targets for name in (target.id, target.name)}
    named = {*document.metadata.held_targets, *document.metadata.pinned_targets}
    return tuple(sorted(named - known))
