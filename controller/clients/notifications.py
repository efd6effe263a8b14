"""Brings a text to an address of Apprise, by a process of its own (`clients/notify.py`), which cannot hold up or crash this one.

Whoever may write a Secret of an object chooses the address. So services with addresses of their own are allowed by name, and
any other server only over https, at an address of the internet, unless whoever runs this program lists its host.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from controller.api.conditions import Reason
from controller.clients.notify import SCHEMES
from controller.model.errors import Terminal, Transient
from controller.secret_files import content_of
from controller.settings import Settings

NOTHING: Final[Mapping[str, Terminal]] = MappingProxyType({})
SECONDS: Final = 60.0
"""How long one delivery may take."""
_PASSED_ON: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "REQUESTS_CA_BUNDLE",
)


def check(url: str, secret: str) -> None:
    """Raise Terminal for an address that nobody is told at; it is a secret, and is not repeated."""
    try:
        parts = urlsplit(url)
        # Apprise takes several addresses in one text.
        single = url.count("://") == 1 and not any(each.isspace() for each in url)
        known, bare = parts.scheme in SCHEMES and single, not (parts.query or parts.fragment)
    except ValueError:
        known, bare = False, True
    if not known:
        raise Terminal(
            Reason.SECRET_INCOMPLETE,
            f"The key url of Secret {secret} is not one address of a service that is allowed.",
            fix=f"Write one of Apprise that begins with {', '.join(f'{each}://' for each in sorted(SCHEMES))}.",
        )
    if not bare:
        raise Terminal(
            Reason.SECRET_INCOMPLETE,
            f"The key url of Secret {secret} has options after a ? or #, which could name files and other hosts.",
            fix="Write the address without them.",
        )


def sender(
    settings: Settings, withheld: Mapping[str, Terminal] = NOTHING
) -> Callable[[str, str, str], Awaitable[None]]:
    """Return what brings a title and a text to the address in a Secret of this name; `withheld` says why one cannot be had.

    It raises Terminal when the Secret cannot be had, or its address must not be used; Transient when it was not taken.
    """

    async def send(secret: str, title: str, text: str) -> None:
        if (problem := withheld.get(secret)) is not None:
            raise problem
        found = settings.secret(secret, field="spec.notifications[].secretName").get("url")
        url = content_of(found).strip() if found is not None else ""
        check(url, secret)
        await deliver(
            url, title, text, hosts=settings.notification_hosts, environment=settings.child_environment
        )

    return send


async def deliver(
    url: str, title: str, text: str, *, hosts: Collection[str] | None, environment: Mapping[str, str]
) -> None:
    """Deliver one notice. `hosts` may be anywhere, all others must be in the internet; None: all may be anywhere.

    Raises:
        Transient: it was not taken.
    """
    order = {"url": url, "title": title, "text": text, "hosts": None if hosts is None else sorted(hosts)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "controller.clients.notify",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: environment[name] for name in _PASSED_ON if name in environment},
    )
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await process.communicate(json.dumps(order).encode())
    except TimeoutError:
        raise Transient(f"it was not taken in {SECONDS:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Transient(said.decode(errors="replace").strip() or "it was not taken")
