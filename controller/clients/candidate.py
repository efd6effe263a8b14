"""One booted candidate as the gate sees it, wherever it runs: what differs between an engine and a cluster stands behind this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from controller.model_server.script import Script


@dataclass(frozen=True, slots=True)
class Ended:
    """How a candidate's process ended."""

    exit_code: int
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """A candidate at one moment: where it may be reached, best first, and how it ended; None while it runs."""

    addresses: tuple[str, ...] = ()
    ended: Ended | None = None


class ModelSide(Protocol):
    """The stand-in model of one candidate, in this process or beside the candidate."""

    async def begin(self, turn: int) -> None:
        """Have the stand-in know that turn 1 or 2 begins. Raises Transient when it does not answer."""
        ...

    async def seen(self) -> Script:
        """Return what it was asked and said until now. Raises as `begin`."""
        ...


class Candidate(Protocol):
    """One candidate that was made and is not started yet.

    Every method raises Transient, NotFound or Terminal when the place where it runs failed, or took it away: nothing
    is known of the candidate then.
    """

    @property
    def environment(self) -> Mapping[str, str]:
        """What it is given beside its image's own; some of it must not be told."""
        ...

    @property
    def model(self) -> ModelSide | None:
        """Its model; None for one that has none."""
        ...

    async def start(self) -> float:
        """Start its process, and return since when its start deadline runs, by the clock of the event loop.

        Raises:
            Failed: it could not be started, for a reason of its own.
        """
        ...

    async def look(self) -> Sight:
        """Return how it is; one that ends may be seen running a little longer."""
        ...

    async def prove_reached(self) -> None:
        """Return when what is asked at its address is still this candidate: what it said, or did not say, is its own."""
        ...

    async def memory_bytes(self) -> int | None:
        """Return what it uses without reclaimable page cache, None where that cannot be known."""
        ...

    async def log_tail(self, *, lines: int) -> tuple[str, ...]:
        """Return the last lines that it wrote."""
        ...
