"""Gives images their public names: immutable tags after the gate, moving tags after the fleet has proven them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from builder.contract import immutable_tag
from controller.api.conditions import Reason
from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.clients.host_tags import let_hosts_follow
from controller.clients.parts import Parts
from controller.clients.registry_config import registry_access, secret_folders
from controller.clients.runs import Run
from controller.model.actions import Promote, Tag
from controller.model.errors import Problem, Terminal, Transient
from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord

NO_COMMIT = "nogit"
"""Stands for the template's commit in a tag when its folder is not a clean git work tree, or whoever built it does not
say; the inputs still tell one image from another."""


async def tag(parts: Parts, document: WorkspaceRuntime, action: Tag) -> str:
    """Give proven images their immutable tags and record these as what workspaces run.

    Raises:
        Terminal: a tag exists with another digest; it is never overwritten.
        Transient: the registry or engine was away.
    """
    record = await parts.records.get(action.version)
    used = record.in_use.templates
    wanted = {
        template.name: await _immutable(parts, template, record.version, used[template.name])
        for template in document.spec.templates
        if template.name in action.templates
    }
    moves = [{"from": used[name].exact, "to": image, "move": False} for name, image in wanted.items()]
    await _run(parts, document, key=action.key, moves=moves)

    def tagged(current: ReleaseRecord) -> ReleaseRecord:
        for name, image in wanted.items():
            current = current.with_used(name, used[name].identity, partial(_named, image))
        return current

    await parts.amend(action.version, tagged, wheel_sha256=record.wheel.sha256)
    return ", ".join(sorted(wanted.values()))


async def promote(parts: Parts, document: WorkspaceRuntime, action: Promote) -> str:
    """Move the templates' moving tags to the recorded images, there and on the hosts, and record that they were.

    Raises:
        Terminal: PublisherConflict, when another object owns one of the tags.
        Transient: the registry or engine was away; or a tag was moved by somebody else since this was decided, or the
            record names another wheel by now.
    """
    record = await parts.records.get(action.version)
    images = {template.name: template.image for template in document.spec.templates}
    used = record.in_use.templates
    moves = [
        {
            "from": used[move.template].exact,
            "to": f"{images[move.template]}:{move.tag}",
            "move": True,
            "expect": move.expected,
        }
        for move in action.moves
    ]
    tags = [(move.template, move.tag) for move in action.moves]
    back = action.version != document.spec.version
    if back:
        # Once no tag of the registry names the failed version, nobody comes back for the hosts'.
        await _let_hosts_go_back(parts, document, tags, used)
    try:
        await _run(parts, document, key=action.key, moves=moves)
    except Terminal as refusal:
        if refusal.reason == Reason.TAG_MOVED:
            # Who may move it from there is for the next look to say.
            raise Transient(refusal.message) from refusal
        raise
    if not back:
        await let_hosts_follow(parts, document, tags, used)
    await parts.amend(
        action.version, lambda current: _promoted(current, action, used), wheel_sha256=record.wheel.sha256
    )
    return ", ".join(str(move["to"]) for move in moves)


async def _let_hosts_go_back(
    parts: Parts,
    document: WorkspaceRuntime,
    tags: Sequence[tuple[str, str]],
    used: Mapping[str, TemplateRecord],
) -> None:
    """Let the hosts follow; one of other machines that does not must not keep the tags of all others at what failed."""
    try:
        await let_hosts_follow(parts, document, tags, used)
    except Problem as problem:
        if not parts.hosts:
            raise
        parts.say(f"A host keeps its moving tags, which may name the version that failed: {problem}")


def _promoted(record: ReleaseRecord, action: Promote, used: Mapping[str, TemplateRecord]) -> ReleaseRecord:
    for move in action.moves:
        identity = used[move.template].identity
        record = record.promoted_to(move.template, identity, move.tag, expected=move.expected)
    return record


def _named(reference: str, image: TemplateRecord) -> TemplateRecord:
    return image.model_copy(update={"image": reference})


async def _immutable(parts: Parts, template: Template, version: str, recorded: TemplateRecord) -> str:
    if not recorded.is_candidate:
        return recorded.image
    commit = recorded.full_build.commit if recorded.full_build is not None else recorded.commit
    if commit is None and template.build.ours:
        commit = await parts.checkouts.commit(template.build, version)
    inputs = recorded.image.rsplit("candidate-", 1)[1]
    return f"{template.image}:{immutable_tag(version, commit or NO_COMMIT, inputs)}"


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
        "owners": [owner for owner in (document.key, document.metadata.takes_over) if owner],
    }
    # A name of its own: tags of several templates, each for itself, are set at the same time.
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    await asyncio.to_thread(_write, path, json.dumps(content, indent=1))
    arguments = (f"--inputs={path}", *parts.engine_arguments)
    run = Run(
        "promote",
        arguments,
        {"key": key},
        reads=(path,),
        secrets=secret_folders(registry, parts.settings),
        fix="Then run again.",
    )
    await parts.runs.run(run, progress=parts.say)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
