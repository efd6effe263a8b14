"""What is followed is read from memory, never older than what we wrote, and asked for where the stream is broken."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from controller.clients.kube import Conflict, Event, KubeCluster, Listed, Place, Resource
from controller.clients.kube_cache import KubeCache
from controller.model.errors import NotFound, Transient
from tests.cluster.cluster import Cluster

CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
OURS = "app=ours"


class Told(KubeCluster):
    """A cluster that counts what it is asked, and whose streams can be held up and broken."""

    asked = 0
    broken = False

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.kubeconfig, context=cluster.context)
        self.flows = asyncio.Event()
        self.flows.set()

    async def list(self, *arguments: Any, **more: Any) -> Listed:  # noqa: ANN401 -- those of the cluster
        self.asked += 1
        if self.broken:
            raise Transient("it is away")
        return await super().list(*arguments, **more)

    async def read(self, *arguments: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- those of the cluster
        self.asked += 1
        return await super().read(*arguments, **more)

    async def watch(self, *arguments: Any, **more: Any) -> AsyncGenerator[Event, None]:  # noqa: ANN401 -- those of the cluster
        if self.broken:
            raise Transient("it is away")
        async for event in super().watch(*arguments, **more):
            await self.flows.wait()
            if self.broken:
                raise Transient("it broke")
            yield event


@pytest.fixture
async def told(cluster: Cluster) -> AsyncIterator[Told]:
    async with Told(cluster) as opened:
        yield opened


class Followed:
    """A cache that follows the ConfigMaps of a namespace."""

    def __init__(self, told: Told, namespace: str) -> None:
        self.told, self.namespace = told, namespace
        self.cache = KubeCache(told)
        self.changed = asyncio.Event()
        self._following = asyncio.create_task(self.cache.follow(CONFIG_MAPS, namespace, self.changed.set))

    async def names(self, selector: str = OURS) -> list[str]:
        return [
            item["metadata"]["name"]
            for item in (await self.cache.list(CONFIG_MAPS, self.namespace, labels=selector)).items
        ]

    async def value(self, name: str) -> str:
        return str((await self.cache.read(CONFIG_MAPS, self.namespace, name))["data"]["value"])

    async def make(self, name: str, value: str = "1", app: str = "ours") -> None:
        body = {"metadata": {"name": name, "labels": {"app": app}}, "data": {"value": value}}
        await self.told.create(CONFIG_MAPS, self.namespace, body)

    async def until(self, names: list[str]) -> None:
        async with asyncio.timeout(5):
            while await self.names() != names:
                self.changed.clear()
                await self.changed.wait()

    async def close(self) -> None:
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)


@pytest.fixture
async def followed(told: Told, namespace: str) -> AsyncIterator[Followed]:
    made = Followed(told, namespace)
    await made.make("first")
    async with asyncio.timeout(5):
        await held(made, ["first"])
    yield made
    await made.close()


async def held(followed: Followed, names: list[str]) -> None:
    """Wait until these are what a look finds that asks the server for nothing."""
    while True:
        before = followed.told.asked
        if await followed.names() == names and followed.told.asked == before:
            return
        await asyncio.sleep(0.05)


async def caught_up(followed: Followed, value: str) -> None:
    """Wait until the first object is read with a value."""
    while True:
        if await followed.value("first") == value:
            return
        await asyncio.sleep(0.05)


async def test_what_is_followed_is_read_without_asking(followed: Followed) -> None:
    before = followed.told.asked
    await followed.make("second")
    await followed.make("foreign", app="theirs")
    await followed.until(["first", "second"])
    await followed.told.delete(CONFIG_MAPS, followed.namespace, "first")
    await followed.until(["second"])
    assert await followed.names("app in (theirs)") == ["foreign"]
    assert await followed.value("second") == "1"
    assert followed.told.asked == before


async def test_what_is_not_followed_is_asked_for(followed: Followed, told: Told) -> None:
    await followed.close()
    before = told.asked
    assert await followed.names() == ["first"]
    assert told.asked == before + 1


async def test_what_is_not_there_is_asked_for_before_it_counts_as_absent(followed: Followed) -> None:
    before = followed.told.asked
    with pytest.raises(NotFound):
        await followed.value("second")
    assert followed.told.asked == before + 1


async def test_nobody_who_wrote_sees_an_older_object_though_the_stream_lags(
    followed: Followed, told: Told
) -> None:
    told.flows.clear()
    at = Place(CONFIG_MAPS, followed.namespace, "first")
    await followed.cache.apply(at, {"data": {"value": "2"}}, manager="ours", force=True)
    assert await followed.value("first") == "2"
    told.flows.set()
    await asyncio.sleep(0.3)
    assert await followed.value("first") == "2"


async def test_a_write_on_what_was_old_has_the_next_look_be_at_what_is_there(
    followed: Followed, told: Told
) -> None:
    told.flows.clear()
    at = Place(CONFIG_MAPS, followed.namespace, "first")
    seen = await followed.cache.read(CONFIG_MAPS, followed.namespace, "first")
    await told.merge(at, {"data": {"value": "theirs"}}, manager="somebody")
    assert await followed.value("first") == "1", "the stream lags"
    version = {"metadata": {"resourceVersion": seen["metadata"]["resourceVersion"]}}
    with pytest.raises(Conflict):
        await followed.cache.apply(at, {**version, "data": {"value": "ours"}}, manager="ours", force=True)
    assert await followed.value("first") == "theirs"


async def test_while_the_stream_is_broken_nothing_is_told_as_if_it_were_so(
    followed: Followed, told: Told
) -> None:
    told.broken = True
    await told.merge(
        Place(CONFIG_MAPS, followed.namespace, "first"), {"data": {"value": "2"}}, manager="somebody"
    )
    await asyncio.sleep(0.3)
    with pytest.raises(Transient):
        await followed.names()
    told.broken = False
    async with asyncio.timeout(10):
        await caught_up(followed, "2")


async def test_who_waits_for_an_object_to_change_is_told_of_the_change_and_of_no_other(
    followed: Followed, told: Told
) -> None:
    at = Place(CONFIG_MAPS, followed.namespace, "first")
    seen = await followed.cache.read(CONFIG_MAPS, followed.namespace, "first")
    version = seen["metadata"]["resourceVersion"]
    waiting = asyncio.create_task(followed.cache.changed(at, version, seconds=60))
    await followed.make("second")
    await followed.until(["first", "second"])
    assert not waiting.done()
    await told.merge(at, {"data": {"value": "2"}}, manager="somebody")
    await asyncio.wait_for(waiting, 10)
    assert await followed.value("first") == "2"
    await asyncio.wait_for(followed.cache.changed(at, version, seconds=60), 20)


async def test_who_waits_for_what_nobody_follows_or_for_long_looks_again(followed: Followed) -> None:
    at = Place(CONFIG_MAPS, followed.namespace, "first")
    seen = await followed.cache.read(CONFIG_MAPS, followed.namespace, "first")
    await asyncio.wait_for(followed.cache.changed(at, seen["metadata"]["resourceVersion"], seconds=0.1), 5)
    await followed.close()
    await asyncio.wait_for(followed.cache.changed(at, "1", seconds=60), 5)
