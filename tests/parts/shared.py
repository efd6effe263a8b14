"""One slow server for all runs on this machine: the first that needs it starts it, the last that leaves ends it.

Locks, not counters: the kernel gives them back when a run is killed, so nothing has to be repaired afterwards.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shared(
    home: Path,
    *,
    answers: Callable[[], bool],
    start: Callable[[], None],
    end: Callable[[], None],
    keep: bool = False,
) -> Iterator[None]:
    """Use the server of folder `home`.

    Args:
        home: holds the locks; one folder, one server.
        answers: whether it is up.
        start: brings it up, over the remains of a killed run too.
        end: takes it down; must be fine when it is down.
        keep: leave it up although the last user goes; the next `shared` without `keep` takes it down.
    """
    with (home / "users.lock").open("w") as users:
        with _alone(home):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not answers():
                try:
                    start()
                except BaseException:
                    end()
                    raise
        try:
            yield
        finally:
            with _alone(home):
                if not keep and _last(users.fileno()):
                    end()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with (home / "gate.lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


def _last(users: int) -> bool:
    fcntl.flock(users, fcntl.LOCK_UN)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
