"""The cluster's control group: every process of it is in there, daemons and pods alike, so all of them can be ended.

The kubelet keeps pods below it too, so that two clusters on one machine do not end each other's.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.cluster.place import Place
from tests.parts.ground import PartError

_DEADLINE_SECONDS = 30.0
_DAEMONS = "daemons"


def create(place: Place) -> None:
    """Make the group in every hierarchy of this machine (cgroup v1 has one for each controller)."""
    for hierarchy in _hierarchies():
        group = hierarchy / place.name
        group.mkdir(exist_ok=True)
        # v2: a group may use what all above it pass on.
        for above in (hierarchy, group):
            if (above / "cgroup.controllers").exists():
                controllers = (above / "cgroup.controllers").read_text().split()
                (above / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
        # v1: a new group may use no processor and no memory until it is told which.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / name).exists():
                (group / name).write_text((hierarchy / name).read_text())
    (_first(place) / _DAEMONS).mkdir(exist_ok=True)


def joined(place: Place) -> tuple[str, ...]:
    """What goes before a command line that is to run in the group."""
    return ("sh", "-c", 'echo $$ >"$0" && exec "$@"', str(_first(place) / _DAEMONS / "cgroup.procs"))


def inhabited(place: Place) -> bool:
    """Whether any process of the cluster lives."""
    return any(_members(place))


def end_all(place: Place) -> None:
    """KILL every process in the group and return when they are gone.

    Raises:
        PartError: one does not go.
    """
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while members := set(_members(place)):
        if time.monotonic() > deadline:
            raise PartError(
                f"processes {sorted(members)} of cluster {place.root} did not end {_DEADLINE_SECONDS:.0f} s after KILL"
            )
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.01)


def remove(place: Place) -> None:
    """Remove the group; an absent one is fine."""
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / place.name, topdown=False):
            _remove(Path(folder))


def _remove(group: Path) -> None:
    """A group whose last process has just ended may be busy for a moment."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise PartError(f"control group {group} cannot be removed: {error}") from error
            time.sleep(0.01)
        else:
            return


def _members(place: Place) -> Iterator[int]:
    for folder, _, _ in os.walk(_first(place)):
        with suppress(FileNotFoundError):
            yield from map(int, (Path(folder) / "cgroup.procs").read_text().split())


def _first(place: Place) -> Path:
    """The group where daemons and pods meet."""
    for hierarchy in _hierarchies():
        if (hierarchy / "pids.max").exists() or hierarchy.name in {"pids", "cgroup"}:
            return hierarchy / place.name
    raise PartError("This kernel has no control group controller `pids`, without which a node cannot run.")


def _hierarchies() -> Iterator[Path]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind.startswith("cgroup"):
            yield Path(where)
