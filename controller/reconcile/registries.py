"""Opens the registries of a document: its own, to read from and to write to, and those that its images start from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_config import access_of
from controller.observe.bases import RegistryBases
from controller.settings import Settings


@dataclass(frozen=True, slots=True)
class Registries:
    """What was opened; `writing` is `reading` where nothing is to be written."""

    reading: Registry
    writing: Registry
    bases: RegistryBases


async def open_registries(
    document: WorkspaceRuntime, settings: Settings, stack: AsyncExitStack, *, writing: bool = True
) -> Registries:
    """Open them until `stack` closes.

    Raises:
        Terminal: a Secret is missing or incomplete; nothing was reached yet.
    """
    access = access_of(document, settings, reading=True)
    own = to_write = await stack.enter_async_context(Registry(access))
    if writing:
        to_write = await stack.enter_async_context(Registry(access_of(document, settings, reading=False)))
    return Registries(own, to_write, RegistryBases(_by_host(access, own, stack)))


def _by_host(
    access: RegistryAccess, own: Registry, stack: AsyncExitStack
) -> Callable[[str], Awaitable[Registry]]:
    """Return what opens the registry of a host, once: others than our own over TLS, with what is known for just them."""
    opened = {access.host: own}

    async def registry_of(host: str) -> Registry:
        if host not in opened:
            secret = access.secret if ".dockerconfigjson" in access.secret else {}
            foreign = replace(access, host=host, insecure=False, ca_file=None, secret=secret)
            opened[host] = await stack.enter_async_context(Registry(foreign))
        return opened[host]

    return registry_of
