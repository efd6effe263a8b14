"""Small faults that somebody could put into the planner, the status or the loop: each must fail the tests that hold it.

The faults stand in the tables beside this file. Each is put into a copy, never into this tree; one that no longer applies
is an error, as is one whose tests fail for another reason than an assertion of theirs: a copy that cannot be imported
proves nothing.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("builder", "controller", "tests", "pyproject.toml")
UNIT = "tests/unit"
"""Where all that the faults are held against stands: what other tests need is not imported."""
SECONDS = 120
"""A fault that has its tests run for longer would make people wait, and is none of the small ones."""


@dataclass(frozen=True)
class Mutation:
    """One fault: `before` stands once in `file` and is to become `after`; `tests` are paths of those that must see it."""

    what: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    def put_into(self, tree: Path) -> None:
        """Apply it to a copy of the tree."""
        path = tree / self.file
        text = path.read_text()
        found = text.count(self.before)
        assert found == 1, f"It stands {found} times in {self.file}, and must once:\n{self.before}"
        rewrite(path, text.replace(self.before, self.after))


def rewrite(path: Path, text: str) -> None:
    """Write a module, and drop its byte code: within a second and at the same size Python would not see the difference."""
    path.write_text(text)
    Path(cache_from_source(path)).unlink(missing_ok=True)


def listed() -> Iterator[Mutation]:
    """Yield every fault of the tables."""
    for table in sorted(Path(__file__).parent.glob("*.toml")):
        for group in tomllib.loads(table.read_text())["in"]:
            common: dict[str, Any] = {"file": group["file"], "tests": tuple(group["tests"])}
            yield from (Mutation(**fault, **common) for fault in group["fault"])


FAULTS = list(listed())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which all that the faults are held against passes."""
    copy = tmp_path_factory.mktemp("mutated") / "tree"
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    sound = run(copy, *sorted({test for fault in FAULTS for test in fault.tests}))
    assert sound.returncode == pytest.ExitCode.OK, sound.stdout + sound.stderr
    return copy


def run(tree: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests of the copy in a process of their own, up to the first that fails."""
    options = ["-q", "-x", "-m", "not long", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=line"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--confcutdir={UNIT}", *tests],
        cwd=tree,
        env={**environment, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_no_fault_stands_in_the_tables_twice() -> None:
    assert len({fault.what for fault in FAULTS}) == len(FAULTS)
    assert len({(fault.file, fault.before, fault.after) for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.what for fault in FAULTS])
def test_a_test_fails_when(tree: Path, fault: Mutation) -> None:
    path = tree / fault.file
    sound = path.read_text()
    fault.put_into(tree)
    try:
        done = run(tree, *fault.tests)
    finally:
        rewrite(path, sound)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
