"""Who we are to a repository: what of the Secret that the document names for it is shown to its host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Build, Git, Source
from controller.clients._git_process import TOKEN_USER
from controller.model.errors import Terminal
from controller.secret_files import BasicCredentials, content_of
from controller.settings import Settings

_SSH_KEYS: Final = {
    "ssh-privatekey": "a private key without a password",
    "known_hosts": "the host's line, as ssh-keyscan prints it, once you have compared it",
}


@dataclass(frozen=True, slots=True)
class Access:
    """The files of a Secret by key (none: anybody), and where the document names it."""

    where: str
    """As `spec.source.git`."""
    secret: str | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    user: str = ""
    token: str | None = field(default=None, repr=False)


def access_to(at: Source | Build, git: Git, settings: Settings) -> Access:
    """Return what is shown to the host of `git`, the repository of `at`; Secrets are read anew each time.

    Raises:
        Terminal: SecretIncomplete, naming what to write; and as `Settings.secret`.
    """
    where = "spec.source.git" if isinstance(at, Source) else "templates[].build.git"
    name = git.credentials_secret_name
    if name is None:
        return Access(where)
    files = settings.secret(name, field=f"{where}.credentialsSecretName")
    if git.url.startswith("ssh://"):
        for key, what in _SSH_KEYS.items():
            if key not in files:
                raise Terminal(
                    Reason.SECRET_INCOMPLETE,
                    f"{where}.credentialsSecretName names Secret {name}, which has no {key}.",
                    fix=f"Write there {what}.",
                )
        return Access(where, name, files)
    if "token" in files:
        user = content_of(files["username"]) if "username" in files else TOKEN_USER
        return Access(where, name, files, user, content_of(files["token"]))
    if files.keys() == {"ca.crt"}:
        return Access(where, name, files)
    given = BasicCredentials.from_files(files)
    return Access(where, name, files, given.username, given.password)
