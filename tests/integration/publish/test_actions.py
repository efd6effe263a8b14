"""Publication and adoption on a real index and real records: the bytes that are recorded are those that are served."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from controller.act.adopt import adopt
from controller.act.package import package
from controller.act.publish import publish
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.checkouts import Checkouts
from controller.clients.docker import DockerEngine
from controller.clients.engine_records import EngineRecords
from controller.clients.index import PackageIndex
from controller.clients.parts import Parts
from controller.clients.runs import Runs
from controller.model.actions import Adopt, Package, Publish
from controller.model.errors import NotFound, Terminal, Transient
from controller.model.record import ReleaseRecord
from controller.reconcile.docker_prover import DockerProver
from controller.reconcile.image_facts import ImageFacts
from controller.reconcile.release_world import ReleaseWorld
from controller.settings import Settings
from controller.standalone.watching import watch
from controller.standalone.world import StandaloneWorld
from tests.contract.publishing import Made, Proxy, make_release, proxy_before
from tests.parts.index import Index
from tests.parts.small_wheel import make_wheel
from tests.unit.simulator.ground import document


@dataclass(frozen=True)
class Place:
    """One object's actions, with a proxy before its index."""

    parts: Parts
    proxy: Proxy
    real: Index
    project: str
    said: list[str] = field(default_factory=list)

    @property
    def document(self) -> WorkspaceRuntime:
        index = {
            "uploadURL": self.proxy.index.upload_url,
            "simpleURL": self.proxy.index.simple_url,
            "credentialsSecretName": "index",
            "visibleDeadlineSeconds": 10,
        }
        return document(
            "0.1.1", package={"name": self.project, "index": index}, source={"directory": "source"}
        )

    async def record(self, made: Made) -> ReleaseRecord:
        """Record a release as packaged and not public."""
        kept = [
            await self.parts.records.put_blob(file.name, file.read_bytes())
            for file in (made.wheel, made.sdist)
        ]
        record = ReleaseRecord(
            package=self.project,
            version="0.1.1",
            publisher="default/molecule-runtime",
            wheel=kept[0],
            sdist=kept[1],
            content_sha256="0" * 64,
        )
        await self.parts.records.put(record)
        return record


on_each_index = pytest.mark.parametrize("place", ["pypiserver", "devpi"], indirect=True)
"""For what an index may do in its own way; the other tests' faults are the proxy's, or none of an index at all."""


@pytest.fixture
async def place(
    request: pytest.FixtureRequest, engine: str, docker_prefix: str, tmp_path: Path
) -> AsyncIterator[Place]:
    real: Index = request.getfixturevalue(getattr(request, "param", "pypiserver"))
    secret = tmp_path / "secrets" / "index"
    secret.mkdir(parents=True)
    for name, content in (("username", real.username), ("password", real.password)):
        (secret / name).write_text(content)
        (secret / name).chmod(0o600)
    settings = Settings(
        state_dir=tmp_path,
        docker_host=engine,
        docker_config=tmp_path / "none",
        secrets_dir=tmp_path / "secrets",
    )
    said: list[str] = []
    async with (
        proxy_before(real) as proxy,
        DockerEngine(engine) as docker,
        PackageIndex(proxy.index.simple_url) as index,
    ):
        parts = Parts(
            engine=docker,
            index=index,
            records=EngineRecords(docker, f"{docker_prefix}records"),
            runs=Runs(dict(os.environ), parallel=2),
            prover=DockerProver(docker, "test/publish", settings),
            settings=settings,
            folder=tmp_path / "work",
            checkouts=Checkouts(tmp_path, tmp_path / "checkouts", settings),
            say=said.append,
        )
        yield Place(parts, proxy, real, f"wsr-act-{secrets.token_hex(4)}", said)


def publication(record: ReleaseRecord) -> Publish:
    return Publish("0.1.1", record.wheel.sha256, "test")


