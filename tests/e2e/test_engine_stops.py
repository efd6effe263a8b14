"""The Docker Engine stops in the middle of a rollout, or is killed there: nothing is lost, and never do both run."""

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import docker
import pytest
from docker.errors import DockerException

from tests.e2e.scene import Release, Scene
from tests.parts.engine import OwnEngine, start_engine, stop_engine

_LOOK_SECONDS = 0.02
_EXTRA = ("wsr-empty:1",)
"""What scenes need besides the releases' images."""


@dataclass
class Lookout:
    """Lists the running containers all the time; `both` are names of which two ran at once."""

    endpoint: str
    both: set[str] = field(default_factory=set)
    looks: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            with suppress(DockerException, OSError):
                client = docker.APIClient(base_url=self.endpoint, version="1.41", timeout=5)
                try:
                    rows = client.containers()
                finally:
                    client.close()
                names = (row["Names"][0].removeprefix("/") for row in rows)
                count = Counter(name.removeprefix("wsr-next-").removeprefix("wsr-prev-") for name in names)
                self.both |= {name for name, number in count.items() if number > 1}
                self.looks += 1


@pytest.fixture(scope="module")
def moved(second_release: Release, second_engine: OwnEngine) -> Iterator[Release]:
    """The same releases with their images in the second engine."""
    names = {name for images in second_release.images.values() for name in images.values()}
    theirs = docker.DockerClient(base_url=second_engine.endpoint)
    theirs.images.load(_saved(second_release.client, sorted({*names, *_EXTRA})))
    yield replace(second_release, engine=second_engine.endpoint, client=theirs)
    theirs.close()


def _saved(client: docker.DockerClient, names: list[str]) -> bytes:
    """The images as one archive, each layer once."""
    api = client.api
    answer = api.get(f"{api.base_url}/v{api.api_version}/images/get", params={"names": names})
    answer.raise_for_status()
    return bytes(answer.content)


@pytest.fixture
def scene(moved: Release, tmp_path: Path) -> Iterator[Scene]:
    """0.1.1 is asked for; only rolling is left to do."""
    with moved.copied(tmp_path) as scene:
        with scene.desk.editing() as spec:
            spec["targets"]["dockerHosts"][0]["endpoint"] = moved.engine
        yield scene


def assert_survives(scene: Scene, own: OwnEngine, number: signal.Signals, *, at: str, dies_too: bool) -> None:
    """The engine is stopped at a step of the second workspace's replacement and started again."""
    names = ("plain-1", "plain-2", "plain-3")
    workspaces = scene.populate("0.1.0", *names)
    before = scene.fleet.shapes()
    with scene.desk.editing() as spec:
        spec["rollout"]["maxUnavailable"] = 1
    with Lookout(own.endpoint) as lookout:
        running = scene.desk.start("run", "--once")
        running.until(f"{workspaces[1].name}: {at}$")
        stop_engine(own, number)
        if dies_too:
            running.kill()
        start_engine(own)
        if not dies_too:
            ended = running.end()
            assert ended.code == 0, ended.log
        if number is signal.SIGKILL:
            # The next engine ends what went on without the killed one, takes that for its owner's wish, and does not
            # start it again (unless-stopped): the owner has to, whether we were there or not.
            untouched = workspaces if at in {"Create", "Drain"} else (workspaces[0], workspaces[2])
            for workspace in untouched:
                scene.fleet.client.containers.get(workspace.name).start()
        scene.desk.run()
        for workspace in workspaces:
            scene.fleet.until(workspace, "0.1.1")
    scene.assert_all_run("0.1.1")
    after = scene.fleet.shapes()
    assert all(before[name].kept_by(after[name]) for name in before)
    assert lookout.looks, "nobody looked"
    assert lookout.both == set()


def test_an_engine_that_is_stopped_in_the_middle_of_a_switch_loses_nothing(
    scene: Scene, second_engine: OwnEngine
) -> None:
    # The worst moment: what it ends while it shuts down must not be taken for what their owners have stopped.
    assert_survives(scene, second_engine, signal.SIGTERM, at="AwaitProof", dies_too=False)


@pytest.mark.long
@pytest.mark.parametrize("dies_too", [False, True], ids=["run lives", "run dies too"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    "at", ["Create", "Drain", "StopOld", "RenameOld", "StartNew", "AwaitProof", "RemoveOld"]
)
def test_an_engine_that_ends_at_any_step_loses_nothing(
    scene: Scene, second_engine: OwnEngine, at: str, number: signal.Signals, *, dies_too: bool
) -> None:
    assert_survives(scene, second_engine, number, at=at, dies_too=dies_too)
