"""The hand-made chain that the product replaces, as an honest person scripts it: the baseline of `chain`.

Isolated build, smoke test in a fresh environment, upload, eight image builds that install everything in one RUN, push,
pull, then `rm -f` and `run` for every container until each reports the version. It waits for nothing that it need not
wait for, does side by side what the machine gains from, and keeps every cache but the one that the version changes.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.demo.client import Workspace
from tests.e2e.desk import PACKAGE
from tests.e2e.fleet import version_of
from tests.e2e.wsr import WSR
from tests.parts.ground import need
from tests.parts.index import Index

T = TypeVar("T")
RECREATED_AT_ONCE = 4
_LOOK_EVERY_SECONDS = 0.05
_READY_SECONDS = 60.0
_SMOKE = "import molecule_runtime.main as main; assert callable(main.main_sync)"


@dataclass
class Predecessor:
    """The script and what it works on. `steps` are the seconds of each step of the last run."""

    folder: Path
    engine: str
    base_image: str
    source: Path
    templates: Path
    index: Index
    repositories: Mapping[str, str]
    """Image repository by template."""
    workspaces: Sequence[Workspace]
    steps: dict[str, float] = field(default_factory=dict)

    def release(self, version: str, *, builds_at_once: int) -> float:
        """Run the script; return the seconds until every workspace reports the version."""
        begun = time.monotonic()
        self.steps = {}
        self._step("build", lambda: self._build(version))
        self._step("smoke", self._smoke)
        self._step("upload", self._upload)
        self._step("images", lambda: self.build_images(version, builds_at_once=builds_at_once))
        self._step("pull", self._pull)
        self._step("recreate", self._recreate)
        self._step("wait", lambda: self._wait(version))
        return time.monotonic() - begun

    def build_images(self, version: str, *, builds_at_once: int, push: bool = True) -> None:
        """Build and push the image of every template."""
        _at_once(
            builds_at_once, lambda template: self._image(template, version, push=push), self.repositories
        )

    def forget(self, version: str) -> None:
        """Remove the images of a version that nothing runs any more: disk, not time, is what they cost."""
        for repository in self.repositories.values():
            self._docker("rmi", f"{repository}:{version}")

    def _step(self, name: str, work: Callable[[], None]) -> None:
        begun = time.monotonic()
        work()
        self.steps[name] = round(time.monotonic() - begun, 2)

    def _build(self, version: str) -> None:
        tree = self.folder / "tree"
        shutil.rmtree(self.folder / "dist", ignore_errors=True)
        _run([str(WSR), "build", "--version", version, "--source", str(self.source), "--out", str(tree)])
        self._python(sys.executable, "-m", "build", str(tree), "--outdir", str(self.folder / "dist"))

    def _smoke(self) -> None:
        place = self.folder / "smoke"
        shutil.rmtree(place, ignore_errors=True)
        self._python(sys.executable, "-m", "venv", str(place))
        python = str(place / "bin" / "python")
        wheel = next((self.folder / "dist").glob("*.whl"))
        self._python(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
        self._python(python, "-c", _SMOKE)

    def _upload(self) -> None:
        files = [str(file) for file in (self.folder / "dist").iterdir()]
        command = [sys.executable, "-m", "twine", "upload", "--disable-progress-bar", "--non-interactive"]
        environment = {"TWINE_USERNAME": self.index.username, "TWINE_PASSWORD": self.index.password}
        _run([*command, "--repository-url", self.index.upload_url, *files], environment)

    def _image(self, template: str, version: str, *, push: bool) -> None:
        repository = self.repositories[template]
        values = {
            "BASE_IMAGE": self.base_image,
            "RUNTIME_VERSION": version,
            "PIP_INDEX_URL": self.index.simple_url,
            "PIP_TRUSTED_HOST": self.index.host,
        }
        options = [word for name, value in values.items() for word in ("--build-arg", f"{name}={value}")]
        tags = (f"{repository}:{version}", f"{repository}:latest")
        options += [word for tag in tags for word in ("--tag", tag)]
        self._docker("build", "--quiet", *options, str(self.templates / template))
        for tag in tags if push else ():
            self._docker("push", "--quiet", tag)

    def _pull(self) -> None:
        _at_once(RECREATED_AT_ONCE, lambda name: self._docker("pull", "--quiet", f"{self.repositories[name]}:latest"), self.repositories)  # fmt: skip

    def _recreate(self) -> None:
        _at_once(RECREATED_AT_ONCE, self._recreate_one, self.workspaces)

    def _recreate_one(self, workspace: Workspace) -> None:
        self._docker("rm", "--force", workspace.name)
        image = f"{self.repositories[workspace.template]}:latest"
        self._docker("run", "--detach", *_options(workspace), image)

    def _wait(self, version: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        waiting = list(self.workspaces)
        while waiting := [workspace for workspace in waiting if version_of(workspace) != version]:
            names = ", ".join(workspace.name for workspace in waiting)
            assert time.monotonic() < deadline, f"{names} never reported {PACKAGE} {version}"
            time.sleep(_LOOK_EVERY_SECONDS)

    def _docker(self, *arguments: str) -> None:
        docker = need("docker", package="docker.io")
        _run([docker, "--host", self.engine, *arguments], {"DOCKER_BUILDKIT": "0"})

    def _python(self, *command: str) -> None:
        index = {"PIP_INDEX_URL": self.index.simple_url, "PIP_TRUSTED_HOST": self.index.host}
        _run(list(command), index)


def _options(workspace: Workspace) -> list[str]:
    """The same as `tests.e2e.fleet` creates ours with."""
    name = workspace.name
    return [
        "--name", name,
        "--env", f"WORKSPACE_ID={name}",
        "--env", "TIER=2",
        "--publish", f"127.0.0.1:{workspace.port}:8000",
        "--volume", f"{name}-configs:/configs",
        "--volume", f"{name}-workspace:/workspace",
        "--restart", "unless-stopped",
        "--memory", "256m",
    ]  # fmt: skip


def _at_once(number: int, work: Callable[[T], None], over: Iterable[T]) -> None:
    with ThreadPoolExecutor(number) as pool:
        list(pool.map(work, over))


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    assert done.returncode == 0, (
        f"{command[:6]} … ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    )