@on_each_index
async def test_the_recorded_bytes_are_published_and_again_is_no_work(place: Place, tmp_path: Path) -> None:
    made = make_release(tmp_path / "dist", place.project, "0.1.1")
    record = await place.record(made)
    # The bytes on disk are somebody's rebuild by now; only those that were recorded count.
    make_release(tmp_path / "again", place.project, "0.1.1", salt="rebuilt")
    assert await publish(place.parts, place.document, publication(record)) == "the index serves it"
    assert place.real.files(place.project) == made.sha256
    first = await place.parts.records.get("0.1.1")
    assert first.published_time is not None
    uploads = place.proxy.uploads
    assert await publish(place.parts, place.document, publication(record)) == "it was there already"
    assert place.proxy.uploads == uploads


async def test_what_is_waited_for_is_known_while_it_is_waited_for_and_not_afterwards(
    place: Place, tmp_path: Path
) -> None:
    made = make_release(tmp_path / "dist", place.project, "0.1.1")
    action = publication(await place.record(made))
    seen: list[dict[str, str]] = []

    async def hide(request: web.Request) -> web.StreamResponse | None:
        if "simple/" not in request.path or not place.proxy.uploads or len(seen) > 3:
            return None
        seen.append(dict(place.parts.waits))
        return web.Response(status=404)

    place.proxy.faults.append(hide)
    await publish(place.parts, place.document, action)
    line = f"Waiting for the index: {made.wheel.name}, {made.sdist.name} not listed yet"
    assert seen[0] == {}
    assert seen[-1] == {action.key: line}
    assert place.parts.waits == {}
    assert place.parts.news.is_set()
    assert line in place.said


async def test_what_is_waited_for_wakes_the_loop(place: Place, tmp_path: Path) -> None:
    wake = asyncio.Event()
    watching = asyncio.create_task(
        watch(
            StandaloneWorld(ReleaseWorld(place.parts, None, ImageFacts(place.parts, None, None))),
            place.document,
            (tmp_path / "runtime.yaml",),
            wake,
        )
    )
    try:
        with place.parts.waiting("publish/0.1.1/x") as note:
            note("Waiting for the index")
        async with asyncio.timeout(5):
            while place.parts.news.is_set():  # noqa: ASYNC110 -- nobody tells when it is taken
                await asyncio.sleep(0.01)
        assert wake.is_set()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@on_each_index
async def test_other_bytes_on_the_index_are_refused_and_the_version_is_not_noted_as_public(
    place: Place, tmp_path: Path
) -> None:
    theirs = make_release(tmp_path / "theirs", place.project, "0.1.1", salt="theirs")
    await publish(place.parts, place.document, publication(await place.record(theirs)))
    ours = await place.record(make_release(tmp_path / "ours", place.project, "0.1.1"))
    with pytest.raises(Terminal) as caught:
        await publish(place.parts, place.document, publication(ours))
    assert caught.value.reason == "OtherBytes"
    assert caught.value.message.startswith(
        f"The index serves {ours.wheel.file} with sha256 {theirs.sha256[ours.wheel.file]}, and ours has {ours.wheel.sha256}."
    )
    assert (await place.parts.records.get("0.1.1")).published_time is None
    assert place.real.files(place.project) == theirs.sha256


async def test_a_record_of_another_wheel_than_was_decided_on_is_not_published(
    place: Place, tmp_path: Path
) -> None:
    record = await place.record(make_release(tmp_path / "dist", place.project, "0.1.1"))
    decided = replace(publication(record), wheel_sha256="f" * 64)
    with pytest.raises(Transient) as caught:
        await publish(place.parts, place.document, decided)
    assert str(caught.value) == (
        f"The record of 0.1.1 names wheel {record.wheel.sha256} by now, and {'f' * 64} was to be published"
    )
    assert place.proxy.uploads == 0


