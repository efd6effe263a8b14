#!/usr/bin/env python3
"""Write the build tree of the runtime package: the documented command of old, which calls `wsr build`.

It needs no virtual environment to be active, and no package of its own: it looks for `wsr` in this checkout's .venv, beside
the Python that runs it, and on PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Become `wsr build` with the same flags; exit 127 when there is no `wsr`, as shells do."""
    parser = argparse.ArgumentParser(
        description="Write the build tree of the runtime package; calls `wsr build`."
    )
    parser.add_argument("--version", required=True, help="the package's version, like 0.1.6")
    parser.add_argument("--out", required=True, help="where the tree goes; only its own output is replaced")
    parser.add_argument(
        "--source", default=str(ROOT / "workspace"), help="the source; default: this checkout's"
    )
    given = parser.parse_args()
    wsr = _wsr()
    if wsr is None:
        sys.stderr.write(
            f"wsr is not installed: it is not in {ROOT / '.venv' / 'bin'}, not beside {sys.executable} and not on PATH.\n"
            f"Run `make install` in {ROOT}, then this again.\n"
        )
        sys.exit(127)
    arguments = ["build", "--version", given.version, "--out", given.out, "--source", given.source]
    os.execv(wsr, [wsr, *arguments])  # noqa: S606 -- no shell is wanted: the arguments go as they came


def _wsr() -> str | None:
    folders = [ROOT / ".venv" / "bin", Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
    return shutil.which("wsr", path=path)


if __name__ == "__main__":
    main()
