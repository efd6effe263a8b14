"""Replacement alone: twenty containers to another image, against the fewest calls that an engine can do it with."""

import asyncio
import http.client
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import Any

import docker

from controller.act.replace import replace
from controller.clients.docker import DockerEngine
from controller.model.replacement import Replaced
from controller.plan.fleet import PER_HOST_LIMIT
from tests.bench.figures import Figure, at_most
from tests.bench.outside import ANSWER_SECONDS, EVERY_SECONDS, watching
from tests.bench.site import Site, listed, say
from tests.demo.client import Workspace
from tests.e2e.fleet import Fleet
from tests.parts.replacing import order
from tests.parts.stand_in import StandInImage, StandIns, stand_ins

CONTAINERS = 20
_STOP_SECONDS = 10
_READY_SECONDS = 20.0

Move = Callable[[list[Workspace], StandInImage], None]


def measure(site: Site) -> list[Figure]:
    """Both sides without anybody watching, for the ratio; then both once more per pair with the outside client.

    Asking all twenty every 20 ms takes most of a core from what is measured, so each run watches its share of them.
    """
    with stand_ins(site.engine, site.base_image) as images:
        trial = _Trial(site, images)
        ours, floor = site.alternate(
            lambda _: trial.seconds(trial.ours), lambda _: trial.seconds(trial.floor)
        )
        say(f"replace: ours {listed(ours)} s, floor {listed(floor)} s")
        our_gaps, floor_gaps = site.alternate(
            lambda number: trial.gaps(trial.ours, number), lambda number: trial.gaps(trial.floor, number)
        )
    seen, below = list(chain.from_iterable(our_gaps)), list(chain.from_iterable(floor_gaps))
    say(f"replace: median gap {statistics.median(seen):.2f} s, of the floor {statistics.median(below):.2f} s")
    return _figures(ours, floor, seen, below)


def _figures(ours: list[float], floor: list[float], seen: list[float], below: list[float]) -> list[Figure]:
    what = f"{CONTAINERS} containers of a trivial image, {PER_HOST_LIMIT} at a time"
    against = "the engine's create, stop, start, wait until it answers, remove by plain SDK calls"
    gaps = (
        f"{what}, an outside process asks every {EVERY_SECONDS * 1000:g} ms (runs of their own, each watching its share"
        " of the containers); {} from the last answer before to the first one after; the floor's: {}"
    )
    middle = statistics.median(below)
    return [
        Figure.times_the_floor(
            "replace.ratio", ours, floor, bar=at_most(1.5),
            how=f"{what}: controller.act.replace (drain and proof included) over {against}; median of the pairs",
        ),
        Figure.middle("replace.gapMedian", seen, below, how=gaps.format("median", f"{middle:.3f} s")),
        Figure.largest("replace.gapMax", seen, below, how=gaps.format("largest", f"{max(below):.3f} s")),
    ]  # fmt: skip


class _Trial:
    """One fleet at a time, made anew for each measurement so that both sides begin with the same containers."""

    def __init__(self, site: Site, images: StandIns) -> None:
        self._site = site
        self._old, self._new = images.image("1.0.0"), images.image("2.0.0")
        self._api = docker.APIClient(base_url=site.engine, timeout=120, max_pool_size=PER_HOST_LIMIT)

    def seconds(self, move: Move) -> float:
        """Seconds of a move that nobody watches."""
        with self._fleet() as workspaces:
            begun = time.monotonic()
            move(workspaces, self._new)
            seconds = time.monotonic() - begun
            self._assert_moved(workspaces)
        return seconds

    def gaps(self, move: Move, number: int) -> list[float]:
        """Seconds without an answer of the containers that run `number` watches; all runs watch all of them once."""
        with self._fleet() as workspaces:
            watched = workspaces[number :: self._site.pairs]
            with watching([workspace.port for workspace in watched]) as watch:
                move(workspaces, self._new)
                # the client may still wait for an answer that it asked for during a gap; not part of any figure
                time.sleep(ANSWER_SECONDS + 5 * EVERY_SECONDS)
            self._assert_moved(workspaces)
        assert min(watch.gaps.values()) > 0, "a container was replaced without anybody noticing"
        return list(watch.gaps.values())

    def ours(self, workspaces: list[Workspace], image: StandInImage) -> None:
        """Replace them as the reconciler does, without the reconciler."""
        asyncio.run(self._replace_all(workspaces, image))

    async def _replace_all(self, workspaces: list[Workspace], image: StandInImage) -> None:
        turns = asyncio.Semaphore(PER_HOST_LIMIT)
        async with DockerEngine(self._site.engine) as engine:

            async def one(name: str) -> None:
                async with turns:
                    result = await replace(engine, order(name, image, stop_grace_seconds=_STOP_SECONDS))
                assert isinstance(result, Replaced), f"{name}: {result}"

            async with asyncio.TaskGroup() as group:
                for workspace in workspaces:
                    group.create_task(one(workspace.name))

    def floor(self, workspaces: list[Workspace], image: StandInImage) -> None:
        """What no replacement can do without; what to create is known beforehand."""
        with ThreadPoolExecutor(PER_HOST_LIMIT) as pool:
            list(pool.map(lambda workspace: self._floor_of_one(workspace, image), workspaces))

    def _floor_of_one(self, workspace: Workspace, image: StandInImage) -> None:
        api = self._api
        new = api.create_container_from_config(  # type: ignore[no-untyped-call]  # the stubs leave it bare
            {**self._configs[workspace.name], "Image": image.reference}, name=f"{workspace.name}-new"
        )["Id"]
        api.stop(workspace.name, timeout=_STOP_SECONDS)
        api.start(new)
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(workspace.port):
            assert time.monotonic() < deadline, f"{workspace.name} does not answer"
            time.sleep(EVERY_SECONDS)
        api.remove_container(workspace.name)

    @contextmanager
    def _fleet(self) -> Iterator[list[Workspace]]:
        fleet = Fleet(
            self._site.engine, f"{self._site.prefix}r-", {"bench.test/side": "either"}, self._site.client
        )
        try:
            with ThreadPoolExecutor(PER_HOST_LIMIT) as pool:
                names = [f"ws-{number}" for number in range(CONTAINERS)]
                workspaces = list(pool.map(lambda name: fleet.add(name, self._old.reference), names))
            for workspace in workspaces:
                fleet.until(workspace, self._old.version)
            self._configs = {one.name: self._config(one.name) for one in workspaces}
            yield workspaces
        finally:
            fleet.close()

    def _config(self, name: str) -> dict[str, Any]:
        """What its owner asked for, without what its image says: that comes from the next image."""
        seen = self._api.inspect_container(name)
        of_image = self._site.client.images.get(seen["Image"]).attrs["Config"]["Env"]
        config = {key: seen["Config"][key] for key in ("Labels", "ExposedPorts")}
        own = [line for line in seen["Config"]["Env"] if line not in of_image]
        return {**config, "Env": own, "HostConfig": seen["HostConfig"]}

    def _assert_moved(self, workspaces: list[Workspace]) -> None:
        for workspace in workspaces:
            version = workspace.runtime()["version"]
            assert version == self._new.version, f"{workspace.name} reports {version}"


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/runtime")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
