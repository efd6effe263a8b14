"""The builder runs of one cascade: one for all templates, and where that may build nothing in full, one that may for the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from controller.act._cascade_inputs import Known, index_ca, write_inputs
from controller.act._cascade_results import read_file
from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.checkouts import Checkout
from controller.clients.parts import Parts
from controller.clients.registry_config import secret_folders
from controller.clients.runs import Run
from controller.clients.template_failure import FULL_BUILD_NEEDED, failure_of
from controller.model.actions import Cascade, TemplateBuild
from controller.model.errors import Problem, Terminal, Transient
from controller.model.record import ReleaseRecord

_SECONDS: Final = 3_600.0
_FULL_BUILD_SECONDS: Final = 7_200.0
"""Twice as long as one template may take, since two are built at a time."""


@dataclass(slots=True)
class Outcomes:
    """What became of templates: a run's result of those that have an image, and the cause of every other."""

    made: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[str, Problem] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CascadeRuns:
    """What all runs of one cascade are given."""

    parts: Parts
    document: WorkspaceRuntime
    action: Cascade
    record: ReleaseRecord
    known: Mapping[str, Known]
    folders: Mapping[str, Checkout]
    folder: Path

    async def outcomes(self, builds: Collection[TemplateBuild]) -> Outcomes:
        """Run for all of `builds`, then once more for those that need what the first run may not.

        Raises as a builder run: the first one left nothing.
        """
        outcomes = Outcomes()
        if not builds:
            return outcomes
        results = await self._results(builds)
        needing = [each for each in builds if _needs_more(results.get(each.template, {}))]
        if needing and self.parts.runs.buildah is not None:
            names = {each.template for each in needing}
            self._take({name: each for name, each in results.items() if name not in names}, outcomes)
            await self._in_full(needing, outcomes)
        else:
            self._take(results, outcomes)
        return outcomes

    async def _results(self, builds: Collection[TemplateBuild]) -> Mapping[str, Mapping[str, Any]]:
        """Have what can be done done; a run that ends early may still say of each template what became of it."""
        out = self.folder / "out"
        result = out / "result.json"
        await asyncio.to_thread(result.unlink, missing_ok=True)
        run = await self._run(builds, self.folder)
        try:
            await self.parts.runs.run(run, progress=self.parts.say)
        except Transient:
            if not await asyncio.to_thread(result.exists):
                raise
        return await _read(result)

    async def _in_full(self, builds: Collection[TemplateBuild], outcomes: Outcomes) -> None:
        """Have templates built in full; what keeps that from being done is the cause of each."""
        folder = self.folder / "full"
        result = folder / "out" / "result.json"
        await asyncio.to_thread(result.unlink, missing_ok=True)
        try:
            run = await self._run(builds, folder, buildah=self.parts.runs.buildah)
            await self.parts.runs.run(run, progress=self.parts.say)
        except Problem as problem:
            if not await asyncio.to_thread(result.exists):
                outcomes.failed |= {each.template: _of(each.template, problem) for each in builds}
                return
        self._take(await _read(result), outcomes, log=folder / "out")

    def _take(
        self, results: Mapping[str, Mapping[str, Any]], outcomes: Outcomes, *, log: Path | None = None
    ) -> None:
        for name, result in results.items():
            if "error" in result:
                outcomes.failed[name] = failure_of(name, result["error"], log=log or self.folder / "out")
            else:
                outcomes.made[name] = result

    async def _run(
        self, builds: Collection[TemplateBuild], folder: Path, *, buildah: Path | None = None
    ) -> Run:
        parts, document = self.parts, self.document
        reads = await write_inputs(
            parts,
            document,
            builds,
            record=self.record,
            known=self.known,
            folders=self.folders,
            folder=folder,
        )
        ca = index_ca(parts, document)
        secrets = secret_folders(document.spec.registry, parts.settings)
        how = (f"--buildah={buildah}",) if buildah else parts.engine_arguments
        return Run(
            "cascade",
            (f"--inputs={reads[0]}", f"--out={folder / 'out'}", *how),
            {"key": self.action.key, **({"full": "true"} if buildah else {})},
            reads=reads,
            writes=(folder / "out",),
            secrets=(*secrets, *((Path(ca).parent,) if ca else ())),
            builds=buildah is not None,
            maximum_seconds=_FULL_BUILD_SECONDS if buildah else _SECONDS,
        )


def _needs_more(result: Mapping[str, Any]) -> bool:
    return "error" in result and bool(result["error"]["reason"] == FULL_BUILD_NEEDED)


def _of(template: str, problem: Problem) -> Problem:
    if isinstance(problem, Terminal) and problem.reason == Reason.BUILD_FORBIDDEN:
        return Terminal(problem.reason, f"Template {template}: {problem.message}", fix=problem.fix)
    return problem


async def _read(result: Path) -> dict[str, Mapping[str, Any]]:
    templates: dict[str, Mapping[str, Any]] = json.loads(await read_file(result))["templates"]
    return templates
