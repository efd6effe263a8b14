"""`wsr` as users run it: a process, its lines as they come, its end, or its death in the middle."""

import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

WSR = Path(sys.executable).parent / "wsr"
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Ended:
    """How one call ended. `log` is what it wrote to stderr, `seconds` from start to end."""

    code: int
    out: str
    log: str
    seconds: float

    def lines(self, pattern: str) -> list[str]:
        """The lines of the log in which the regular expression is found."""
        return [line for line in self.log.splitlines() if re.search(pattern, line)]


@dataclass
class Running:
    """One call under way."""

    process: subprocess.Popen[str]
    out: IO[str]
    begun: float = field(default_factory=time.monotonic)
    _lines: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False

    @classmethod
    def start(
        cls,
        arguments: Sequence[str],
        *,
        log: Path,
        program: Sequence[str] = (str(WSR),),
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start `wsr`, or another program of ours, with these arguments.

        What it says is also added to `log`, for whoever looks into a failure. `environment` is all that it gets.
        """
        # A file, not a pipe that somebody would have to empty.
        out = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the call
        running = cls(
            subprocess.Popen(
                [*program, *arguments],
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                bufsize=1,
                env=environment,
            ),
            out,
        )
        threading.Thread(target=running._follow, args=(log,), daemon=True).start()
        return running

    def until(self, pattern: str, *, seconds: float = _PATIENCE_SECONDS) -> str:
        """Wait for a line in which the regular expression is found; an end without one fails the test."""
        found = re.compile(pattern)
        seen = 0
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                for line in self._lines[seen:]:
                    if found.search(line):
                        return line
                seen = len(self._lines)
                left = deadline - time.monotonic()
                text = "\n".join(self._lines)
                assert not self._closed, f"wsr ended without a line like {pattern!r}:\n{text}"
                assert left > 0, f"no line like {pattern!r} in {seconds:g} s:\n{text}"
                self._news.wait(left)

    def has_said(self, pattern: str) -> bool:
        """Whether a line so far has the regular expression in it."""
        return any(re.search(pattern, line) for line in list(self._lines))

    def said(self) -> list[str]:
        """The lines so far."""
        return list(self._lines)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def interrupt(self) -> "Ended":
        """Ask it to end, as a service manager does."""
        self.process.terminate()
        return self.end()

    def end(self) -> Ended:
        """Wait for its end; one that does not end fails the test with its words."""
        try:
            code = self.process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            text = "\n".join(self._lines)
            raise AssertionError(f"wsr did not end in {_PATIENCE_SECONDS:g} s:\n{text}") from None
        with self._news:
            self._news.wait_for(lambda: self._closed, 5)
        seconds = time.monotonic() - self.begun
        self.out.seek(0)
        return Ended(code, self.out.read(), "\n".join(self._lines), seconds)

    def _follow(self, log: Path) -> None:
        with log.open("a", buffering=1) as copy:
            for line in self.process.stderr or ():
                copy.write(line)
                with self._news:
                    self._lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._closed = True
            self._news.notify_all()


@contextmanager
def watching(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Callable[[str], str]]:
    """`wsr` that goes on printing until the block ends, when somebody presses Ctrl-C; gives what waits for a line of it."""
    # Whoever runs tests in the background has them ignore Ctrl-C, and all that they start.
    command = ["env", "--default-signal=INT", str(WSR), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        hung = threading.Timer(_PATIENCE_SECONDS, process.kill)
        hung.start()

        def until(pattern: str) -> str:
            for line in process.stdout or ():
                if re.search(pattern, line):
                    return line
            raise AssertionError(f"wsr ended without a line like {pattern!r}")

        try:
            yield until
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
            hung.cancel()
    assert process.returncode == 0
