"""`wsr` as somebody types it, but in this process: forty starts of another would take a minute."""

import contextlib
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from controller.cli.main import main


class Ended(NamedTuple):
    """How a command ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


def typed(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Run `wsr` to its end in a folder; `environment` is all that it gets, if not this process's."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environment or {}, clear=environment is not None),
        mock.patch.object(sys, "argv", ["wsr", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())
