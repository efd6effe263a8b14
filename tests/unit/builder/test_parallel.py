"""Work that is shared out gives what it would give in one process, and a process that dies is not overlooked."""

import os

import pytest

from builder import parallel
from builder.parallel import mapped


@pytest.fixture(autouse=True)
def _three_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_processors", lambda: 3)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    assert mapped(lambda number: number * number, range(count), share=True) == [
        number * number for number in range(count)
    ]


def test_the_work_is_done_in_several_processes_when_it_is_worth_it() -> None:
    assert len(set(mapped(lambda _: os.getpid(), range(9), share=True))) == 3
    assert set(mapped(lambda _: os.getpid(), range(9), share=False)) == {os.getpid()}


def test_a_process_that_dies_is_an_error() -> None:
    here = os.getpid()

    def work(number: int) -> int:
        if os.getpid() != here:
            os._exit(9)
        return number

    with pytest.raises(RuntimeError, match=r"^A process that shared the work ended with 9\.$"):
        mapped(work, range(9), share=True)
