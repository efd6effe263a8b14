"""Fixtures around live workspaces."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

from live_workspace import INSTALLED, MODULES, PACKAGE, SOURCE, Launcher, Workspace, command

# Last on the path: no module of the runtime may stand in for another one of its name.
sys.path.append(MODULES)


SERVED = "name: tester\ndescription: Tests things\nskills: [greeting]\na2a: {max_body_bytes: 65536}\n"
SKILL = "---\nname: Greeting\ndescription: Says hello\ntags: [social]\n---\nSay hello.\n"


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    with Launcher(tmp_path) as launcher:
        yield launcher


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One workspace for every test that leaves it as it was."""
    with Launcher(tmp_path_factory.mktemp("served")) as launcher:
        folder = launcher.root / "w0"
        skill = folder / "configs" / "skills" / "greeting"
        skill.mkdir(parents=True)
        (skill / "SKILL.md").write_text(SKILL)
        yield launcher(config=SERVED)


@pytest.fixture(scope="session")
def load() -> Callable[[str], ModuleType]:
    """Import a module of the runtime by its bare name."""
    return lambda name: importlib.import_module(f"{PACKAGE}{name}")


@pytest.fixture(scope="session")
def run_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `molecule-runtime` with arguments in an environment."""

    def run(*arguments: str, environ: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command(), *arguments],
            env=environ,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def package_folder() -> Path:
    """Return the folder whose files make up the runtime under test."""
    return Path(MODULES) / "molecule_runtime" if INSTALLED else SOURCE


@pytest.fixture(scope="session")
def installed() -> bool:
    return INSTALLED is not None


@pytest.fixture
def read_snapshot() -> Callable[[Workspace], dict[str, Any]]:
    def read(workspace: Workspace) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(
            (workspace.folder / "configs" / "runtime-snapshot.json").read_text()
        )
        return document

    return read
