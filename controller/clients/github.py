"""Asks the GitHub API which pull requests a commit came from, and tells repositories of releases; errors are translated here."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from builder.index import cause_of
from controller.model.errors import Problem, Terminal, Transient
from controller.model.release import Change, PullRequest

SILENCE_SECONDS: Final = 30
AT_ONCE: Final = 8
"""Requests in flight; GitHub asks clients to stay well below 100."""
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_PAGE_SIZE: Final = 100


class GitHub:
    """One repository of GitHub, as `async with GitHub(api_url, "OWNER/NAME", token=...) as github`."""

    def __init__(self, api_url: str, repository: str, *, token: str | None) -> None:
        """Without a token only public repositories can be read.

        Raises:
            Terminal: Invalid; `repository` is not OWNER/NAME.
        """
        if _REPOSITORY.fullmatch(repository) is None:
            raise Terminal(
                "Invalid", f"{repository!r} is not a repository of GitHub.", fix="Write it as OWNER/NAME."
            )
        self._api, self._repository, self._token = URL(api_url), repository, token
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "workspace-runtime-controller",
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_SECONDS),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def with_pull_requests(self, changes: Iterable[Change]) -> tuple[Change, ...]:
        """Return the changes with their merged pull requests, in the same order.

        Raises:
            Transient: GitHub cannot be reached, fails, or limits us; `retry_after` says for how long.
            Terminal: it refuses: CredentialsMissing (401, 403), NotFound (404), CommitUnknown (422), GitHubRefused.
        """
        given = tuple(changes)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._pull_requests(change.commit)) for change in given]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return tuple(
            replace(change, pull_requests=task.result()) for change, task in zip(given, tasks, strict=True)
        )

    async def dispatch(self, event: str, payload: Mapping[str, str]) -> None:
        """Send the repository an event that its workflows can start on.

        Raises:
            Transient: GitHub cannot be reached, fails, or limits us; `retry_after` says for how long.
            Terminal: DispatchRefused; the token may not, or there is no such repository.
        """
        # https://docs.github.com/rest/repos/repos#create-a-repository-dispatch-event
        url = self._api / f"repos/{self._repository}/dispatches"
        body = {"event_type": event, "client_payload": dict(payload)}
        try:
            async with self._session.post(url, json=body, allow_redirects=False) as answer:
                if answer.status != HTTPStatus.NO_CONTENT:
                    raise self._not_told(answer, str(url))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{url} cannot be reached: {cause_of(error)}.") from error

    def _not_told(self, answer: aiohttp.ClientResponse, shown: str) -> Problem:
        if (passing := self._passing(answer, shown)) is not None:
            return passing
        said: dict[int, tuple[str, str]] = {
            HTTPStatus.UNAUTHORIZED: (f"GitHub does not know the token (401, {shown})", "Give a valid one."),
            HTTPStatus.FORBIDDEN: (
                f"The token may not dispatch to {self._repository} (403)",
                "Grant it `contents: write` there.",
            ),
            HTTPStatus.NOT_FOUND: (
                f"GitHub has no repository {self._repository} that this token may see (404)",
                "Check build.dispatch.repository, and that the token has access to it.",
            ),
        }
        other = (f"{shown} answered {answer.status}", "Check GITHUB_API_URL and build.dispatch.repository.")
        cause, fix = said.get(answer.status, other)
        return Terminal("DispatchRefused", f"{cause}.", fix=fix)

    def _passing(self, answer: aiohttp.ClientResponse, shown: str) -> Transient | None:
        """Return why to try again later; None for an answer that will not change by itself."""
        status, headers = answer.status, answer.headers
        if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.FORBIDDEN and _is_limit(headers)):
            seconds = _seconds_to_wait(headers)
            return Transient(
                f"GitHub limits the requests for now ({status}); try again in {seconds:.0f} s"
                + ("." if self._token else ", or give a token: GITHUB_TOKEN."),
                retry_after=seconds,
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Transient(f"{shown} answered {status}.")
        return None

    async def _pull_requests(self, commit: str) -> tuple[PullRequest, ...]:
        # https://docs.github.com/rest/commits/commits#list-pull-requests-associated-with-a-commit
        page: URL | None = self._api / f"repos/{self._repository}/commits/{commit}/pulls"
        page = page.with_query(per_page=_PAGE_SIZE) if page else None
        found: list[PullRequest] = []
        while page is not None:
            async with self._slots:
                merged, page = await self._page(page, commit)
            found += merged
        return tuple(found)

    async def _page(self, url: URL, commit: str) -> tuple[list[PullRequest], URL | None]:
        shown = str(url.with_query(None))
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status != HTTPStatus.OK:
                    raise self._refusal(answer, commit, shown)
                merged = [_read(entry) for entry in await answer.json() if entry["merged_at"]]
                link = answer.links.get("next")
        except (aiohttp.ContentTypeError, ValueError, KeyError, TypeError) as error:
            raise Terminal(
                "GitHubRefused",
                f"{shown} answered with something that is no list of pull requests.",
                fix="Check GITHUB_API_URL.",
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{shown} cannot be reached: {cause_of(error)}.") from error
        following = URL(link["url"]) if link else None
        # The token goes where it was given for, and nowhere else.
        if following is not None and following.origin() != self._api.origin():
            raise Terminal(
                "GitHubRefused", f"{shown} goes on at {following.origin()}.", fix="Check GITHUB_API_URL."
            )
        return merged, following

    def _refusal(self, answer: aiohttp.ClientResponse, commit: str, shown: str) -> Problem:
        if (passing := self._passing(answer, shown)) is not None:
            return passing
        status = answer.status
        match status:
            case HTTPStatus.UNAUTHORIZED:
                return Terminal(
                    "CredentialsMissing",
                    f"GitHub does not know the token (401, {shown}).",
                    fix="Give a valid one.",
                )
            case HTTPStatus.FORBIDDEN:
                return Terminal(
                    "CredentialsMissing",
                    f"The token may not read pull requests of {self._repository} (403).",
                    fix="Grant it `pull-requests: read` and `contents: read`.",
                )
            case HTTPStatus.NOT_FOUND:
                return Terminal(
                    "NotFound",
                    f"GitHub has no repository {self._repository} that {self._visible} (404).",
                    fix="Check the name, and that the token reads it; or give the labels with --label.",
                )
            case HTTPStatus.UNPROCESSABLE_ENTITY:
                return Terminal(
                    "CommitUnknown",
                    f"{self._repository} has no commit {commit[:7]} (422).",
                    fix="Push it first, or give the labels with --label.",
                )
        return Terminal(
            "GitHubRefused", f"{shown} answered {status}.", fix="Check GITHUB_API_URL and the repository."
        )

    @property
    def _visible(self) -> str:
        return "this token may see" if self._token else "is public"


def _read(entry: Mapping[str, Any]) -> PullRequest:
    return PullRequest(entry["number"], entry["title"], tuple(label["name"] for label in entry["labels"]))


def _is_limit(headers: Mapping[str, str]) -> bool:
    return headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in headers


def _seconds_to_wait(headers: Mapping[str, str]) -> float:
    """Return how long GitHub asks to wait; a minute where it does not say, as its documentation advises."""
    if (after := headers.get("Retry-After", "")).isdecimal():
        return float(after)
    if (reset := headers.get("X-RateLimit-Reset", "")).isdecimal():
        return max(1.0, int(reset) - time.time())
    return 60.0
