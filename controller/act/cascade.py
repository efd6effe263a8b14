"""Has one candidate image per template built with the recorded wheel, and records what each image is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from controller.act._cascade_inputs import Known
from controller.act._cascade_results import held_back, recorded, with_templates
from controller.act._cascade_runs import CascadeRuns
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.checkouts import Checkout
from controller.clients.parts import Parts
from controller.clients.template_failure import to_correct
from controller.model.actions import Cascade, TemplateBuild
from controller.model.errors import PartlyFailed, Problem, Transient
from controller.plan.full_builds import last_full_build, last_platforms


async def cascade(parts: Parts, document: WorkspaceRuntime, action: Cascade) -> str:
    """Build what the plan lists; templates that succeed are recorded even when another one fails.

    Raises:
        PartlyFailed: why each template that failed did: BuildFailed, what its registry wants, or what is away.
        Terminal: the run refused its input.
        Transient: the engine, the registry or the index was away.
    """
    records = await parts.records.records()
    record = records[action.version]
    folder = parts.folder / "cascade" / action.key.rsplit("/", 1)[1]
    builds = {build.template: build for build in action.builds}
    folders, unreadable = await _folders(parts, document, builds.values(), log=folder / "out")
    readable = [build for name, build in builds.items() if name not in unreadable]
    known = {
        name: Known(
            last_full_build(name, record.version, records), last_platforms(name, record.version, records)
        )
        for name in builds
    }
    runs = CascadeRuns(parts, document, action, record, known, folders, folder)
    outcomes = await runs.outcomes(readable)
    results, failed = outcomes.made, {**outcomes.failed, **unreadable}
    made = {
        name: await recorded(
            parts,
            builds[name],
            result,
            known[name].full_build,
            mode=document.spec.registry.mode,
            commit=folders[name].commit if name in folders else None,
        )
        for name, result in results.items()
    }
    held = {
        name: note
        for name, cause in failed.items()
        if (note := held_back(document, builds[name], cause)) is not None
    }
    await parts.amend(
        action.version,
        lambda current: with_templates(current, builds, made, held),
        wheel_sha256=record.wheel.sha256,
    )
    if final := {name: cause for name, cause in failed.items() if name not in held}:
        raise PartlyFailed(final)
    lines = [f"{name}: {_told(result)}" for name, result in results.items()]
    return ", ".join([*lines, *(f"{name}: {note.reason}" for name, note in held.items())])


async def _folders(
    parts: Parts, document: WorkspaceRuntime, builds: Iterable[TemplateBuild], *, log: Path
) -> tuple[dict[str, Checkout], dict[str, Problem]]:
    """Return the folders of the templates that are built here, and what keeps the others from being read.

    The run would refuse such a folder as a whole.
    """
    templates = {template.name: template for template in document.spec.templates}
    found: dict[str, Checkout] = {}
    unreadable: dict[str, Problem] = {}
    for build in builds:
        if build.base is not None:
            continue
        name = build.template
        try:
            found[name] = await parts.checkouts.used(templates[name].build, document.spec.version)
        except Problem as problem:
            unreadable[name] = problem
            continue
        if not build.inputs_sha256:
            unreadable[name] = await _unread(name, found[name], log=log)
    return found, unreadable


async def _unread(template: str, source: Checkout, *, log: Path) -> Problem:
    """Return what it means that a template could not be read when its build was decided."""
    fetched = source.commit is not None
    if fetched and await asyncio.to_thread((source.folder / "Dockerfile").is_file):
        return Transient(f"Template {template}: {source.name} has been fetched only now")
    return to_correct(f"Template {template}: {source.name} cannot be read or has no Dockerfile.", log=log)


def _told(result: Mapping[str, Any]) -> str:
    children: Mapping[str, Any] = result.get("platforms") or {}
    bare = [f"without byte code for {name}" for name, child in children.items() if not child["byteCode"]]
    return ", ".join([str(result["built"]), *([f"for {' and '.join(children)}"] if children else []), *bare])
