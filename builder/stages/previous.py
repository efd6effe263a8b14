"""Finds the release before a wheel: the newest lower final version of which the index serves a wheel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version
from yarl import URL

from builder import index as simple
from builder.pipconf import Index
from builder.simple_index import open_index


async def fetch_previous(index: Index, project: str, version: Version, into: Path) -> Path | None:
    """Download the wheel of the newest final version below `version`; None when no index shows any.

    Yanked files count for nothing, pre-releases neither: nobody gets one who did not ask for it.

    Raises:
        Refused: CredentialsRejected, IndexRefused.
        TryAgain: IndexUnavailable; what cannot be read is no first release.
    """
    best: tuple[Version, str, simple.IndexFile] | None = None
    for url in (index.url, *index.extra_urls):
        async with _open(index, url) as opened:
            files = await opened.files(project)
        for file in files:
            found = _version(file)
            if found and found < version and not found.is_prerelease and (best is None or found > best[0]):
                best = found, url, file
    if best is None:
        return None
    _, url, file = best
    path = into / file.filename
    async with _open(index, url) as opened:
        path.write_bytes(await opened.fetch(file))
    return path


async def check_reachable(index: Index, projects: Sequence[str]) -> None:
    """Ask for the pages of projects, to tell an index that is down from one that lacks something.

    Raises:
        Refused, TryAgain: as `fetch_previous`.
    """
    for project in projects:
        for url in (index.url, *index.extra_urls):
            async with _open(index, url) as opened:
                await opened.files(project)


@asynccontextmanager
async def _open(index: Index, url: str) -> AsyncIterator[simple.Index]:
    """Open one of pip's indexes, whose URL may hold the credentials for it."""
    address = URL(url)
    credentials = simple.Credentials(address.user, address.password or "") if address.user else None
    async with open_index(str(address.with_user(None)), credentials=credentials, ca=index.ca_file) as opened:
        yield opened


def _version(file: simple.IndexFile) -> Version | None:
    """Return the version of a wheel that may be taken; None for anything else that an index shows."""
    if file.yanked or not file.filename.endswith(".whl"):
        return None
    try:
        return parse_wheel_filename(file.filename)[1]
    except InvalidWheelFilename:
        return None
