"""Parts that go away in the middle of the work, and come back."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from tests.contract.publishing import proxy_before
from tests.e2e.desk import PACKAGE
from tests.e2e.proxy import Proxy, before_tcp, before_unix
from tests.e2e.scene import Scene
from tests.parts.servers import free_port


@pytest.fixture
def engine_proxy(rollout: Scene, tmp_path: Path) -> Iterator[Proxy]:
    """The document's engine is reached through a proxy."""
    host = rollout.desk.spec["targets"]["dockerHosts"][0]
    own = tmp_path / "engine.sock"
    with before_unix(Path(host["endpoint"].removeprefix("unix://")), own) as proxy:
        with rollout.desk.editing() as spec:
            spec["targets"]["dockerHosts"][0]["endpoint"] = f"unix://{own}"
        yield proxy


@pytest.fixture
def index_proxy(scene: Scene) -> Iterator[Proxy]:
    """The document's index is reached through a proxy."""
    address = urlsplit(scene.index.simple_url)
    host, port = str(address.hostname), address.port or 0
    own = free_port(host)
    with before_tcp((host, port), (host, own)) as proxy:
        with scene.desk.editing() as spec:
            for name, url in (("uploadURL", scene.index.upload_url), ("simpleURL", scene.index.simple_url)):
                spec["package"]["index"][name] = url.replace(f":{port}/", f":{own}/")
        yield proxy


@pytest.mark.long
@pytest.mark.parametrize("step", ["StopOld", "AwaitProof"])
def test_an_engine_that_goes_away_in_the_middle_of_a_replacement_loses_nothing(
    rollout: Scene, engine_proxy: Proxy, step: str
) -> None:
    fleet = rollout.fleet
    rollout.populate("0.1.0", "plain-1", "polite-1")
    before = fleet.shapes()
    running = rollout.desk.start("run", "--once")
    running.until(f"{step}$")
    engine_proxy.cut_for(3)
    ended = running.end()
    assert ended.code == 0, ended.log
    rollout.assert_all_run("0.1.1")
    after = fleet.shapes()
    assert all(before[name].kept_by(after[name]) for name in before)


def test_an_engine_that_is_away_is_waited_for_and_nothing_is_guessed(
    rollout: Scene, engine_proxy: Proxy
) -> None:
    rollout.populate("0.1.0", "plain-1")
    before = rollout.fleet.shapes()
    engine_proxy.cut()
    ended = rollout.desk.run("--wait", "3s", code=3)
    assert "Not yet after 3 s" in ended.log
    assert str(engine_proxy_path(rollout)) in ended.log
    ready = rollout.desk.condition("Ready")
    assert ready is not None
    assert ready["status"] != "True"
    assert rollout.fleet.shapes() == before
    engine_proxy.restore()
    rollout.desk.run()
    rollout.assert_all_run("0.1.1")


def engine_proxy_path(scene: Scene) -> str:
    return str(scene.desk.spec["targets"]["dockerHosts"][0]["endpoint"]).removeprefix("unix://")


def test_an_index_that_goes_away_before_publication_stops_everything_until_it_is_back(
    scene: Scene, index_proxy: Proxy
) -> None:
    desk = scene.desk
    desk.only("plain")
    scene.populate("0.1.0", "plain-1")
    before = scene.fleet.shapes()
    desk.bump("0.1.1")
    running = desk.start("run", "--once")
    running.until("probe 0.1.1 plain: because")
    index_proxy.cut()
    running.until(f"Unknown: The package index cannot be read: .*:{index_proxy_port(scene)}/")
    ended = running.interrupt()
    assert ended.code == 1
    assert not ended.lines("replace ")
    published = desk.condition("Published")
    assert published is not None
    assert published["status"] == "Unknown"
    assert str(index_proxy_port(scene)) in published["message"]
    assert scene.fleet.shapes() == before
    assert scene.published() == ["0.1.0"]

    away = desk.run("--wait", "3s", code=3)
    assert "Not yet after 3 s: Unknown: The package index cannot be read: " in away.log
    assert not away.lines("package 0.1.1|cascade 0.1.1|probe 0.1.1"), "the proven candidates are kept"
    running = desk.start("run", "--once")
    running.until("Unknown: The package index")
    index_proxy.restore()
    ended = running.end()
    assert ended.code == 0, ended.log
    scene.assert_all_run("0.1.1")
    assert scene.published() == ["0.1.0", "0.1.1"]


def index_proxy_port(scene: Scene) -> int:
    return urlsplit(scene.desk.spec["package"]["index"]["simpleURL"]).port or 0


def test_an_index_that_is_away_is_never_taken_for_one_without_the_version(
    scene: Scene, index_proxy: Proxy
) -> None:
    scene.desk.bump("0.1.1")
    index_proxy.cut()
    ended = scene.desk.run("--wait", "2s", code=3)
    assert not ended.lines("package 0.1.1|adopt 0.1.1")
    ready = scene.desk.condition("Ready")
    assert ready is not None
    assert "package index" in ready["message"]


async def test_a_publication_that_the_index_does_not_show_yet_says_so_in_the_status(scene: Scene) -> None:
    desk = scene.desk
    desk.only("plain")
    desk.bump("0.1.1")
    shown = asyncio.Event()

    async with proxy_before(scene.index) as proxy:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{scene.index.simple_url}{PACKAGE}/") as page,
        ):
            before, kind = await page.read(), page.content_type

        async def as_it_was(request: web.Request) -> web.StreamResponse | None:
            if "simple/" not in request.path or shown.is_set():
                return None
            return web.Response(body=before, content_type=kind)

        proxy.faults.append(as_it_was)
        with desk.editing() as spec:
            spec["package"]["index"] |= {
                "uploadURL": proxy.index.upload_url,
                "simpleURL": proxy.index.simple_url,
                "visibleDeadlineSeconds": 120,
            }
        running = await asyncio.to_thread(desk.start, "run", "--once")
        stem = f"{PACKAGE.replace('-', '_')}-0.1.1"
        line = f"Waiting for the index: {stem}-py3-none-any.whl, {stem}.tar.gz not listed yet"
        await asyncio.to_thread(running.until, re.escape(line))
        # At once, and not when the loop would look again by itself.
        await asyncio.to_thread(running.until, f"IndexNotVisible: {re.escape(line)}.$", seconds=10)
        published = await asyncio.to_thread(desk.condition, "Published")
        assert published is not None
        assert (published["status"], published["reason"], published["message"]) == (
            "False",
            "IndexNotVisible",
            f"{line}.",
        )
        shown.set()
        ended = await asyncio.to_thread(running.end)
    assert ended.code == 0, ended.log
    assert "0.1.1" in scene.published()
