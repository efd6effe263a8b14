"""A bare repository with a clone, and `wsr release` run in the clone as a workflow would run it."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.parts.typed import Ended, typed


@dataclass
class Ground:
    """The repository that is released from; `folder` is the clone that is worked in."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    index: str = ""
    """The simple index that `tag` compares the tags with."""

    def __post_init__(self) -> None:
        (self.root / "home").mkdir()
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.remote), cwd=self.root)
        self.git("config", "http.receivepack", "true", cwd=self.remote)
        self.git("clone", "--quiet", str(self.remote), str(self.folder), cwd=self.root)
        self.git("switch", "--quiet", "--create", "main")

    @property
    def remote(self) -> Path:
        """The bare repository."""
        return self.root / "remote.git"

    @property
    def folder(self) -> Path:
        """The clone."""
        return self.root / "clone"

    @property
    def given(self) -> dict[str, str]:
        """The whole environment of what runs here: nothing of this machine's configuration of git."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "home"),
            "GIT_CONFIG_NOSYSTEM": "1",
            **self.environment,
        }

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run git in the clone, as somebody."""
        who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
        command = ["git", *who, *arguments]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "home"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        done = subprocess.run(
            command, cwd=cwd or self.folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, path: str, message: str) -> str:
        """Change a file in the clone, push it, and return the commit."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(message)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "origin", "HEAD")
        return self.git("rev-parse", "HEAD")

    def tagged(self, version: str, commit: str = "HEAD") -> None:
        """Put a release's annotated tag on the remote, and here."""
        self.git("tag", "--annotate", "--message", version, f"runtime-v{version}", commit)
        self.git("push", "--quiet", "origin", f"runtime-v{version}")

    def clone(self, name: str, *options: str) -> Path:
        """Another clone of the remote."""
        folder = self.root / name
        self.git("clone", "--quiet", *options, self.remote.as_uri(), str(folder), cwd=self.root)
        return folder

    def release(self, *arguments: str, cwd: Path | None = None) -> Ended:
        """`wsr release ARGUMENTS` in the clone."""
        return typed("release", *arguments, cwd=cwd or self.folder, environment=self.given)

    def tag(self, *arguments: str) -> Ended:
        """`wsr release tag` with the index named, and ARGUMENTS."""
        return self.release("tag", "--index", self.index, *arguments)
