"""What the engine asks of a package index, in our error taxonomy; the reading itself is `builder.index`'s."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from builder import index as simple
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.errors import Terminal, Transient
from controller.model.package import IndexFile, Release, ServedPackage
from controller.secret_files import BasicCredentials
from controller.settings import INDEX_CA, INDEX_CREDENTIALS, Settings

T = TypeVar("T")

_SDIST_SUFFIXES: Final = (".tar.gz", ".zip")


class PackageIndex:
    """One simple index, as `async with PackageIndex(url) as index`."""

    def __init__(
        self,
        simple_url: str,
        *,
        credentials: Callable[[], BasicCredentials | None] = lambda: None,
        ca_file: Path | None = None,
    ) -> None:
        """`credentials` gives what the index's own origin alone gets; `ca_file` holds the PEM certificates to trust.

        Raises:
            Terminal: what `credentials` does: it is asked now, and again when the index refuses what it gave before.
        """
        self._url = simple_url
        self._credentials = credentials
        self._given = credentials()
        self._ca_file = ca_file
        self._open = AsyncExitStack()
        self._index: simple.Index

    async def __aenter__(self) -> Self:
        with _translated():
            index = simple.Index(self._url, credentials=_shown(self._given), ca_file=self._ca_file)
            self._index = await self._open.enter_async_context(index)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def served(self, package: str) -> ServedPackage:
        """Return all that the index serves for a package: nothing when it answers 404 for it.

        Files whose name is not that of a wheel or an sdist of this package are left out.

        Raises:
            Transient: the index cannot be reached, breaks off, or answers 429 or 5xx.
            Terminal: it refuses access, or what it answers is no index page.
        """
        files = await self._asked(lambda: self._index.files(package))
        releases: dict[str, list[IndexFile]] = {}
        for file in files:
            version = _version(package, file.filename)
            if version is not None:
                known = IndexFile(file.filename, file.url, file.sha256, file.requires_python, file.yanked)
                releases.setdefault(version, []).append(known)
        return ServedPackage(package, {v: Release(v, tuple(found)) for v, found in releases.items()})

    async def release(self, package: str, version: str) -> Release | None:
        """Return what the index serves for one version (normalised), or None; raises as `served` does."""
        return (await self.served(package)).releases.get(version)

    async def download(self, file: IndexFile) -> bytes:
        """Return a file's bytes, which have the SHA-256 that the index names.

        Raises:
            Transient, Terminal: as `served`; also Terminal IndexCorrupt for other bytes, IndexUnverifiable
                when the index names no SHA-256.
        """
        if file.sha256 is None:
            raise Terminal(
                "IndexUnverifiable",
                f"The index names no SHA-256 for {file.name}, so its bytes cannot be verified.",
                fix="Use an index that does (PEP 503, PEP 691), or raise the version to build it from source.",
            )
        listed = simple.IndexFile(file.name, file.url, file.sha256)
        return await self._asked(lambda: self._index.fetch(listed))

    async def _asked(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer; where it is refused, ask once more if the credentials were renewed meanwhile."""
        with _translated():
            try:
                return await question()
            except simple.Unauthorized:
                renewed = self._credentials()
                if renewed == self._given:
                    raise
                self._given = renewed
                self._index.show(_shown(renewed))
                return await question()


def _shown(credentials: BasicCredentials | None) -> simple.Credentials | None:
    return simple.Credentials(credentials.username, credentials.password) if credentials else None


def _version(package: str, filename: str) -> str | None:
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        elif filename.endswith(_SDIST_SUFFIXES):
            name, version = parse_sdist_filename(filename)
        else:
            return None
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return str(version) if name == canonicalize_name(package) else None


def index_client(document: WorkspaceRuntime, settings: Settings) -> PackageIndex:
    """Return the client of the document's index, not yet entered; raises Terminal for a Secret that cannot be used."""
    index = document.spec.package.index
    name = index.credentials_secret_name

    def credentials() -> BasicCredentials | None:
        return BasicCredentials.of_reader(settings.secret(name, field=INDEX_CREDENTIALS)) if name else None

    ca_file = settings.ca_file(index.ca_secret_name, field=INDEX_CA)
    return PackageIndex(index.simple_url, credentials=credentials, ca_file=ca_file)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except simple.Unavailable as error:
        raise Transient(str(error), retry_after=error.retry_after) from error
    except simple.Unauthorized as error:
        raise Terminal(
            "CredentialsMissing",
            str(error),
            fix="Name a Secret that may read this index in package.index.credentialsSecretName.",
        ) from error
    except simple.Corrupt as error:
        raise Terminal(
            "IndexCorrupt",
            str(error),
            fix="Find out who changed the file on the index; a version's bytes must never change.",
        ) from error
    except simple.IndexProblem as error:
        raise Terminal(
            "IndexRefused", str(error), fix="Check package.index.simpleURL and its caSecretName."
        ) from error
