"""`python -m builder VERB ...`: one run, whose last words are a report on stdout and the exit code that goes with it."""

from __future__ import annotations

import errno
import gc
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, NoReturn

from builder.contract import Outcome, Report
from builder.problems import Refused, TryAgain

VERBS: Final = {
    "cascade": "builder.verbs.cascade",
    "package": "builder.verbs.package",
    "promote": "builder.verbs.promote",
    "publish": "builder.verbs.publish",
    "verify": "builder.verbs.verify",
}
"""Where each verb lives: a module with `run(arguments) -> Report`, imported only when it is asked for."""
_DISK_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return the exit code of the process."""
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if verb in {"-h", "--help"}:
        sys.stderr.write(_usage())
        return Outcome.DONE
    leave_when_told()
    report = run(verb, rest)
    sys.stdout.write(report.to_line() + "\n")
    return report.outcome


def run(verb: str, arguments: Sequence[str]) -> Report:
    """Run one verb and return its report."""
    return reported(verb, lambda: importlib.import_module(_module_of(verb)).run(arguments))


def reported(verb: str, work: Callable[[], Report]) -> Report:
    """Return the report of some work of a verb; what it refuses, and a world that is not ready, make one, too."""
    try:
        return work()
    except Refused as refusal:
        for complaint in refusal.complaints:
            sys.stderr.write(complaint + "\n")
        return Report(verb, Outcome.REFUSED, refusal.reason, refusal.message)
    except TryAgain as problem:
        return _retry(verb, problem)
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        where = error.filename or "somewhere"
        return _retry(
            verb, TryAgain("DiskFull", f"No space is left to write {where}. Free some and run again.")
        )


def _module_of(verb: str) -> str:
    if verb not in VERBS:
        raise Refused("WrongUse", [f"There is no verb {verb!r}. {_usage()}".rstrip()])
    return VERBS[verb]


def _retry(verb: str, problem: TryAgain) -> Report:
    sys.stderr.write(problem.message + "\n")
    facts = {} if problem.retry_after is None else {"retryAfterSeconds": problem.retry_after}
    return Report(verb, Outcome.RETRY, problem.reason, problem.message, facts)


def _usage() -> str:
    return f"Usage: python -m builder VERB ...; verbs: {', '.join(VERBS)}; python -m builder VERB --help says more.\n"


def leave_when_told() -> None:
    """Let SIGTERM end this process as an exception does, so that temporary folders are removed."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    sys.exit(128 + number)


if __name__ == "__main__":
    gc.set_threshold(50_000)  # a run is short: looking for cycles as often as Python does took a tenth of it
    sys.exit(main(sys.argv[1:]))
