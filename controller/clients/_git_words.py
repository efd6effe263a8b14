"""What git's words about another host mean in our error taxonomy: what passes by itself, and what somebody must change."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from controller.api.conditions import Reason
from controller.model.errors import Problem, Terminal, Transient
from controller.model.redaction import redact


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, and with which keys of which Secret; `where` is where the document says so, `commit` what was wanted."""

    url: str
    where: str
    secret: str | None
    keys: frozenset[str]
    commit: str | None = None
    hidden: frozenset[str] = field(default=frozenset(), repr=False)
    """What may not stand in a message."""

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or self.url

    @property
    def over_ssh(self) -> bool:
        return self.url.startswith("ssh://")


def refusal(asked: Asked, said: str) -> Problem:
    """Return what it means that git failed with these words; what is not known is tried again."""
    for pattern, meaning in _MEANINGS:
        if pattern.search(said):
            return meaning(asked)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("fatal:", "error:"))), "git ended without a word")
    return Transient(f"{asked.url} cannot be read: {redact(told, asked.hidden).rstrip('.')}")


def _unknown_host(asked: Asked) -> Problem:
    return Transient(f"{asked.url} cannot be read: the host {asked.host} is not known")


def _refused(asked: Asked) -> Problem:
    name = f"{asked.where}.credentialsSecretName"
    keys = "ssh-privatekey and known_hosts" if asked.over_ssh else "token, or username and password"
    if asked.secret is None:
        return Terminal(
            Reason.CREDENTIALS_MISSING,
            f"{asked.url} is not for everybody, and {name} names no Secret.",
            fix=f"Name there a Secret with {keys}, that may read this repository.",
        )
    used = "ssh-privatekey" if asked.over_ssh else "token" if "token" in asked.keys else "password"
    return Terminal(
        Reason.CREDENTIALS_MISSING,
        f"{asked.url} refuses what Secret {asked.secret} has as {used}.",
        fix=f"Give {used} of Secret {asked.secret} ({name}) the right to read this repository"
        f"{'; a key with a password is never used' if asked.over_ssh else ''}.",
    )


def _absent(asked: Asked) -> Problem:
    return Terminal(
        Reason.SOURCE_NOT_FOUND,
        f"There is no repository {asked.url}, or it is kept from whoever may not read it.",
        fix=f"Correct {asked.where}.url, or name in credentialsSecretName beside it a Secret that may.",
    )


def _untrusted(asked: Asked) -> Problem:
    return Terminal(
        Reason.SOURCE_REFUSED,
        f"The certificate of {asked.host} is not trusted.",
        fix=f"Write the PEM certificate of the authority that signed it into ca.crt of the Secret that"
        f" {asked.where}.credentialsSecretName names.",
    )


def _unknown_key(asked: Asked) -> Problem:
    return Terminal(
        Reason.SOURCE_REFUSED,
        f"The key of {asked.host} is not the one in known_hosts of Secret {asked.secret}.",
        fix="Compare it with what the host's owner says, and write that line there, as ssh-keyscan prints it.",
    )


def _no_key(asked: Asked) -> Problem:
    return Terminal(
        Reason.SECRET_INCOMPLETE,
        f"ssh-privatekey of Secret {asked.secret} is no private key.",
        fix="Write there one in PEM or in OpenSSH's format, without a password.",
    )


def _malformed(asked: Asked) -> Problem:
    return Terminal(
        Reason.SOURCE_REFUSED,
        f"{asked.url} holds objects that git's own check refuses.",
        fix="Run `git fsck --full` in it, and have what that names committed anew.",
    )


def _gone(asked: Asked) -> Problem:
    commit = (asked.commit or "")[:7]
    return Transient(f"{asked.url} has no commit {commit} any more: what stood for it has moved on")


_MEANINGS: Final[tuple[tuple[re.Pattern[str], Callable[[Asked], Problem]], ...]] = (
    (re.compile(r"Could not resolve host|Name or service not known"), _unknown_host),
    (re.compile(r"Host key verification failed"), _unknown_key),
    (re.compile(r"Load key .*: (?:invalid format|error in libcrypto)"), _no_key),
    (re.compile(r"certificate|SSL: no alternative|CAfile", re.IGNORECASE), _untrusted),
    (
        re.compile(
            r"Authentication failed|could not read (?:Username|Password)|Permission denied \(|error: 40[13]\b"
        ),
        _refused,
    ),
    (
        re.compile(
            r"repository '.*' not found|Repository not found|error: 404\b|does not appear to be a git repository"
        ),
        _absent,
    ),
    (re.compile(r"fsck error"), _malformed),
    (re.compile(r"unadvertised object|not our ref|couldn't find remote ref"), _gone),
)
"""In the order in which they are asked: what ssh says of a key stands above what git says of the repository."""
