"""What `wsr release` does: reads tags, index, history and pull requests, lets the plan decide, and pushes the tag."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from controller.api.v1alpha1 import Package, WorkspaceRuntime
from controller.clients.git import Repository
from controller.clients.github import GitHub
from controller.clients.index import PackageIndex, index_client
from controller.model.errors import Terminal, Transient
from controller.model.release import Change
from controller.plan.release import INPUTS, TAG_PREFIX, Next, Nothing, Size, decide_release, newest_tag
from controller.secret_files import read_token
from controller.settings import Settings
from controller.standalone.store import read_document
from controller.variables import GitHubPlace

_INDEX_SECONDS: Final = 60.0
_PATTERN: Final = f"{TAG_PREFIX}*"
_NAME_INDEX: Final = "Name it with --index URL, or a document that does with -f FILE."


@dataclass(frozen=True, slots=True)
class Ask:
    """The options, as typed."""

    labels: tuple[str, ...]
    file: Path | None
    index: str | None
    repo: Path
    remote: str
    github: str | None
    token_file: Path | None
    secrets: Path | None
    tags: tuple[str, ...] | None = None
    """Tags to take instead of the repository's, as git lists them."""

    @property
    def names_index(self) -> bool:
        """Whether it says which index the tags must agree with."""
        return self.index is not None or self.file is not None


def next_release(ask: Ask) -> dict[str, Any]:
    """Return the next version, or none, and why.

    Raises:
        Problem: a source cannot be read, or tags and index disagree.
    """
    return asyncio.run(_Desk(ask).next())


def tag_release(ask: Ask) -> dict[str, Any]:
    """Tag what is checked out with the next version; return what `next_release` does.

    Raises:
        Problem: as `next_release`; or no index is named, or the tag cannot be pushed.
    """
    return asyncio.run(_Desk(ask).tag())


