"""Runs a program of ours in a process whose clock is wrong: python -m tests.parts.skewed_clock SECONDS MODULE [ARGUMENT]…

What it asks for the time of day is that much later than it is; what it measures spans with is as it was.
"""

import importlib
import sys
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

_PACKAGES = ("controller", "builder", "kopf")


class _Skewed:
    """Stands where a module has the class `datetime`; only its `now` is another."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + self._by

    def utcnow(self) -> datetime:
        return datetime.now(UTC).replace(tzinfo=None) + self._by

    def __call__(self, *arguments: Any, **more: Any) -> datetime:  # noqa: ANN401 -- those of datetime
        return datetime(*arguments, **more)  # noqa: DTZ001 -- whoever calls says

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever datetime has
        return getattr(datetime, name)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, datetime)


def main(seconds: str, module: str, *arguments: str) -> object:
    """Import the module, put the clock wrong, and call its `main`."""
    program = importlib.import_module(module)
    skewed, true = _Skewed(timedelta(seconds=float(seconds))), time.time
    time.time = lambda: true() + float(seconds)
    for name, loaded in list(sys.modules.items()):
        if name.partition(".")[0] in _PACKAGES and getattr(loaded, "datetime", None) is datetime:
            loaded.datetime = skewed  # type: ignore[attr-defined]  # it was imported there
    return program.main(arguments, standalone_mode=False)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))  # type: ignore[arg-type]  # as its own entry does
