"""What a run shows to registries: a docker configuration, or the one user name and password of a Secret's folder."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from builder.oci import Credentials, DockerConfig, NoCredentials, PasswordFiles


@dataclass(frozen=True, slots=True)
class Login:
    """A docker configuration file, or a folder as `PasswordFiles` reads it, whose password is for `hosts` alone."""

    path: Path
    hosts: tuple[str, ...] = ()

    def credentials(self) -> Credentials:
        """Return what a client of registries asks."""
        return PasswordFiles(self.path, self.hosts) if self.path.is_dir() else DockerConfig(self.path)

    def put_into(self, folder: Path) -> None:
        """Make `folder` one that a docker command takes its configuration from; raises Unauthorized for an incomplete one."""
        folder.mkdir(mode=0o700)
        config = folder / "config.json"
        if not self.path.is_dir():
            config.symlink_to(self.path.resolve())
            return
        pair = PasswordFiles(self.path, self.hosts).read()
        auth = base64.b64encode(f"{pair.username}:{pair.password}".encode()).decode()
        config.write_text(json.dumps({"auths": {host: {"auth": auth} for host in self.hosts}}))


def credentials_of(login: Login | None) -> Credentials:
    """Return what a client of registries asks; anonymous without a login."""
    return login.credentials() if login else NoCredentials()
