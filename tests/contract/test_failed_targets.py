"""What a target that did not come up leaves in the record: the version held, one template alone, or neither."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.api.v1alpha1 import Template
from controller.clients.parts import Parts
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.model.actions import Replace
from controller.model.errors import Terminal, Transient
from controller.model.record import Verdict
from controller.model.replacement import Cause, RolledBack
from controller.model.template_record import TemplateRecord
from controller.reconcile.roll import concluded
from tests.contract.record_promises import NOON, record
from tests.unit.simulator.ground import document

UNUSED: Any = None
TEXT = "docker/local/ws-1 did not come up with 0.1.1 and is back on its old image: It exited."
GOOD = Verdict(value="Good", reason="UpToDate", time=NOON)
THEIRS = Template.model_validate(
    {"name": "greeter", "image": "r.example/greeter", "build": {"strategy": "Follow"}}
)
OURS = Template.model_validate(
    {"name": "greeter", "image": "r.example/greeter", "build": {"directory": "greeter"}}
)


@pytest.fixture
async def parts(registry: str) -> AsyncIterator[Parts]:
    async with Registry(RegistryAccess(registry, insecure=True)) as client:
        records = RegistryRecords(client, f"{registry}/t{secrets.token_hex(4)}/artifacts")
        yield Parts(UNUSED, UNUSED, records, UNUSED, UNUSED, UNUSED, Path(), UNUSED, say=lambda _: None)


async def begin(parts: Parts, *, verdict: Verdict | None, minutes: int = 1) -> None:
    image = TemplateRecord(
        image="r.example/greeter:0.1.1",
        image_id=f"sha256:{'1' * 64}",
        proven=True,
        built_time=NOON + timedelta(minutes=minutes),
    )
    released = record("0.1.1").with_template("greeter", image)
    await parts.records.put(released if verdict is None else released.judged(verdict))


async def fail(
    parts: Parts, template: Template, target: str = "ws-1", *, witnessed: bool = True, spare: int = 0
) -> str:
    registry = {"mode": "Remote", "artifacts": "r.example/artifacts"}
    asked = document("0.1.1", templates=[template.model_dump(mode="json")], registry=registry)
    image = f"sha256:{'1' * 64}"
    action = Replace(f"docker/local/{target}", "0.1.1", "greeter", image, "", wave="canary", spare=spare)
    return await concluded(
        parts, asked, action, RolledBack("old", Cause.EXITED, "It exited.", witnessed=witnessed)
    )


async def test_an_image_that_came_after_the_verdict_is_held_back_alone_by_however_many_targets(
    parts: Parts,
) -> None:
    await begin(parts, verdict=GOOD)
    for target in ("ws-1", "ws-2"):
        assert (await fail(parts, THEIRS, target)).startswith("failed: ")
    kept = await parts.records.get("0.1.1")
    assert kept.verdict == GOOD
    assert kept.held_back["greeter"].reason == "RolloutFailed"
    assert kept.held_back["greeter"].refused == (f"sha256:{'1' * 64}",)


@pytest.mark.parametrize(("template", "minutes"), [(THEIRS, -1), (OURS, 1)], ids=["judged with it", "ours"])
async def test_where_others_run_the_image_the_target_itself_is_to_be_looked_at(
    parts: Parts, template: Template, minutes: int
) -> None:
    await begin(parts, verdict=GOOD, minutes=minutes)
    with pytest.raises(Terminal) as refused:
        await fail(parts, template)
    assert refused.value.message.startswith(TEXT)
    kept = await parts.records.get("0.1.1")
    assert (kept.verdict, kept.held_back) == (GOOD, {})


async def test_before_the_verdict_the_version_is_held(parts: Parts) -> None:
    await begin(parts, verdict=None)
    await fail(parts, THEIRS)
    kept = await parts.records.get("0.1.1")
    assert kept.verdict is not None
    assert (kept.verdict.value, kept.verdict.reason, kept.verdict.message) == (
        "Failed",
        "RolloutFailed",
        TEXT,
    )


async def test_a_wave_that_bears_a_failure_leaves_the_target_noted_and_the_next_one_holds_the_version(
    parts: Parts,
) -> None:
    await begin(parts, verdict=None)
    await fail(parts, OURS, spare=1)
    kept = await parts.records.get("0.1.1")
    assert (kept.verdict, set(kept.failures)) == (None, {"default/molecule-runtime docker/local/ws-1"})
    assert kept.failures["default/molecule-runtime docker/local/ws-1"].message == TEXT
    await fail(parts, OURS, "ws-2", spare=1)
    assert (await parts.records.get("0.1.1")).failed


async def test_an_image_that_another_one_followed_meanwhile_fails_neither_that_one_nor_the_version(
    parts: Parts,
) -> None:
    await begin(parts, verdict=None)
    second = TemplateRecord(
        image="r.example/greeter:0.1.1-b", image_id=f"sha256:{'2' * 64}", proven=True, built_time=NOON
    )
    await parts.records.amend("0.1.1", lambda current: current.delivered("greeter", second))
    assert await fail(parts, THEIRS) == (
        "failed: Exited: It exited. Another image of 0.1.1 has taken its place since."
    )
    kept = await parts.records.get("0.1.1")
    assert (kept.verdict, kept.held_back) == (None, {})


async def test_what_was_no_fault_of_the_image_is_tried_again_and_not_recorded(parts: Parts) -> None:
    await begin(parts, verdict=GOOD)
    with pytest.raises(Transient):
        await fail(parts, THEIRS, witnessed=False)
    assert (await parts.records.get("0.1.1")).held_back == {}