async def test_a_local_version_is_refused_before_anything_is_uploaded(place: Place, tmp_path: Path) -> None:
    record = await place.record(make_release(tmp_path / "dist", place.project, "0.1.1"))
    await place.parts.records.put(record.model_copy(update={"version": "0.1.1+here"}))
    decided = replace(publication(record), version="0.1.1+here")
    with pytest.raises(Terminal) as caught:
        await publish(place.parts, place.document, decided)
    assert (caught.value.reason, caught.value.message) == (
        "PublishRefused",
        "0.1.1+here is a local version, which no index takes.",
    )
    assert place.proxy.uploads == 0


async def test_a_record_that_is_written_anew_during_the_upload_is_not_noted_as_public(
    place: Place, tmp_path: Path
) -> None:
    record = await place.record(make_release(tmp_path / "dist", place.project, "0.1.1"))
    other = make_release(tmp_path / "other", place.project, "0.1.1", salt="other")

    async def write_anew(request: web.Request) -> None:
        if request.method == "POST":
            await place.record(other)

    place.proxy.faults.append(write_anew)
    with pytest.raises(Transient, match=r"^The record of 0\.1\.1 names wheel "):
        await publish(place.parts, place.document, publication(record))
    assert (await place.parts.records.get("0.1.1")).published_time is None


