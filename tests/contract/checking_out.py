"""What tests of checkouts work with: a repository behind a server, Secrets, and an object's checkouts of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.api.v1alpha1 import Source
from controller.clients.checkouts import Checkout, Checkouts
from controller.model.errors import Problem
from controller.settings import Settings
from tests.parts.git_repository import GitRepository

FILES = {"workspace/main.py": "print('one')\n", "workspace/run.sh": "#!/bin/sh\n", "README.md": "ours\n"}


@dataclass
class Ground:
    """One object's state folder, its Secrets, and the repository `core` of the folder that servers serve."""

    folder: Path
    _open: list[Checkouts] = field(default_factory=list)

    @property
    def served(self) -> Path:
        """What servers serve."""
        return self.folder / "served"

    @property
    def repository(self) -> GitRepository:
        """The repository that is read."""
        self.served.mkdir(exist_ok=True)
        return GitRepository(self.served / "core.git")

    @property
    def cache(self) -> Path:
        """Where checkouts are kept."""
        return self.folder / "state" / "checkouts"

    def secret(self, name: str, **keys: str) -> None:
        """Write a Secret's folder; a key's `_` stands for `.` and `-` where those are meant."""
        for key, value in keys.items():
            file = self.folder / "secrets" / name / _KEYS.get(key, key)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.touch(mode=0o600)
            file.write_text(value)

    def checkouts(self, environment: dict[str, str] | None = None) -> Checkouts:
        """Return checkouts as another process would have them."""
        settings = Settings.from_environment(
            {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **(environment or {})},
            secrets_dir=self.folder / "secrets",
            state_dir=self.folder / "state",
        )
        self._open.append(Checkouts(self.folder, self.cache, settings))
        return self._open[-1]

    async def close(self) -> None:
        """End what is under way."""
        for checkouts in self._open:
            await checkouts.aclose()

    def kept(self) -> list[Path]:
        """What is in the cache, whole or not."""
        return sorted(self.cache.iterdir()) if self.cache.is_dir() else []


_KEYS = {"ca_crt": "ca.crt", "ssh_privatekey": "ssh-privatekey"}


@asynccontextmanager
async def ground_in(folder: Path) -> AsyncIterator[Ground]:
    """Give a ground whose checkouts are closed at the end of the block."""
    ground = Ground(folder)
    try:
        yield ground
    finally:
        await ground.close()


def source(url: str, **git: str | bool) -> Source:
    """The part of a document that says where the source is."""
    return Source.model_validate({"git": {"url": url, **git}})


async def refused(checkouts: Checkouts, at: Source, version: str = "0.1.0") -> Problem:
    """Return why the source cannot be read."""
    with pytest.raises(Problem) as caught:
        await checkouts.look(at, version)
    return caught.value


def read(found: Checkout) -> dict[str, str]:
    """Return the files of a checkout by their paths."""
    files = (each for each in sorted(found.folder.rglob("*")) if each.is_file())
    return {each.relative_to(found.folder).as_posix(): each.read_text() for each in files}
