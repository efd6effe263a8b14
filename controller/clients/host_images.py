"""Removes from a host what targets ran before: what was pulled for them, by count, and never what anybody uses or named."""

from __future__ import annotations

from contextlib import suppress

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.docker import Conflict
from controller.clients.parts import Parts
from controller.model.errors import NotFound, Problem
from controller.plan.superseded import superseded


async def remove_superseded(
    parts: Parts, document: WorkspaceRuntime, template: Template, *, host: str
) -> None:
    """Remove a template's superseded images from the host, where the document says how many stay.

    What we pull has a digest and no tag: an image that has one was pulled or named by somebody else. One that a container
    was made from stays, whether that runs or not: the engine sees to that. What goes wrong is told and keeps nobody waiting.
    """
    keep = next(
        (each.keep_superseded for each in document.spec.targets.docker_hosts if each.name == host), None
    )
    if keep is None or document.spec.registry.mode != "Remote":
        return
    try:
        there = await parts.docker.untagged()
        records = await parts.records.records()
        for image in superseded(template.name, document.spec.version, records, keep=keep):
            if image.exact not in there:
                continue
            with suppress(
                NotFound, Conflict
            ):  # another replacement was faster, or a container is made from it
                await parts.docker.remove_image(image.exact)
                parts.say(f"{host}: removed {image.exact}, which was superseded")
    except Problem as problem:
        parts.say(f"{host}: superseded images of {template.name} stay: {problem}")