class _Desk:
    """One question and what it is answered from."""

    def __init__(self, ask: Ask) -> None:
        settings = Settings.of_process(secrets_dir=ask.secrets)
        self._ask, self._settings = ask, settings
        self._document = read_document(ask.file) if ask.file else None
        given = read_token(ask.token_file) if ask.token_file else None
        self._token = given or settings.github.release_token
        self._repository = Repository(
            ask.repo,
            settings.child_environment,
            remote=ask.remote,
            token=self._token,
        )

    async def next(self) -> dict[str, Any]:
        """See `next_release`."""
        facts = _facts(await self._decide())
        if not self._ask.names_index:
            click.echo(f"No index is known, so the tags were not compared with one. {_NAME_INDEX}", err=True)
        return facts

    async def tag(self) -> dict[str, Any]:
        """See `tag_release`."""
        if not self._ask.names_index:
            raise Terminal(
                "Invalid",
                "No index is known to compare the tags with, and nothing is tagged that an index may contradict.",
                fix=_NAME_INDEX,
            )
        commit = await self._repository.head()
        if await self._repository.remote_url() is None:
            raise Terminal(
                "Invalid",
                f"{self._ask.repo} has no remote {self._ask.remote} to push a tag to.",
                fix="Name one with --remote NAME, or the repository with --repo DIR.",
            )
        decided = await self._decide()
        if isinstance(decided, Nothing):
            return _facts(decided)
        if not await self._repository.is_pushed(commit):
            raise Terminal(
                "NotPushed",
                f"{commit[:7]}, which is checked out, is on no branch of {self._ask.remote}: "
                "a tag would release what nobody has reviewed.",
                fix=f"Push it to its branch first, git push {self._ask.remote} HEAD:BRANCH.",
            )
        message = f"Workspace runtime {decided.version}\n\n{decided.reason}"
        new = await self._repository.push_tag(decided.tag, commit, message)
        done = f"Pushed {decided.tag}" if new else f"{decided.tag} stood there already"
        return {**_facts(decided), "commit": commit, "message": f"{done}, at {commit[:7]}: {decided.reason}."}

    async def _decide(self) -> Next | Nothing:
        _check_labels(self._ask.labels)
        served, yanked = await self._served()
        if self._ask.tags is not None:
            tags, changes = _listed(self._ask.tags), None
        else:
            tags, changes = await self._tags_and_changes()
        ceiling = self._document.spec.package.version_ceiling if self._document else None
        return decide_release(
            tags,
            served=served,
            yanked=yanked,
            changes=changes,
            labels=self._ask.labels,
            ceiling=ceiling,
        )

    async def _served(self) -> tuple[list[str] | None, list[str]]:
        """Return the versions that the index serves, None when there is no index to ask, and those that were yanked."""
        client, package = _index(self._ask, self._document, self._settings)
        if client is None:
            return None, []
        try:
            async with asyncio.timeout(_INDEX_SECONDS), client as index:
                releases = (await index.served(package)).releases
        except TimeoutError:
            raise Transient(f"The index did not answer for {package} within {_INDEX_SECONDS:g} s.") from None
        yanked = [version for version, each in releases.items() if all(file.yanked for file in each.files)]
        return [version for version in releases if version not in yanked], yanked

    async def _tags_and_changes(self) -> tuple[tuple[str, ...], tuple[Change, ...]]:
        repository = self._repository
        await repository.head()
        commits = await repository.tags(_PATTERN)
        if await repository.remote_url() is not None:
            here, commits = commits, await repository.remote_tags(_PATTERN)
            _refuse_unpushed(newest_tag(here), newest_tag(commits), self._ask.remote)
        newest = newest_tag(commits)
        if newest is None:
            return (), await repository.changes(None, INPUTS)
        await repository.reach(newest, commits[newest])
        changes = await repository.changes(commits[newest], INPUTS)
        return tuple(commits), await self._with_pull_requests(changes)

    async def _with_pull_requests(self, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        if self._ask.labels or not changes:
            return changes
        place = self._settings.github
        name = self._ask.github or place.repository or _on_github(await self._repository.remote_url(), place)
        if name is None:
            click.echo(
                "No repository of GitHub is known, so no labels were read. "
                "Name it with --github OWNER/NAME, or the labels with --label.",
                err=True,
            )
            return changes
        async with GitHub(place.api_url, name, token=place.token or self._token) as github:
            return await github.with_pull_requests(changes)


def _check_labels(labels: Iterable[str]) -> None:
    """Refuse a label that was meant to say how much a version grows: a slip would release another version."""
    known = [size.label for size in Size]
    for label in labels:
        if label.startswith("release:") and label not in known:
            raise Terminal(
                "Invalid",
                f"The label {label!r} says of no release how much it grows.",
                fix=f"Write one of {', '.join(known)}.",
            )


def _facts(decided: Next | Nothing) -> dict[str, Any]:
    if isinstance(decided, Nothing):
        return {
            "version": None,
            "tag": None,
            "size": None,
            "reason": decided.reason,
            "message": f"Nothing to release: {decided.reason}.",
        }
    return {
        "version": decided.version,
        "tag": decided.tag,
        "size": decided.size.name.lower(),
        "reason": decided.reason,
        "message": f"{decided.version}: {decided.reason}.",
    }


def _index(
    ask: Ask, document: WorkspaceRuntime | None, settings: Settings
) -> tuple[PackageIndex | None, str]:
    package = document.spec.package.name if document else Package.model_fields["name"].default
    if ask.index is not None:
        if not ask.index.startswith(("http://", "https://")):
            raise Terminal(
                "Invalid",
                f"--index {ask.index!r} is no address of an index.",
                fix="Give its simple index, like https://packages.example/simple/; in a workflow, set the variable that holds it.",
            )
        return PackageIndex(ask.index), package
    if document is None:
        return None, package
    return index_client(document, settings), package


def _listed(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in what `git tag`, `git for-each-ref` or `git ls-remote --tags` has listed."""
    words = (line.split()[-1] for line in lines if line.strip())
    return tuple(word.removeprefix("refs/tags/").removesuffix("^{}") for word in words)


def _refuse_unpushed(here: str | None, there: str | None, remote: str) -> None:
    if here is not None and newest_tag([tag for tag in (here, there) if tag]) != there:
        raise Terminal(
            "TagNotPushed",
            f"{here} is the newest tag here, but {remote} has {f'{there} as its newest' if there else 'no such tag'}.",
            fix=f"Push it, git push {remote} {here}, or delete it, git tag -d {here}.",
        )


def _on_github(url: str | None, place: GitHubPlace) -> str | None:
    """Return OWNER/NAME from a remote's address, if it is one of the GitHub that is asked."""
    host = urlsplit(place.server_url).hostname
    # git@host:owner/name is the short form of ssh://git@host/owner/name.
    full = url if url and "://" in url else f"ssh://{(url or '').replace(':', '/', 1)}"
    parts = urlsplit(full)
    names = parts.path.strip("/").removesuffix(".git").split("/")
    return "/".join(names) if parts.hostname == host and len(names) == 2 else None  # noqa: PLR2004 -- OWNER and NAME
