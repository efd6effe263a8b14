"""Start a server as a process, wait until it answers, and end it by its own identity and nothing else.

A pid alone may belong to somebody else by the time it is used, so a process is named by pid and start time.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.parts.ground import PartError

_STOP_SECONDS = 20.0
_LOG_TAIL_CHARACTERS = 1500
_LOWEST_PORT = 15_000
_PORT_ATTEMPTS = 100


@dataclass(frozen=True)
class Process:
    """One process of this machine; `started` is its start in clock ticks since boot (proc(5), field 22)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """The live process with this pid; None when there is none or only its unread exit is left."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] == "Z" else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        """Whether this very process still runs."""
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return Process.of(self.pid) == self

    def end(self, *, seconds: float = _STOP_SECONDS) -> None:
        """TERM, then KILL after `seconds`; returns when it is gone. A process that is gone already is fine."""
        for name, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
            if not self.alive():
                return
            with suppress(ProcessLookupError):
                os.kill(self.pid, name)
            deadline = time.monotonic() + patience
            while self.alive() and time.monotonic() < deadline:
                time.sleep(0.02)
        if self.alive():
            raise PartError(f"process {self.pid} did not end {seconds:.0f} s after TERM nor 5 s after KILL")

    def save(self, file: Path) -> None:
        """Remember it for a later run of ours."""
        file.write_text(json.dumps([self.pid, self.started]))

    @classmethod
    def saved(cls, file: Path) -> "Process | None":
        """The process that `save` wrote there, if it still runs."""
        try:
            process = cls(*json.loads(file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return process if process.alive() else None


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port that was free on this address a moment ago, and that no outgoing connection will be given.

    A client that keeps asking a local port of the outgoing range while nothing listens there is in the end given
    that very port for its own end, is connected to itself, and keeps the server from coming back.
    """
    outgoing_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(_PORT_ATTEMPTS):
        port = _LOWEST_PORT + secrets.randbelow(max(outgoing_from - _LOWEST_PORT, 1000))
        with socket.socket() as probe, suppress(OSError):
            probe.bind((address, port))
            return port
    raise PartError(
        f"no port of {address} from {_LOWEST_PORT} to {outgoing_from} was free in {_PORT_ATTEMPTS} attempts"
    )


def status_of(url: str, *, seconds: float = 2.0) -> int | None:
    """The HTTP status that a URL answers with; None when nothing answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=seconds) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def wait_until(
    answers: Callable[[], bool], *, what: str, process: Process, log: Path, seconds: float
) -> None:
    """Wait until a started server answers.

    Raises:
        PartError: it ended, or did not answer in time; the text carries the end of its log.
    """
    deadline = time.monotonic() + seconds
    while not answers():
        ended = not process.alive()
        if ended or time.monotonic() > deadline:
            why = "ended at once" if ended else f"did not answer within {seconds:.0f} s"
            raise PartError(f"{what} {why}; the end of {log}:\n{log.read_text()[-_LOG_TAIL_CHARACTERS:]}")
        time.sleep(0.05)


def launch(command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> Process:
    """Start a server in a session of its own, so that Ctrl-C reaches us and not it; its output goes to `log`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    process = Process.of(child.pid)
    child.returncode = (
        0  # `Process` waits for it; without this the interpreter warns of a child still running
    )
    if process is None:
        raise PartError(
            f"{command[0]} ended at once; the end of {log}:\n{log.read_text()[-_LOG_TAIL_CHARACTERS:]}"
        )
    return process


@contextmanager
def serving(
    command: Sequence[str], *, answers: Callable[[], bool], what: str, log: Path, seconds: float = 30.0
) -> Iterator[Process]:
    """A server that lives as long as this block, and no longer than the thread that entered it: it also ends with us.

    Raises:
        PartError: it did not come up.
    """
    process = launch(["setpriv", "--pdeathsig", "TERM", *command], log=log)
    try:
        wait_until(answers, what=what, process=process, log=log, seconds=seconds)
        yield process
    finally:
        process.end()
