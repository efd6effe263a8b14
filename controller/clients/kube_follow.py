"""Follows the objects of one kind for as long as somebody listens: a list, then every change, over all breaks in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from controller.clients._kube_errors import Expired
from controller.clients.kube import Event, JsonObject, KubeCluster, Listed, Resource
from controller.model.errors import Transient

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 10.0


async def follow(  # noqa: PLR0913 -- what is followed, and from where
    cluster: KubeCluster,
    resource: Resource,
    namespace: str | None = None,
    *,
    labels: str = "",
    version: str | None = None,
    connected: asyncio.Event | None = None,
    kept: Callable[[JsonObject], JsonObject] = lambda found: found,
) -> AsyncGenerator[Listed | Event, None]:
    """Yield all objects, then each change; all objects again only where changes may have been missed.

    With `version`, as an event or a list had it, go on from there. `kept` is what to keep of each object of a list.

    A server that is away is asked again with growing pauses; a stream that ended, broke or went silent goes on where it
    was, so that an idle cluster is not listed again. `connected` is set while a stream is followed, and cleared when it breaks.

    Raises:
        Terminal: we may not list or watch them.
    """
    connected = connected or asyncio.Event()
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            if version is None:
                listed = await cluster.list(resource, namespace, labels=labels, kept=kept)
                version = listed.version
                yield listed
            changes = cluster.watch(
                resource,
                namespace,
                version,
                labels=labels,
                connected=connected,
            )
            async with aclosing(changes):
                async for event in changes:
                    pause, version = _FIRST_PAUSE_SECONDS, event.version
                    if event.kind != "BOOKMARK":
                        yield event
        except Expired:
            connected.clear()
            version = None
        except Transient:
            connected.clear()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
