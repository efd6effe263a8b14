"""Whether an engine has room for an image before it is pulled: a full disk stops all containers of its host, not only ours.

An engine does not say how much is free. Where it runs on this machine its folder is asked; else a command in one of its
containers, whose root is in that folder, too. What cannot be known keeps nobody from pulling.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Final

from controller.clients.docker import DockerEngine
from controller.clients.registry import Registry
from controller.model.errors import Problem, Transient

_TIMES: Final = 4
"""What a layer takes in times of what is sent of it: as it comes, and about three times that unpacked."""
_RESERVE_BYTES: Final = 256 << 20
"""What is left to those who run there."""
_RETRY_SECONDS: Final = 60.0
_ASKED: Final = ("stat", "-f", "-c", "%a %S", "/")


async def expect_room(
    engine: DockerEngine, registry: Registry, reference: str, *, platform: str | None, beside: str | None
) -> None:
    """Return when the engine has room for what it lacks of an image; `beside` is a container there that may be asked.

    Raises:
        Transient: it has not, with how much it needs.
    """
    try:
        sent = await registry.layers(reference, platform=platform or await engine.platform())
        there = await engine.layers(_repository(reference))
        lacking = sum(size for layer, size in sent.items() if layer not in there)
        free = await free_bytes(engine, beside=beside)
    except Problem:  # the pull itself says what is wrong
        return
    needed = lacking * _TIMES + _RESERVE_BYTES
    if lacking and free is not None and free < needed:
        raise Transient(
            f"{reference} was not pulled: engine {engine.host} has {free >> 20} MiB free for images, and it takes up to"
            f" {needed >> 20}. Free some there, as with docker image prune",
            retry_after=_RETRY_SECONDS,
        )


def _repository(reference: str) -> str:
    named = reference.partition("@")[0]
    repository, _, tag = named.rpartition(":")
    return named if not repository or "/" in tag else repository


async def free_bytes(engine: DockerEngine, *, beside: str | None) -> int | None:
    """Return how much is free where an engine keeps its images; None when it cannot be known."""
    if engine.is_local:
        folder = (await engine.info())["DockerRootDir"]
        with suppress(OSError):  # it is another container's, or not for us to see
            found = await asyncio.to_thread(os.statvfs, folder)
            return found.f_bavail * found.f_frsize
    if beside is None:
        return None
    with suppress(Problem, ValueError):
        ran = await engine.execute(beside, _ASKED)
        blocks, size = map(int, ran.output.split())
        return blocks * size
    return None
