"""How a command in a container ended, and what one can tell of a runtime that predates `/runtime`: the version in its metadata."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from controller.model.errors import Transient
from controller.model.running import RuntimeReport, RuntimeState

EXEC_SECONDS: Final = 15.0
"""How long a command may take that asks a workspace something."""
_NOT_IN_IMAGE: Final = frozenset({126, 127})
_METADATA_PROGRAM: Final = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command inside a container ended; 126 and 127 mean that it could not be run or was not found."""

    exit_code: int
    output: bytes
    """Standard output; standard error too when it failed."""


async def report_from_metadata(
    execute: Callable[[tuple[str, ...]], Awaitable[ExecResult]], package: str
) -> RuntimeReport:
    """Return what the metadata of `package` tell, asked of a Python in the container that `execute` runs commands in.

    Raises:
        Transient: no Python in it knows the package; also as `execute` does.
    """
    for python in ("python3", "python"):
        ran = await execute((python, "-c", _METADATA_PROGRAM, package))
        if ran.exit_code == 0:
            return RuntimeReport(package, ran.output.decode().strip(), None, RuntimeState.UNREPORTED)
        if ran.exit_code not in _NOT_IN_IMAGE:
            break
    raise Transient(f"no Python in it knows a version of {package}")
