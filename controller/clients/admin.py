"""Asks a running loop for a refresh, as its admin endpoint is asked; what it answers is translated here."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from builder.index import cause_of
from controller.model.errors import Terminal, Transient

_PATH: Final = "/admin/workspace-images/refresh"
_CONNECT_SECONDS: Final = 10
_BUSY_SECONDS: Final = 60.0


async def ask_for_refresh(
    url: str, token: str | None, *, runtime: str | None, recreate: bool, force: bool
) -> Mapping[str, Any]:
    """Return what the loop that listens at `url` answers when it is done, which takes as long as its targets' work.

    Raises:
        Terminal: RefreshRefused: it does not know `runtime`, or `token` may not.
        Transient: it cannot be reached, ended meanwhile, or is at another refresh.
    """
    query = {"recreate": str(recreate).lower(), "force": str(force).lower()}
    if runtime is not None:
        query["runtime"] = runtime
    # How long it takes is for the drains to say.
    patience = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=patience, headers=headers) as session,
            session.post(url + _PATH, params=query) as answer,
        ):
            if answer.status == HTTPStatus.OK:
                facts: Mapping[str, Any] = await answer.json()
                return facts
            said = (await answer.text()).strip()
    except (aiohttp.ClientError, OSError) as error:
        raise Transient(f"The wsr run that listens at {url} did not answer: {cause_of(error)}") from error
    if answer.status == HTTPStatus.CONFLICT:
        raise Transient(f"The wsr run that listens at {url} is at another refresh", retry_after=_BUSY_SECONDS)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Transient(f"The wsr run that listens at {url} answered {answer.status}: {said}")
    raise Terminal(
        "RefreshRefused",
        f"The wsr run that listens at {url} answered {answer.status}: {said}",
        fix="Set WSR_ADMIN_TOKEN to what that run was started with; name a runtime that its document lists.",
    )
