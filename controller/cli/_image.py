"""What `wsr image` does: reads the release records for the image that new workspaces use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from controller.api.conditions import Reason
from controller.api.v1alpha1 import Template
from controller.model.errors import Terminal, Transient
from controller.model.observation import Observation
from controller.model.observed import Unknown
from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.plan.state import images_for_new
from controller.plan.unread import is_gone, unread
from controller.standalone.session import open_session
from controller.standalone.world import Needs


def image_of(template: str, file: Path, *, state: Path | None, secrets: Path | None) -> str:
    """Return the image.

    Raises:
        Terminal: the document lists no such template, nothing of it is released yet, or all that was is deleted.
        Transient: it cannot be told whether the image is still there.
    """
    return asyncio.run(_image(template, file, state, secrets))


async def _image(template: str, file: Path, state: Path | None, secrets: Path | None) -> str:
    async with open_session(
        file, state=state, secrets=secrets, needs=Needs(index=False, writing=False)
    ) as session:
        document = session.document
        known = [each.name for each in document.spec.templates]
        if template not in known:
            raise Terminal(
                "Invalid", f"{file} lists no template {template!r}.", fix=f"It lists: {', '.join(known)}."
            )
        records = await session.world.parts.records.records()
        found = images_for_new(records, document.spec.version, template)
        if not found:
            raise Terminal(
                "NotFound",
                f"No released image of template {template} exists yet.",
                fix=f"Run: wsr run -f {file} --once",
            )
        asked = next(each for each in document.spec.templates if each.name == template)
        spec = document.spec.model_copy(update={"templates": [asked]})
        alone = document.model_copy(update={"spec": spec})
        seen = await session.world.releases.images_of(alone, records)
    return _there(asked, records.get(spec.version), found, seen, fix=f"Run: wsr run -f {file} --once")


def _there(
    template: Template,
    record: ReleaseRecord | None,
    found: Sequence[TemplateRecord],
    seen: Observation,
    *,
    fix: str,
) -> str:
    """Return the first of `found` that was not deleted."""
    why = seen.images.reason if isinstance(seen.images, Unknown) else unread(template, record, seen)
    if why is not None:
        raise Transient(f"It cannot be told whether {found[0].image} is still there: {why}")
    for image in found:
        if not is_gone(template, record, image, seen):
            return image.image
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise Terminal(
        Reason.IMAGE_GONE,
        f"Every released image of template {template.name} was deleted: {found[0].image}@{found[0].identity}{more}.",
        fix=fix,
    )
