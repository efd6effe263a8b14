"""Turns what the document says of a source into a folder and a commit.

A folder of this machine is taken as it is, one of a repository at the commit that its ref stands for: fetched once, and
kept as long as it is used. A checkout is never changed: it appears whole under its name, is proven by git's own hashes each time it is used, and goes
when nobody has used it for hours. So whoever is killed leaves nothing wrong, and several processes may share a folder.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Build, Git, Source
from controller.clients._git_access import access_to
from controller.clients._git_remote import Remote
from controller.clients._git_tree import named_tree, tree_id
from controller.clients.git import commit_of
from controller.model.errors import Problem, Terminal, Transient, Waiting
from controller.settings import Settings

REFS_SECONDS: Final = 60.0
"""How long it is taken for true what the refs of a repository stand for, unless somebody says that they have moved."""
ABSENT_SECONDS: Final = 10.0
"""The same of a ref that is not there."""
FAILED_SECONDS: Final = 4.0
"""How long a repository that could not be asked is not asked again: all sources of one pass share the answer."""
PATIENCE_SECONDS: Final = 20.0
"""How long a reading waits for a fetch, which goes on after it."""
UNUSED_SECONDS: Final = 2 * 3_600.0
"""After this time a checkout is no longer needed: longer than any run that may be reading it."""
_NEW: Final = ".new-"
_GONE: Final = ".gone-"
_AT_ONCE: Final = 4
"""Repositories that are asked at the same time, and as many that are fetched: a fetch may take minutes."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder to build from. `name` is what people call it; `commit` is None for a folder of this machine."""

    folder: Path
    name: str
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a repository said of its refs, and when (monotonic seconds)."""

    asked: float
    refs: Mapping[str, str] | Problem


@dataclass(slots=True)
class _Fetch:
    """One commit under way: which paths of it are wanted, and the task whose result says what became of each."""

    paths: set[str]
    task: asyncio.Task[Mapping[str, Problem | None]] | None = None


@dataclass(slots=True)
class Checkouts:
    """The sources of one object: `base` is where relative paths start, `folder` where checkouts are kept."""

    base: Path
    folder: Path
    settings: Settings
    _listings: dict[tuple[str, str | None, str], _Listing] = field(default_factory=dict)
    _locks: dict[tuple[str, str | None, str], asyncio.Lock] = field(default_factory=dict)
    _fetches: dict[tuple[str, str], _Fetch] = field(default_factory=dict)
    _last: dict[tuple[Git, str], Checkout] = field(default_factory=dict)
    _listing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _fetching: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def look_anew(self) -> None:
        """Ask repositories again, however recently they were asked: somebody says that they have changed."""
        self._listings.clear()

    async def aclose(self) -> None:
        """End what is under way; the next one begins anew."""
        tasks = [fetch.task for fetch in self._fetches.values() if fetch.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self, at: Source | Build, version: str) -> Checkout:
        """Return the folder of a source or template for a version of the runtime, as it is now.

        Raises:
            Waiting: SourceNotFound: the ref is not there yet; without a reason: the fetch is not through yet.
            Transient: the repository does not answer as it should.
            Terminal: CredentialsMissing, SourceNotFound (no such repository), SourceRefused, or a Secret's.
        """
        git = at.git
        if git is None:
            folder = self.base / at.directory
            return Checkout(folder, str(folder))
        remote = Remote(git.url, access_to(at, git, self.settings), self.settings.child_environment)
        commit, name = await self._resolved(remote, git, git.ref_of(version))
        found = await self._kept(git, commit) or await self._fetched(remote, git, commit, name)
        self._last[git, version] = found
        return found

    async def used(self, at: Source | Build, version: str) -> Checkout:
        """Return what `look` returned last, for what follows from that; raises as `look`."""
        last = self._last.get((at.git, version)) if at.git is not None else None
        return last if last is not None and last.folder.is_dir() else await self.look(at, version)

    async def commit(self, at: Source | Build, version: str) -> str | None:
        """Return the commit of `used`; None for a folder in no git work tree, or with changes; raises as `look`."""
        found = await self.used(at, version)
        return await commit_of(found.folder) if at.git is None else found.commit

    async def _resolved(self, remote: Remote, git: Git, ref: str) -> tuple[str, str | None]:
        """Return the commit that a ref stands for, and the ref's full name, which a commit itself has not."""
        if _COMMIT.fullmatch(ref):
            return ref, None
        whole = ref.startswith("refs/") or ref == "HEAD"
        other = ref if whole and not ref.startswith(("refs/heads/", "refs/tags/")) else ""
        names = (ref,) if whole else (f"refs/tags/{ref}", f"refs/heads/{ref}")
        refs = await self._refs(remote, git.credentials_secret_name, other, names)
        found = [name for name in names if name in refs]
        field_ = remote.access.where
        if not found:
            raise Waiting(
                f"{ref} in {git.url}, which has no such branch or tag. Push it, or correct {field_}.ref.",
                retry_after=ABSENT_SECONDS,
                reason=Reason.SOURCE_NOT_FOUND,
            )
        if len(found) > 1 and refs[found[0]] != refs[found[1]]:
            raise Terminal(
                Reason.SOURCE_REFUSED,
                f"{git.url} has a branch and a tag {ref}, at different commits.",
                fix=f"Write in {field_}.ref which is meant: refs/heads/{ref} or refs/tags/{ref}.",
            )
        if _COMMIT.fullmatch(refs[found[0]]) is None:
            raise Terminal(
                Reason.SOURCE_REFUSED,
                f"{git.url} names its objects by SHA-256, which is not taken.",
                fix="Have a copy of it that names them by SHA-1.",
            )
        return refs[found[0]], found[0]

    async def _refs(
        self, remote: Remote, secret: str | None, other: str, names: tuple[str, ...]
    ) -> Mapping[str, str]:
        """Return what a repository says of its refs, asked as seldom as `names` allow."""
        key = (remote.url, secret, other)
        async with self._locks.setdefault(key, asyncio.Lock()):
            listing = self._listings.get(key)
            if listing is None or not _is_fresh(listing, names):
                # The time of the question: what changes while it is answered is asked for the next time.
                asked = time.monotonic()
                told: Mapping[str, str] | Problem
                try:
                    async with self._listing:
                        told = await remote.refs(other)
                except Problem as problem:
                    told = problem
                listing = self._listings[key] = _Listing(asked, told)
        if isinstance(listing.refs, Problem):
            raise listing.refs
        return listing.refs

    async def _kept(self, git: Git, commit: str) -> Checkout | None:
        """Return a checkout that is here already, if it still holds what the commit does."""
        place = self._place(git.url, commit, git.path)
        if not place.is_dir():
            return None
        if not await asyncio.to_thread(_is_proven, place, git.path, commit):
            await asyncio.to_thread(_remove, place)
            return None
        with contextlib.suppress(OSError):
            os.utime(place)
        return _checkout(place, git, commit)

    async def _fetched(self, remote: Remote, git: Git, commit: str, name: str | None) -> Checkout:
        key = (git.url, commit)
        while True:
            fetch = self._fetches.setdefault(key, _Fetch(set()))
            fetch.paths.add(git.path)
            if fetch.task is None:
                fetch.task = asyncio.create_task(self._fetch(remote, commit, name, fetch))
                fetch.task.add_done_callback(lambda _: self._fetches.pop(key, None))
            await asyncio.wait([fetch.task], timeout=PATIENCE_SECONDS)
            if not fetch.task.done():
                raise Waiting(f"{git.url} at {commit[:7]} to be fetched", retry_after=1.0)
            results = fetch.task.result()
            if git.path in results:
                break
            # It was asked for when all the others had been written already.
            await asyncio.sleep(0)
        problem = results[git.path]
        if problem is not None:
            raise problem
        return _checkout(self._place(git.url, commit, git.path), git, commit)

    async def _fetch(
        self, remote: Remote, commit: str, name: str | None, fetch: _Fetch
    ) -> Mapping[str, Problem | None]:
        """Fetch a commit and write each path that is wanted by then; return what keeps each from being there."""
        results: dict[str, Problem | None] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=_NEW, dir=self.folder))
            try:
                async with self._fetching:
                    await remote.fetch(commit, name, aside / "repository")
                while left := fetch.paths - results.keys():
                    for path in left:
                        results[path] = await self._write(remote, aside, commit, path)
            finally:
                await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
            await asyncio.to_thread(_tidy, self.folder)
        except Problem as problem:
            return dict.fromkeys(fetch.paths, problem)
        except OSError as error:
            unwritten = Transient(f"{self.folder} cannot be written: {error.strerror}")
            return dict.fromkeys(fetch.paths, unwritten)
        return results

    async def _write(self, remote: Remote, aside: Path, commit: str, path: str) -> Problem | None:
        place = self._place(remote.url, commit, path)
        made = aside / place.name
        try:
            await remote.write(aside / "repository", commit, path, made)
        except Problem as problem:
            return problem
        try:
            made.rename(place)
        except OSError:
            # Another process has made the same meanwhile.
            if not place.is_dir():
                raise
        return None

    def _place(self, url: str, commit: str, path: str) -> Path:
        return self.folder / hashlib.sha256(json.dumps([url, commit, path]).encode()).hexdigest()[:32]


