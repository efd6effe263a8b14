"""A copy of the runtime's source that is visibly another one for every release, and wheels of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from builder.contract import PackageRun
from tests.parts.ground import REPOSITORY
from tests.parts.small_wheel import SmallWheel

_CHANGED = "runtime.py"


class Releases:
    """Versions of one copied source, each with a number and content of its own."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._count = 0
        left_out = shutil.ignore_patterns("__pycache__", "tests", ".*")
        shutil.copytree(REPOSITORY / "workspace", source, ignore=left_out)

    def edit(self) -> str:
        """Change the source, and return the version that it becomes."""
        self._count += 1
        version = f"0.1.{self._count}"
        with (self.source / _CHANGED).open("a") as module:
            module.write(f"# release {version}\n")
        return version

    def wheel(self, folder: Path) -> SmallWheel:
        """Build the wheel of the next version into `folder`."""
        version = self.edit()
        given = PackageRun(source=self.source, version=version, out=folder / "tree", dist=folder / version)
        done = subprocess.run(
            [sys.executable, "-m", "builder", "package", *given.arguments()],
            capture_output=True, text=True, check=True, cwd=REPOSITORY,
        )  # fmt: skip
        facts = json.loads(done.stdout)["facts"]
        wheel = facts["wheel"]
        return SmallWheel(Path(wheel["file"]), version, wheel["sha256"], facts["contentSha256"])
