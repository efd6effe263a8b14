"""The moving tags that hosts have of their own beside those of the registry: new workspaces are created from them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.parts import Parts
from controller.clients.registry_config import pull_credentials
from controller.model.errors import NotFound
from controller.model.template_record import TemplateRecord


async def let_hosts_follow(
    parts: Parts,
    document: WorkspaceRuntime,
    tags: Iterable[tuple[str, str]],
    used: Mapping[str, TemplateRecord],
) -> None:
    """Let each host's own moving tags, by template and tag, stand for the images in use by template.

    With an engine alone, or with none, there is nothing to do. All hosts have had their turn when one of them fails.

    Raises:
        Transient, Terminal: the image is not there and could not be pulled, or a host does not answer.
    """
    if document.spec.registry.mode != "Remote":
        return
    moved = tuple(tags)
    engines = parts.hosts if parts.engine is None else (parts.engine, *parts.hosts)
    hosts = (_let_follow(replace(parts, engine=engine), document, moved, used) for engine in engines)
    for outcome in await asyncio.gather(*hosts, return_exceptions=True):
        if outcome is not None:
            raise outcome


async def _let_follow(
    parts: Parts,
    document: WorkspaceRuntime,
    tags: Iterable[tuple[str, str]],
    used: Mapping[str, TemplateRecord],
) -> None:
    templates = {template.name: template for template in document.spec.templates}
    there = await parts.docker.images()
    for template_name, tag in tags:
        template = templates[template_name]
        name = f"{template.image}:{tag}"
        await _follow(parts, document, template, used[template_name], name, present=there.get(name))


async def _follow(  # noqa: PLR0913 -- which tag, to which image, and where that comes from
    parts: Parts,
    document: WorkspaceRuntime,
    template: Template,
    image: TemplateRecord,
    name: str,
    *,
    present: str | None,
) -> None:
    """Move one tag of the host, which stands for `present`; one that has neither tag nor image pulls the tag when it needs it."""
    try:
        found = str((await parts.docker.inspect_image(image.exact))["Id"])
    except NotFound:
        if present is None:
            return
        credentials = pull_credentials(document.spec.registry, parts.settings, image=image.exact)
        platform, _ = await parts.platforms(template.build)
        found = await parts.docker.pull(image.exact, credentials=credentials, platform=platform)
    if present != found:
        await parts.docker.tag_image(image.exact, name)
