"""Which containers belong together: the one that serves a name, its successor, and what stands in their way. Pure.

Read from the label on the successor, which holds the id of the old one; names only say how far things have come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.api.names import LABEL_REPLACES
from controller.model.container import NEXT_PREFIX, PREV_PREFIX, ContainerSummary


@dataclass(frozen=True, slots=True)
class Unit:
    """All containers around one name.

    `old` serves the name, or did until its successor `new` took over; without a successor it is the plain holder.
    `foreign` holds the name although neither of them does. `orphan` is a successor under its interim name whose old
    container is gone, beside a new holder of the name. `stranded` is a container under an interim name whose
    counterpart somebody removed while the name is free or newly taken: whether the workspace was meant to go
    cannot be known, so it is shown and left alone.
    """

    name: str
    old: ContainerSummary | None = None
    new: ContainerSummary | None = None
    foreign: ContainerSummary | None = None
    orphan: ContainerSummary | None = None
    stranded: ContainerSummary | None = None


def own_name(container: ContainerSummary) -> str:
    """Return the name that a container has, had, or is to have when no replacement is under way."""
    return container.name.removeprefix(NEXT_PREFIX).removeprefix(PREV_PREFIX)


def find_unit(name: str, containers: Iterable[ContainerSummary]) -> Unit:
    """Return the unit of `name`."""
    return find_units(containers).get(name, Unit(name))


def find_units(containers: Iterable[ContainerSummary]) -> Mapping[str, Unit]:
    """Return all units by name."""
    listed = tuple(containers)
    by_name = {container.name: container for container in listed}
    by_id = {container.id: container for container in listed}
    names = {own_name(container) for container in listed}
    return {name: _unit(name, by_name, by_id) for name in names}


def _unit(name: str, by_name: Mapping[str, ContainerSummary], by_id: Mapping[str, ContainerSummary]) -> Unit:
    holder, prev, following = (
        by_name.get(name),
        by_name.get(PREV_PREFIX + name),
        by_name.get(NEXT_PREFIX + name),
    )
    if following is not None and LABEL_REPLACES in following.labels:
        old = _replaced(following, (holder, prev), by_id)
        if old is not None and old is holder:
            return Unit(name, old, following)
        if old is not None:
            return Unit(name, old, following, foreign=holder)
        if holder is None:
            return Unit(name, stranded=following)
        return Unit(name, holder, orphan=following)
    if holder is not None:
        old = _replaced(holder, (prev,), by_id)
        return Unit(name, old, holder) if old is not None else Unit(name, holder, stranded=prev)
    return Unit(name, stranded=prev)


def _replaced(
    successor: ContainerSummary,
    among: tuple[ContainerSummary | None, ...],
    by_id: Mapping[str, ContainerSummary],
) -> ContainerSummary | None:
    """Return the container that `successor` replaces, if it still has one of the names that we gave or found."""
    old = by_id.get(successor.labels.get(LABEL_REPLACES, ""))
    return old if old is not None and any(old is one for one in among) else None