def _is_fresh(listing: _Listing, names: tuple[str, ...]) -> bool:
    age = time.monotonic() - listing.asked
    if isinstance(listing.refs, Problem):
        return age < FAILED_SECONDS
    return age < (REFS_SECONDS if any(name in listing.refs for name in names) else ABSENT_SECONDS)


def _checkout(place: Path, git: Git, commit: str) -> Checkout:
    inside = "" if git.path == "." else f"{git.path} of "
    return Checkout(place / "tree", f"{inside}{git.url} at {commit[:7]}", commit)


def _is_proven(place: Path, path: str, commit: str) -> bool:
    try:
        objects = json.loads((place / "proof.json").read_bytes())["objects"]
        wanted = named_tree(commit, path, [base64.b64decode(each) for each in objects])
        return wanted is not None and tree_id(place / "tree") == wanted
    except (OSError, ValueError, KeyError, TypeError, binascii.Error):
        return False


def _tidy(folder: Path) -> None:
    """Remove what nobody has used for long, and what somebody who was killed has left."""
    for place in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - place.stat().st_mtime > UNUSED_SECONDS:
                _remove(place)


def _remove(place: Path) -> None:
    """Take a checkout away at once, so that nobody finds half of it."""
    gone = place.with_name(f"{_GONE}{os.getpid()}-{place.name.lstrip('.')}")
    with contextlib.suppress(OSError):
        place.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
