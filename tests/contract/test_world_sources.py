"""Each source of a release is read for a time of its own, and each repository for itself: one that is away is one."""

import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.plan.state import Blocked, UpToDate, classify
from controller.reconcile.readings import Readings
from controller.standalone.session import open_session
from tests.contract.lying_proxy import LyingProxy, lying_proxy
from tests.contract.released import VERSIONS, document_of, release

SECONDS = 1.5


@pytest.fixture
async def proxy(registry: str) -> AsyncIterator[LyingProxy]:
    """A proxy before a registry in which all versions were released."""
    async with lying_proxy(registry) as proxy:
        yield proxy


@pytest.fixture
async def file(proxy: LyingProxy, engine: str, tmp_path: Path) -> Path:
    """The document of these versions."""
    repository = f"{proxy.address}/t{secrets.token_hex(4)}"
    for version in VERSIONS:
        await release(repository, version)
    return document_of(tmp_path, repository=repository, engine=engine)


async def seen(file: Path, *, seconds: float = 30.0) -> tuple[Observation, object, float]:
    """What one look saw, the state that follows, and the seconds that it took."""
    async with open_session(file, state=file.parent / "state", secrets=None) as session:
        world = replace(
            session.world, releases=replace(session.world.releases, readings=Readings(seconds=seconds))
        )
        began = time.monotonic()
        observation = await world.observe(session.document, earlier=None)
        return observation, classify(session.document, observation), time.monotonic() - began


async def test_a_repository_that_refuses_leaves_the_others_known_and_says_what_to_do(
    file: Path, proxy: LyingProxy
) -> None:
    def refuse(request: web.Request) -> web.Response | None:
        return web.Response(status=403) if "/greeter/manifests/" in request.path else None

    proxy.refuse = refuse
    observation, state, _ = await seen(file)
    assert isinstance(observation.images, Known)
    assert {name.rpartition("/")[2] for name in observation.images.value} == {"echo:latest", "echo:0.1.2-x"}
    assert {name.rpartition("/")[2] for name in observation.unread} == {"greeter:latest", "greeter:0.1.2-x"}
    assert isinstance(state, Blocked)
    assert state.source == "images"
    assert state.message.endswith(
        "Name a Secret in registry.pushSecretName (to read: pullSecretName), or run docker login for this registry."
    )
    proxy.refuse = lambda _: None
    observation, state, _ = await seen(file)
    assert observation.unread == {}
    assert isinstance(state, UpToDate)


async def test_one_image_of_which_nothing_comes_is_unknown_after_its_time_and_the_others_are_known(
    file: Path, proxy: LyingProxy
) -> None:
    proxy.silent = lambda request: request.path.endswith("/greeter/manifests/latest")
    observation, _, took = await seen(file, seconds=SECONDS)
    (reference,) = observation.unread
    assert reference.endswith("/greeter:latest")
    assert observation.unread[reference].reason == "it did not answer within 1.5 s"
    assert isinstance(observation.images, Known)
    assert len(observation.images.value) == 3
    assert took < 10 * SECONDS


async def test_a_registry_of_which_nothing_comes_holds_up_a_look_for_the_time_of_each_source_in_turn(
    file: Path, proxy: LyingProxy
) -> None:
    proxy.silent = lambda _: True
    observation, state, took = await seen(file, seconds=SECONDS)
    for source in (observation.records, observation.images):
        assert isinstance(source, Unknown)
        assert source.reason == "it did not answer within 1.5 s"
    assert isinstance(observation.targets, Known)
    assert state == Blocked("release records", "it did not answer within 1.5 s")
    assert took < 10 * SECONDS
