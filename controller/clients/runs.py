"""Runs the builder as a child process: the standalone counterpart of a Kubernetes Job, same arguments, same report.

Build work leaves our process so that it can neither block the loop nor outlive it, and so that a crash of a build
is a failed run and nothing worse.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from builder.contract import Outcome, Report
from controller.clients.leashed import READY
from controller.model.errors import Terminal, Transient

GRACE_SECONDS: Final = 5.0
"""How long an ended run may take to clean up after SIGTERM before it is killed."""
_STDOUT_KEPT_BYTES: Final = 65_536
_LINE_LIMIT_BYTES: Final = 16_384

Progress = Callable[[str], None]


class AsksAgain(Transient):
    """The run itself asked to be tried again; its log, which is passed on, has said why."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `python -m builder VERB ARGUMENTS...`.

    `inputs` says by content what the run is given (hashes, versions), whatever paths it lies at: equal inputs
    are the same run. `arguments` hold no secret, for they show in the list of processes; secrets go by file, or
    by `environment`. `fix` is what to do about a refusal, as far as its message does not say.

    So that it can be placed elsewhere, at the same absolute paths: `reads` are the files and folders that it is given,
    none of them secret, `writes` the folders that it leaves results in besides its report, and `secrets` the folders of
    the Secrets that it uses. `builds` says that it builds Dockerfiles with Buildah, for which a place must allow more.
    """

    verb: str
    arguments: tuple[str, ...]
    inputs: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    secrets: tuple[Path, ...] = ()
    builds: bool = False
    maximum_seconds: float = 3_600.0
    fix: str = "Correct the input; the run's log says where."

    @property
    def identity(self) -> str:
        """The SHA-256 of verb and inputs, in hex: the name of this run in both modes."""
        document = json.dumps({"verb": self.verb, "inputs": dict(self.inputs)}, sort_keys=True)
        return hashlib.sha256(document.encode()).hexdigest()


BUILDS_AT_ONCE: Final = 2
"""Builder runs of one process; each may use several cores."""


class BuilderRuns(Protocol):
    """Where builder runs happen."""

    @property
    def buildah(self) -> Path | None:
        """Where a run that `builds` has a folder for Buildah; None where there is no such run."""

    def prepare(self, verb: str) -> None:
        """Get ready for the next run of `verb`, as far as that makes it faster."""

    async def run(self, run: Run, *, progress: Progress | None = None) -> Report:
        """Run to the end and return the report, whose outcome is DONE or FAILED; what it `writes` then lies here.

        `progress` gets each line of the run's log as it is written. Cancellation ends the run before it is raised.

        Raises:
            Terminal: the run refused its input, with the report's reason and message; or it may not run.
            Transient: the run asks to be tried again (AsksAgain), or ended without a report, whatever the cause.
        """


_SLOW_IMPORTS: Final = {
    "package": ("builder.verbs.package",),
    "cascade": ("builder.verbs.cascade",),
    "promote": ("builder.verbs.promote",),
    "publish": ("builder.verbs.publish", "builder.stages._upload"),
}
"""What takes these verbs longer to import than to work with."""


class Runs:
    """Starts builder runs, a bounded number at a time."""

    buildah: None = None
    """An engine builds here."""

    def __init__(self, environment: Mapping[str, str], *, parallel: int) -> None:
        """`environment` is what every run inherits; `parallel` how many may run at a time."""
        self._environment = environment
        self._slots = asyncio.Semaphore(parallel)
        self._ready: dict[str, asyncio.Task[_Process]] = {}

    def prepare(self, verb: str) -> None:
        """Let a process import now what the next run of `verb` needs; one that is not needed ends by itself."""
        if verb not in self._ready:
            starting = self._start((READY, *_SLOW_IMPORTS[verb]), _ignore, stdin=asyncio.subprocess.PIPE)
            self._ready[verb] = asyncio.create_task(starting)

    async def aclose(self) -> None:
        """End what was prepared and not needed."""
        for starting in self._ready.values():
            with contextlib.suppress(Transient):
                await _end(await starting)
        self._ready.clear()

    async def run(self, run: Run, *, progress: Progress | None = None) -> Report:
        """Run to the end and return the report, whose outcome is DONE or FAILED.

        `progress` gets each line of the run's log as it is written. Cancellation ends the run, with everything
        it started, before it is raised.

        Raises:
            Terminal: the run refused its input; reason and message are the report's.
            Transient: the run asks to be tried again (AsksAgain), was killed, took longer than its maximum, or ended
                without a report.
        """
        async with self._slots:
            process = await self._begin(run, progress or _ignore)
            try:
                async with asyncio.timeout(run.maximum_seconds):
                    await process.child.exited
            except TimeoutError:
                raise Transient(
                    f"builder {run.verb} ran longer than {run.maximum_seconds:g} s and was ended"
                ) from None
            finally:
                await _end(process)
        return settle(run, process.transport.get_returncode(), process.child.last_line)

    async def _begin(self, run: Run, progress: Progress) -> _Process:
        """Tell a process that is ready what to do, or start one."""
        arguments = (run.verb, *run.arguments)
        with contextlib.suppress(KeyError, Transient):
            process = await self._ready.pop(run.verb)
            stdin = process.transport.get_pipe_transport(0)
            if process.transport.get_returncode() is None and isinstance(stdin, asyncio.WriteTransport):
                process.child.progress = progress
                order = json.dumps({"arguments": arguments, "environment": dict(run.environment)})
                stdin.write(f"{order}\n".encode())
                return process
            await _end(process)
        return await self._start(arguments, progress, environment=run.environment)

    async def _start(
        self,
        arguments: tuple[str, ...],
        progress: Progress,
        *,
        environment: Mapping[str, str] = MappingProxyType({}),
        stdin: int = asyncio.subprocess.DEVNULL,
    ) -> _Process:
        leash, held = os.pipe()
        try:
            transport, child = await asyncio.get_running_loop().subprocess_exec(
                lambda: _Child(progress),
                sys.executable,
                # Without the current folder on its path: a folder named builder there is somebody else's.
                "-P",
                "-m",
                "controller.clients.leashed",
                str(leash),
                *arguments,
                stdin=stdin,
                env={**self._environment, **environment, "PYTHONUNBUFFERED": "1"},
                pass_fds=(leash,),
                # A group of its own: a run is ended with its children, and Ctrl-C reaches it only through us.
                start_new_session=True,
            )
        except BaseException as error:
            os.close(held)
            if isinstance(error, OSError):
                raise Transient(f"builder {arguments[0]} could not be started: {error.strerror}") from error
            raise
        finally:
            os.close(leash)
        return _Process(transport, child, held)


@dataclass(frozen=True, slots=True)
class _Process:
    """One started process; `leash` is our end of the pipe that closes when we are done, or gone: see `leashed`."""

    transport: asyncio.SubprocessTransport
    child: _Child
    leash: int


class _Child(asyncio.SubprocessProtocol):
    """Takes in what a run writes, and tells its exit from the end of its pipes.

    `asyncio.subprocess.Process.wait` (3.11) waits for both: a stray that keeps a pipe open would hold us.
    """

    def __init__(self, progress: Progress) -> None:
        loop = asyncio.get_running_loop()
        self.progress = progress
        self.exited: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()
        self._stdout = b""
        self._stderr = b""

    @property
    def last_line(self) -> str:
        lines = self._stdout.decode(errors="replace").splitlines()
        return lines[-1] if lines else ""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self._stdout = (self._stdout + data)[-_STDOUT_KEPT_BYTES:]
            return
        *lines, self._stderr = (self._stderr + data).split(b"\n")
        if len(self._stderr) > _LINE_LIMIT_BYTES:
            lines.append(self._stderr)
            self._stderr = b""
        for line in lines:
            self._report(line)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._stderr:
            self._report(self._stderr)
        if not self.drained.done():
            self.drained.set_result(None)

    def _report(self, line: bytes) -> None:
        self.progress(line[:_LINE_LIMIT_BYTES].decode(errors="replace").rstrip("\r"))


def settle(run: Run, code: int | None, last_line: str) -> Report:
    """Return the report in a run's last line, or raise what its exit `code` (negative: a signal) means; see `BuilderRuns.run`."""
    if code is None:
        raise Transient(f"builder {run.verb} could not be ended")
    if code < 0:
        raise Transient(f"builder {run.verb} was killed by {signal.Signals(-code).name}")
    try:
        report = Report.from_line(last_line)
    except ValueError:
        raise Transient(
            f"builder {run.verb} ended with exit code {code} and no report; its last output was {last_line[:200]!r}"
        ) from None
    if report.outcome != code or report.verb != run.verb:
        raise Transient(
            f"builder {run.verb} ended with exit code {code}, but its report is of {report.verb}: {report.outcome.name}"
        )
    if report.outcome is Outcome.REFUSED:
        raise Terminal(report.reason, report.message, fix=run.fix)
    if report.outcome is Outcome.RETRY:
        after = report.facts.get("retryAfterSeconds")
        raise AsksAgain(
            f"builder {run.verb}: {report.message or report.reason}",
            retry_after=float(after) if isinstance(after, int | float) else None,
        )
    return report


async def _end(process: _Process) -> None:
    """End what is left of a run's group: all of it after a cancellation, strays after a normal end."""
    transport, child = process.transport, process.child
    group = transport.get_pid()
    try:
        if transport.get_returncode() is None:
            _signal_group(group, signal.SIGTERM)
            await _within_grace(child.exited)
    finally:
        _signal_group(group, signal.SIGKILL)
        os.close(process.leash)
    await _within_grace(child.drained)
    transport.close()


async def _within_grace(event: asyncio.Future[None]) -> None:
    await asyncio.wait([event], timeout=GRACE_SECONDS)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _ignore(line: str) -> None:
    del line
