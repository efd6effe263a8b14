"""Gives images their public names: immutable tags after the gate, moving tags after the fleet has proven them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from builder.contract import immutable_tag
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.git import commit_of
from controller.clients.parts import Parts
from controller.clients.registry_config import registry_access
from controller.clients.runs import Run
from controller.model.plan import Promote, Tag
from controller.model.record import ReleaseRecord, TemplateRecord

NO_COMMIT = "nogit"
"""Stands for the template's commit in a tag when its folder is not a clean git work tree; the inputs still tell
one image from another."""


async def tag(parts: Parts, document: WorkspaceRuntime, action: Tag) -> str:
    """Give proven images their immutable tags and record these as what workspaces run.

    Raises:
        Terminal: a tag exists with another digest; it is never overwritten.
        Transient: the registry or engine was away.
    """
    record = await parts.records.get(action.version)
    wanted = {
        template.name: await _immutable(parts, template, record)
        for template in document.spec.templates
        if template.name in action.templates
    }
    moves = [
        {"from": _source(record.templates[name]), "to": image, "move": False}
        for name, image in wanted.items()
    ]
    await _run(parts, document, key=action.key, moves=moves)

    def tagged(current: ReleaseRecord) -> ReleaseRecord:
        for name, image in wanted.items():
            if current.templates[name].identity == record.templates[name].identity:
                current = current.with_template(
                    name, current.templates[name].model_copy(update={"image": image})
                )
        return current

    await parts.amend(action.version, tagged)
    return ", ".join(sorted(wanted.values()))


async def promote(parts: Parts, document: WorkspaceRuntime, action: Promote) -> str:
    """Move the templates' moving tags to the recorded images; raises as `tag` does."""
    record = await parts.records.get(action.version)
    moves = [
        {
            "from": _source(record.in_use.templates[template.name]),
            "to": f"{template.image}:{tag}",
            "move": True,
        }
        for template in document.spec.templates
        if template.name in action.templates
        for tag in template.tags
    ]
    await _run(parts, document, key=action.key, moves=moves)
    return ", ".join(str(move["to"]) for move in moves)


async def _immutable(parts: Parts, template: Template, record: ReleaseRecord) -> str:
    recorded = record.templates[template.name]
    if ":candidate-" not in recorded.image:
        return recorded.image
    commit = await commit_of(parts.base / template.build.directory) or NO_COMMIT
    inputs = recorded.image.rsplit("candidate-", 1)[1]
    return f"{template.image}:{immutable_tag(record.version, commit, inputs)}"


def _source(template: TemplateRecord) -> str:
    """Return what names exactly this image: by digest in a registry, by image id in an engine."""
    repository = template.image.rsplit(":", 1)[0]
    return f"{repository}@{template.digest}" if template.digest else template.image_id or template.image


async def _run(
    parts: Parts, document: WorkspaceRuntime, *, key: str, moves: Sequence[dict[str, object]]
) -> None:
    registry = document.spec.registry
    folder = parts.folder / "promote"
    hosts = frozenset(template.image.split("/", 1)[0] for template in document.spec.templates)
    content = {
        "mode": registry.mode,
        "registry": registry_access(registry, parts.settings, hosts=hosts, folder=folder),
        "tags": list(moves),
    }
    path = folder / f"{key.split('/', 1)[0]}.json"
    await asyncio.to_thread(_write, path, json.dumps(content, indent=1))
    arguments = (f"--inputs={path}", f"--engine={parts.engine.endpoint}")
    await parts.runs.run(Run("promote", arguments, {"key": key}), progress=parts.say)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