async def test_a_second_run_of_the_same_source_keeps_the_record_of_the_first(
    place: Place, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.py").write_text("def main_sync() -> None:\n    pass\n")
    action = Package("0.1.1", "given", "test")
    await package(place.parts, place.document, action)
    first = await place.parts.records.get("0.1.1")
    assert first.inputs_sha256 is not None
    marked = first.model_copy(update={"publisher": "default/the-first"})
    await place.parts.records.put(marked)
    told = await package(place.parts, place.document, action)
    assert told == f"{first.wheel.file} {first.wheel.sha256[:12]}, as another run recorded it"
    assert await place.parts.records.get("0.1.1") == marked
    (source / "main.py").write_text("def main_sync() -> None:\n    print()\n")
    await package(place.parts, place.document, action)
    moved_on = await place.parts.records.get("0.1.1")
    assert moved_on.publisher == place.document.key
    assert moved_on.wheel.sha256 != first.wheel.sha256


NAME = "molecule-ai-workspace-runtime"


class TestAdoption:
    """What an index serves already, taken over."""

    @pytest.fixture
    async def served(self, place: Place, tmp_path: Path) -> tuple[Place, Path]:
        """A version of the runtime on the index, with a version of its own for each test: the index is shared."""
        version = f"0.0.{secrets.randbelow(10**9)}"  # below all that others ask for
        wheel = make_wheel(tmp_path / "public", version).path
        async with aiohttp.ClientSession() as session:
            form = aiohttp.FormData({":action": "file_upload", "name": NAME, "version": version})
            for key, value in {
                "metadata_version": "2.1",
                "filetype": "bdist_wheel",
                "pyversion": "py3",
            }.items():
                form.add_field(key, value)
            form.add_field("content", wheel.read_bytes(), filename=wheel.name)
            auth = aiohttp.encode_basic_auth(place.real.username, place.real.password)
            async with session.post(
                place.real.upload_url, data=form, headers={"Authorization": auth}
            ) as answer:
                assert answer.status == 200, await answer.text()
        return replace(place, project=NAME), wheel

    def action(self, wheel: Path) -> Adopt:
        return Adopt(wheel.name.split("-")[1], "test")

    @on_each_index
    async def test_the_served_bytes_are_recorded_as_public_without_a_source(
        self, served: tuple[Place, Path]
    ) -> None:
        place, wheel = served
        action = self.action(wheel)
        await adopt(place.parts, place.document, action)
        record = await place.parts.records.get(action.version)
        assert record.wheel.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
        assert await place.parts.records.get_blob(record.wheel) == wheel.read_bytes()
        assert record.published_time is not None
        assert (record.source_commit, record.tree_sha256, record.inputs_sha256) == (None, None, None)
        assert (record.builder_version, record.sdist) == (None, None)
        assert place.proxy.uploads == 0

    async def test_what_another_object_has_recorded_is_noted_as_public_and_stays_its_own(
        self, served: tuple[Place, Path]
    ) -> None:
        place, wheel = served
        action = self.action(wheel)
        await adopt(place.parts, place.document, action)
        taken_over = await place.parts.records.get(action.version)
        theirs = {"publisher": "default/who-built-it", "tree_sha256": "a" * 64, "published_time": None}
        built = taken_over.model_copy(update=theirs)
        await place.parts.records.put(built)
        told = await adopt(place.parts, place.document, action)
        assert told == f"{wheel.name} {built.wheel.sha256[:12]}, as it is recorded and as the index serves it"
        public = await place.parts.records.get(action.version)
        assert public.published_time is not None
        assert public.model_copy(update={"published_time": None}) == built

    async def test_bytes_that_are_not_those_that_the_index_lists_are_refused(
        self, served: tuple[Place, Path]
    ) -> None:
        place, wheel = served

        async def spoil(request: web.Request) -> web.StreamResponse | None:
            return web.Response(body=b"other") if request.path.endswith(wheel.name) else None

        place.proxy.faults.append(spoil)
        with pytest.raises(Terminal) as caught:
            await adopt(place.parts, place.document, self.action(wheel))
        assert caught.value.reason == "IndexCorrupt"
        assert str(caught.value).startswith(
            f"{wheel.name} has sha256 {hashlib.sha256(b'other').hexdigest()}, but the index shows "
        )
        assert str(caught.value).endswith(
            " Find out who changed the file on the index; a version's bytes must never change."
        )
        with pytest.raises(NotFound):
            await place.parts.records.get(self.action(wheel).version)

    async def test_a_yanked_version_is_taken_because_exactly_it_is_asked_for_and_that_is_said(
        self, served: tuple[Place, Path]
    ) -> None:
        place, wheel = served
        action = self.action(wheel)
        release = await place.parts.index.release(NAME, action.version)
        assert release is not None
        assert release.wheel is not None
        link = f'<a href="{release.wheel.url}#sha256={release.wheel.sha256}" data-yanked="">{wheel.name}</a>'

        async def yank(request: web.Request) -> web.StreamResponse | None:
            if request.path.endswith(wheel.name):
                return None
            return web.Response(text=f"<html>{link}</html>", content_type="text/html")

        place.proxy.faults.append(yank)
        assert await adopt(place.parts, place.document, action) == (
            f"{wheel.name} {hashlib.sha256(wheel.read_bytes()).hexdigest()[:12]}, as the index serves it; it was yanked"
            " there, and is taken because exactly it is asked for"
        )
        assert (await place.parts.records.get(action.version)).published_time is not None

    async def test_a_version_without_a_wheel_is_refused_with_what_to_do(self, place: Place) -> None:
        links = '<a href="../../x/y-0.1.1.tar.gz#sha256=' + "a" * 64 + '">y</a>'

        async def sdist_only(request: web.Request) -> web.StreamResponse | None:
            if "simple/" not in request.path:
                return None
            page = links.replace("y-0.1.1", f"{place.project.replace('-', '_')}-0.1.1")
            return web.Response(text=f"<html>{page}</html>", content_type="text/html")

        place.proxy.faults.append(sdist_only)
        with pytest.raises(Terminal) as caught:
            await adopt(place.parts, place.document, Adopt("0.1.1", "test"))
        assert (caught.value.reason, str(caught.value)) == (
            "AdoptRefused",
            (
                f"The index serves {place.project} 0.1.1 without one wheel that installs everywhere. "
                "Choose another version, or upload the missing wheel."
            ),
        )

    @on_each_index
    async def test_a_version_that_went_away_is_looked_for_again(self, place: Place) -> None:
        with pytest.raises(Transient) as caught:
            await adopt(place.parts, place.document, Adopt("0.1.9", "test"))
        assert str(caught.value) == f"The index no longer serves {place.project} 0.1.9"
