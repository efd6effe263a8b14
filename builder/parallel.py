"""Shares out pure work on many items among processes, because one interpreter keeps only one processor busy."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Final, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AT_MOST: Final = 4
"""Each process has memory of its own."""


def mapped(work: Callable[[_Item], _Result], items: Sequence[_Item], *, share: bool) -> list[_Result]:
    """Return what `work` makes of each item, in their order.

    Args:
        work: depends on nothing but its item; what it returns can be pickled.
        items: inherited by the processes, never copied to them.
        share: whether the work is worth more than the starting of processes.

    Raises:
        RuntimeError: a process died.
    """
    count = min(_processors(), _AT_MOST) if share else 1
    if count == 1:
        return [work(item) for item in items]
    import multiprocessing  # noqa: PLC0415 -- most sources are small

    context = multiprocessing.get_context("fork")
    others = []
    for number in range(1, count):
        receiving, sending = context.Pipe(duplex=False)
        other = context.Process(target=_send, args=(sending, work, items[number::count]), daemon=True)
        other.start()
        sending.close()  # the other one's end alone must be open, or its death would never be seen
        others.append((other, receiving))
    results = [[work(item) for item in items[::count]]]
    for other, receiving in others:
        try:
            results.append(receiving.recv())
        except EOFError:
            other.join()
            raise RuntimeError(f"A process that shared the work ended with {other.exitcode}.") from None
        other.join()
    return [results[place % count][place // count] for place in range(len(items))]


def _send(sending: Connection, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> None:
    sending.send([work(item) for item in items])


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
