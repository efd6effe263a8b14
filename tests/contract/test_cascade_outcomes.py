"""What a cascade leaves of templates that failed: each its own cause, and of those that may fail a note in the record."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from builder.contract import Report
from controller.act.cascade import cascade
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.checkouts import Checkouts
from controller.clients.parts import Parts
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.clients.runs import Run
from controller.model.actions import Cascade, TemplateBuild
from controller.model.errors import PartlyFailed, Problem, Transient
from controller.model.record import ReleaseRecord
from controller.settings import Settings
from tests.unit.simulator.ground import document

UNUSED: Any = None
NAMES = ("echo", "greeter")
INPUTS, BASE = "1" * 64, f"sha256:{'b' * 64}"
AWAY = Transient("the registry is away")


def error(reason: str, *, after: float | None = None) -> dict[str, Any]:
    told = {"reason": reason, "message": "pip found nothing.", "transient": after is not None}
    return {"error": {**told, "retryAfterSeconds": after}}


@dataclass
class Told:
    """Builder runs that end as they are told to, after they have left results."""

    results: Mapping[str, Any]
    away: Transient | None
    buildah: None = None

    def prepare(self, verb: str) -> None:
        raise NotImplementedError(verb)

    async def run(self, run: Run, *, progress: object = None) -> Report:
        del progress
        (out,) = run.writes
        out.mkdir(parents=True)
        if self.results:
            (out / "result.json").write_text(json.dumps({"templates": self.results}))
        if self.away is not None:
            raise self.away
        return UNUSED  # type: ignore[no-any-return]  # nothing of a report is read


def described(folder: Path, gate: str) -> WorkspaceRuntime:
    for name in NAMES:
        (folder / name).mkdir()
        (folder / name / "Dockerfile").write_text("FROM scratch\n")
    templates = [
        {
            "name": name,
            "image": f"r.example/{name}",
            "gate": gate,
            "build": {"directory": str(folder / name), "platforms": ["linux/amd64"]},
        }
        for name in NAMES
    ]
    return document("0.1.1", registry={"artifacts": "r.example/artifacts"}, templates=templates)


@pytest.fixture
async def parts(registry: str, tmp_path: Path) -> AsyncIterator[Parts]:
    settings = Settings(tmp_path, UNUSED, tmp_path / "none")
    async with Registry(RegistryAccess(registry, insecure=True)) as client:
        records = RegistryRecords(client, f"{registry}/t{secrets.token_hex(4)}/artifacts")
        await records.put(
            ReleaseRecord(
                package="x",
                version="0.1.1",
                publisher="default/molecule-runtime",
                wheel=await records.put_blob("x.whl", b"x"),
                content_sha256="0" * 64,
            )
        )
        checkouts = Checkouts(tmp_path, tmp_path / "checkouts", settings)
        yield Parts(
            UNUSED, UNUSED, records, UNUSED, UNUSED, settings, tmp_path, checkouts, say=lambda _: None
        )


async def ended(
    parts: Parts,
    results: Mapping[str, Any],
    *,
    away: Transient | None = None,
    gate: str = "Required",
    base: str | None = None,
) -> str | Problem:
    """How a cascade of two templates ends whose run leaves these results."""
    record = await parts.records.get("0.1.1")
    inputs = "" if base else INPUTS
    builds = tuple(TemplateBuild(name, inputs, "WheelChanged", rebuild=False, base=base) for name in NAMES)
    action = Cascade("0.1.1", record.wheel.sha256, builds, "a test")
    told = replace(parts, runs=Told(results, away))
    try:
        return await cascade(told, described(parts.folder, gate), action)
    except Problem as problem:
        return problem


async def test_a_build_that_must_not_fail_is_told_with_its_cure_and_holds_no_template_back(
    parts: Parts,
) -> None:
    results = {name: error("BuildFailed") for name in NAMES}
    problem = await ended(parts, results)
    assert isinstance(problem, PartlyFailed)
    for name in NAMES:
        told = (
            f"Template {name}: pip found nothing. Correct the template; the whole log is in {parts.folder}/"
        )
        assert str(problem.causes[name]).startswith(told)
    assert (await parts.records.get("0.1.1")).held_back == {}


async def test_a_build_that_may_fail_stays_behind_with_the_inputs_that_were_refused(parts: Parts) -> None:
    results = {name: error("BuildFailed") for name in NAMES}
    assert await ended(parts, results, gate="AllowFailure") == "echo: BuildFailed, greeter: BuildFailed"
    held = (await parts.records.get("0.1.1")).held_back
    assert {name: (note.reason, note.refused) for name, note in held.items()} == dict.fromkeys(
        NAMES, ("BuildFailed", (INPUTS,))
    )


async def test_what_cannot_be_tried_on_the_image_that_is_served_is_untested_whatever_its_gate(
    parts: Parts,
) -> None:
    results = {name: error("BuildFailed") for name in NAMES}
    assert await ended(parts, results, base=BASE) == "echo: Untested, greeter: Untested"
    held = (await parts.records.get("0.1.1")).held_back
    assert held["echo"].refused == (BASE,)
    assert held["echo"].message == (
        "Template echo: pip found nothing. So this version cannot be tried on the image that is served now."
    )


async def test_what_may_pass_by_itself_holds_no_template_back(parts: Parts) -> None:
    problem = await ended(
        parts, {name: error("RegistryAway", after=7.0) for name in NAMES}, gate="AllowFailure"
    )
    assert isinstance(problem, PartlyFailed)
    assert (await parts.records.get("0.1.1")).held_back == {}


async def test_of_a_run_that_asks_to_be_tried_again_each_template_waits_as_long_as_its_own_registry_says(
    parts: Parts,
) -> None:
    results = {"echo": error("RegistryAway", after=7.0), "greeter": error("RegistryAway", after=90.0)}
    problem = await ended(parts, results, away=AWAY)
    assert isinstance(problem, PartlyFailed)
    waits = {
        name: cause.retry_after for name, cause in problem.causes.items() if isinstance(cause, Transient)
    }
    assert waits == {"echo": 7.0, "greeter": 90.0}


async def test_a_run_that_leaves_nothing_ends_the_cascade_as_it_ended(parts: Parts) -> None:
    assert await ended(parts, {}, away=AWAY) is AWAY
