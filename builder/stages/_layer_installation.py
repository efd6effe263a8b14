"""A distribution that is installed in an image, read from the image's layers."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import PurePosixPath
from typing import Any

from packaging.utils import canonicalize_name

from builder.inventory import Installed
from builder.stages._layer_tree import FILE, Tree


class Installation(Distribution):
    """A distribution whose metadata lies in a layer."""

    def __init__(self, tree: Tree, site: str, folder: str) -> None:
        self._tree = tree
        self._folder = f"{site}/{folder}"
        self.site = site

    def read_text(self, filename: str) -> str | None:
        """Return a metadata file; an empty name is the file that takes a folder's place in old formats."""
        facts = self._tree.find(f"{self._folder}/{filename}" if filename else self._folder)
        return facts.content.decode(errors="replace") if facts and facts.kind == FILE else None

    def locate_file(self, path: Any) -> Any:  # noqa: ANN401 -- the base class's signature
        """Return where a file of it lies."""
        return PurePosixPath(self.site) / path

    def record(self) -> list[list[str]]:
        """Return the lines of RECORD: path, hash and size; none in old formats."""
        return [line for line in csv.reader((self.read_text("RECORD") or "").splitlines()) if line]


def installed_of(everything: Iterable[Installation]) -> dict[str, Installed]:
    installed: dict[str, Installed] = {}
    for found in everything:
        requires = tuple(found.requires or ())
        installed.setdefault(canonicalize_name(found.name), Installed(found.version, requires))
    return installed


def content_sha256(found: Installation) -> str:
    """Return the digest of the import package's files, as the project defines `contentSha256`, from their own record.

    Empty when the record leaves out a file's hash.
    """
    lines = []
    for path, digest, *_ in found.record():
        top, nested, _ = path.partition("/")
        if nested and top != ".." and not top.endswith(".dist-info") and not path.endswith(".pyc"):
            kind, _, encoded = digest.partition("=")
            if kind != "sha256":
                return ""
            lines.append((path, base64.urlsafe_b64decode(encoded + "=").hex()))
    text = "".join(f"{digest} {path}\n" for path, digest in sorted(lines))
    return hashlib.sha256(text.encode()).hexdigest()
