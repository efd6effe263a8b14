"""Names of images and artifacts as people write them, split into registry host, repository, tag and digest."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Self

DOCKER_HUB: Final = "docker.io"

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """One repository of one registry and, if set, a tag and a digest in it (the digest wins)."""

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[HOST/]NAME[:TAG][@DIGEST]`; without a host it is Docker Hub, as for the docker command.

        Raises:
            ValueError: the text is not such a name; the message says which part is wrong.
        """
        rest, at, digest = text.partition("@")
        if at and not _DIGEST.fullmatch(digest):
            raise ValueError(f"{text!r} is not an image name: {digest!r} is not sha256: and 64 hex digits")
        head, slash, tail = rest.rpartition("/")
        tail, colon, tag = tail.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise ValueError(
                f"{text!r} is not an image name: a tag has only letters, digits, '_', '.' and '-'"
            )
        name = head + slash + tail
        first, _, remaining = name.partition("/")
        named_host = remaining and ("." in first or ":" in first or first == "localhost")
        host, repository = (first, remaining) if named_host else (DOCKER_HUB, name)
        if host == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        if not _NAME.fullmatch(repository) or not _HOST.fullmatch(host):
            raise ValueError(f"{text!r} is not an image name: expected [HOST/]name[:TAG][@sha256:DIGEST]")
        return cls(host, repository, tag or None, digest or None)

    @property
    def version(self) -> str:
        """Return what a manifest URL ends with: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    @property
    def name(self) -> str:
        """Return host and repository without tag and digest."""
        return f"{self.host}/{self.repository}"

    def at(self, version: str) -> Self:
        """Return the same repository at another tag, or at a digest (`sha256:…`)."""
        if _DIGEST.fullmatch(version):
            return replace(self, tag=None, digest=version)
        return replace(self, tag=version, digest=None)

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")
