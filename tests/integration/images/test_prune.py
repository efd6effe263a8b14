"""Pruning on a real registry and a real engine: what nobody needs is gone, and everything else is still there."""

import asyncio
import io
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
import pytest

from builder.oci import (
    Client,
    Descriptor,
    Manifest,
    MediaType,
    NotFound,
    Platform,
    Reference,
    canonical_json,
    sha256_digest,
)
from controller.act.prune import prune
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.docker import DockerEngine
from controller.clients.engine_records import EngineRecords
from controller.clients.record_reader import RECORD_TYPE
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.model.actions import Prune
from controller.model.errors import Terminal
from controller.model.record import ReleaseRecord
from controller.model.template_record import FullBuild, PlatformImage, TemplateRecord
from controller.plan.prune import pruning
from tests.parts.registry import running_registry
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import record, target, verdict

LONG_AGO = datetime.now(UTC) - timedelta(days=20)
CANDIDATE = "candidate-0000000a"


@dataclass(frozen=True)
class Remote:
    """A template's repository with images in it, and the records of them."""

    client: Client
    registry: Registry
    records: RegistryRecords
    repository: str

    @property
    def document(self) -> WorkspaceRuntime:
        settings = {"artifacts": self.records.repository, "prune": {"candidatesOlderThanDays": 14}}
        echo = {"name": "echo", "image": self.repository, "build": {"directory": "echo"}}
        return document("0.1.0", templates=[echo], registry=settings)

    async def push(self, text: str, *tags: str) -> Manifest:
        """Push an image; without a tag it has its digest alone."""
        config = canonical_json({"os": "linux", "architecture": text, "config": {"Labels": {"x": text}}})
        where = Reference.parse(f"{self.repository}:x")
        await self.client.ensure_blob(where, config, digest=sha256_digest(config))
        body = {
            "schemaVersion": 2,
            "mediaType": MediaType.DOCKER_MANIFEST,
            "config": Descriptor.of(MediaType.DOCKER_CONFIG, config).to_document(),
            "layers": [],
        }
        image = Manifest.from_bytes(canonical_json(body), MediaType.DOCKER_MANIFEST, where=text)
        for tag in tags or (image.digest,):
            await self.client.put_manifest(where.at(tag), image.raw, image.media_type)
        return image

    async def push_index(self, tag: str, **children: Manifest) -> Manifest:
        index = Manifest.index_of({Platform("linux", name): image for name, image in children.items()})
        where = Reference.parse(f"{self.repository}:{tag}")
        await self.client.put_manifest(where, index.raw, index.media_type)
        return index

    async def there(self, version: str) -> bool:
        try:
            await self.client.head(Reference.parse(f"{self.repository}:x").at(version))
        except NotFound:
            return False
        return True

    async def pruned(self) -> str:
        action = await planned(self.records, self.document)
        assert action is not None
        return await prune(self.records, self.registry, self.document, action)


async def planned(
    records: RegistryRecords | EngineRecords, wanted: WorkspaceRuntime, *, days: int = 0
) -> Prune | None:
    """What would be deleted in so many days."""
    return pruning(wanted, await records.records(), (), datetime.now(UTC) + timedelta(days=days))


def on(remote: Remote, build: Manifest, name: str) -> FullBuild:
    return FullBuild(image=f"{remote.repository}:full-{name}", digest=build.digest, inputs_sha256="0" * 64)


def failed(image: TemplateRecord, version: str = "0.0.9", **changes: Any) -> ReleaseRecord:  # noqa: ANN401 -- any field
    fields = {
        "templates": {"echo": image},
        "published_time": None,
        "verdict": verdict("Failed"),
        **changes,
    }
    return record(version, **fields)


def candidate(repository: str, tag: str = CANDIDATE, **changes: Any) -> TemplateRecord:  # noqa: ANN401 -- any field
    return TemplateRecord(image=f"{repository}:{tag}", built_time=LONG_AGO, **changes)


async def opened(address: str, stack: AsyncExitStack) -> Remote:
    registry = await stack.enter_async_context(Registry(RegistryAccess(address, insecure=True)))
    client = await stack.enter_async_context(Client(insecure=True))
    name = f"{address}/t{secrets.token_hex(4)}"
    return Remote(client, registry, RegistryRecords(registry, f"{name}/artifacts"), f"{name}/echo")


@pytest.fixture
async def remote(registry: str) -> AsyncIterator[Remote]:
    async with AsyncExitStack() as stack:
        yield await opened(registry, stack)


async def test_an_old_candidate_is_deleted_once_and_its_record_says_so(remote: Remote) -> None:
    image = await remote.push("old", CANDIDATE)
    other = await remote.push("other", "latest", "0.1.0-nogit-0")
    await remote.records.put(failed(candidate(remote.repository, digest=image.digest)))
    reason = "0.0.9 failed and is not in use; built 20 days ago"
    assert await remote.pruned() == f"deleted {remote.repository}:{CANDIDATE} ({reason})"
    assert not await remote.there(image.digest)
    assert not await remote.there(CANDIDATE)
    assert await remote.there(other.digest)
    assert (await remote.records.get("0.0.9")).templates["echo"].pruned
    assert await planned(remote.records, remote.document) is None


@pytest.mark.parametrize("tag", ["latest", "0.1.0-nogit-0", "latest.owner", "full-0000000a", "mine"])
async def test_a_digest_that_any_other_tag_stands_on_is_left_and_told_once(remote: Remote, tag: str) -> None:
    image = await remote.push("shared", CANDIDATE, tag)
    await remote.records.put(failed(candidate(remote.repository, digest=image.digest)))
    stays = f"left {remote.repository}:{CANDIDATE}: {remote.repository}:{tag} stands on it"
    assert await remote.pruned() == stays
    assert await remote.there(CANDIDATE)
    assert await remote.there(tag)
    kept = (await remote.records.get("0.0.9")).templates["echo"]
    assert not kept.pruned
    assert await planned(remote.records, remote.document) is None
    await remote.registry.put_artifact(f"{remote.repository}:{tag}", b"", kind="text/plain", file="x")
    assert await planned(remote.records, remote.document, days=1) is not None
    yesterday = kept.model_copy(update={"left_time": datetime.now(UTC) - timedelta(days=1)})
    await remote.records.amend("0.0.9", lambda current: current.with_template("echo", yesterday))
    assert (await remote.pruned()).startswith(f"deleted {remote.repository}:{CANDIDATE}")
    assert (await remote.records.get("0.0.9")).templates["echo"].pruned


async def test_a_full_build_goes_with_the_last_candidate_on_it_and_stays_under_any_other(
    remote: Remote,
) -> None:
    last, under, shared = [await remote.push(name, f"full-{name}") for name in ("last", "under", "shared")]
    released = await remote.push("released", "0.1.0-nogit-0")
    good = candidate(
        remote.repository, "0.1.0-nogit-0", digest=released.digest, full_build=on(remote, last, "last")
    )
    await remote.records.put(record("0.1.0", templates={"echo": good}))
    for version, name, build in (("0.0.8", "one", "under"), ("0.0.9", "two", "shared")):
        image = await remote.push(name, f"candidate-{name}")
        full = on(remote, {"under": under, "shared": shared}[build], build)
        await remote.records.put(
            failed(
                candidate(remote.repository, f"candidate-{name}", digest=image.digest, full_build=full),
                version,
            )
        )
    await remote.client.put_manifest(
        Reference.parse(f"{remote.repository}:somebodys"), shared.raw, shared.media_type
    )
    await remote.pruned()
    tags = set(await remote.registry.tags(remote.repository))
    assert tags == {"full-last", "0.1.0-nogit-0", "full-shared", "somebodys"}
    assert not await remote.there(under.digest)
    assert await planned(remote.records, remote.document) is None
    builds = [
        (await remote.records.get(version)).templates["echo"].full_build for version in ("0.0.8", "0.0.9")
    ]
    assert [(build.pruned_time is None, build.left_time is None) for build in builds if build] == [
        (False, True),
        (True, False),
    ]


async def test_a_shadow_of_a_public_version_goes_and_what_it_stood_in_for_stays(remote: Remote) -> None:
    shadow, served = await remote.push("shadow", CANDIDATE), await remote.push("served", "latest")
    base = FullBuild(image=f"{remote.repository}:latest", digest=served.digest, inputs_sha256="0" * 64)
    image = candidate(remote.repository, digest=shadow.digest, full_build=base)
    await remote.records.put(record("0.1.0", templates={}, shadows={"echo": image}))
    await remote.pruned()
    assert [await remote.there(each.digest) for each in (shadow, served)] == [False, True]
    assert (await remote.records.get("0.1.0")).shadows["echo"].pruned


async def test_an_index_goes_with_the_children_that_no_other_index_and_no_tag_has(remote: Remote) -> None:
    names = ("own", "indexed", "tagged")
    own, indexed = await remote.push("own"), await remote.push("indexed")
    tagged = await remote.push("tagged", "mine")
    index = await remote.push_index(CANDIDATE, own=own, indexed=indexed, tagged=tagged)
    await remote.push_index("somebodys", indexed=indexed)
    platforms = {
        f"linux/{name}": PlatformImage(digest=child.digest, image_id=child.config.digest)
        for name, child in zip(names, (own, indexed, tagged), strict=True)
    }
    image = candidate(remote.repository, digest=index.digest, platforms=platforms)
    await remote.records.put(failed(image))
    await remote.pruned()
    there = [await remote.there(each.digest) for each in (index, own, indexed, tagged)]
    assert there == [False, False, True, True]


async def test_a_record_that_changed_since_the_plan_was_made_counts_however_its_writer_ended(
    remote: Remote,
) -> None:
    image = await remote.push("old", CANDIDATE)
    await remote.records.put(failed(candidate(remote.repository, digest=image.digest)))
    action = await planned(remote.records, remote.document)
    assert action is not None
    # The writer died before it could tell readers that anything changed.
    published = (await remote.records.get("0.0.9")).published(datetime.now(UTC))
    where = f"{remote.records.repository}:0.0.9"
    await remote.registry.put_artifact(where, published.to_json(), kind=RECORD_TYPE, file="record.json")
    told = await prune(remote.records, remote.registry, remote.document, action)
    assert told == "nothing is left to delete: the candidates are in use by now"
    assert await remote.there(CANDIDATE)


async def test_what_a_target_runs_stays_with_the_children_of_its_index(remote: Remote) -> None:
    shared, own = await remote.push("shared"), await remote.push("own")
    children = {"shared": shared, "own": own}
    for version, tag, names in (("0.0.8", "candidate-run", ["shared"]), ("0.0.9", CANDIDATE, list(children))):
        index = await remote.push_index(tag, **{name: children[name] for name in names})
        platforms = {
            f"linux/{name}": PlatformImage(
                digest=children[name].digest, image_id=children[name].config.digest
            )
            for name in names
        }
        image = candidate(remote.repository, tag, digest=index.digest, platforms=platforms)
        await remote.records.put(failed(image, version))
    running = (target(version="0.0.8"),)
    action = pruning(remote.document, await remote.records.records(), running, datetime.now(UTC))
    assert action is not None
    await remote.client.delete(
        Reference.parse(remote.repository), await remote.registry.digest(f"{remote.repository}:candidate-run")
    )
    await prune(remote.records, remote.registry, remote.document, action)
    there = [await remote.there(each) for each in (CANDIDATE, own.digest, shared.digest)]
    assert there == [False, False, True]


async def test_a_deletion_that_was_cut_off_is_ended_by_the_next_one(remote: Remote) -> None:
    child = await remote.push("child")
    index = await remote.push_index(CANDIDATE, child=child)
    platforms = {"linux/child": PlatformImage(digest=child.digest, image_id=child.config.digest)}
    await remote.records.put(failed(candidate(remote.repository, digest=index.digest, platforms=platforms)))
    await remote.registry.delete(remote.repository, index.digest)
    await remote.pruned()
    assert not await remote.there(child.digest)


async def test_a_registry_that_forbids_deletion_is_named_with_the_cure(tmp_path: Path) -> None:
    with running_registry(tmp_path, deletes=False) as address:
        async with AsyncExitStack() as stack:
            remote = await opened(address, stack)
            image = await remote.push("old", CANDIDATE)
            await remote.records.put(failed(candidate(remote.repository, digest=image.digest)))
            with pytest.raises(Terminal) as refused:
                await remote.pruned()
            assert refused.value.reason == "DeletionRefused"
            assert str(refused.value) == (
                f"Nothing was pruned: {address} answered 405 UNSUPPORTED (The operation is unsupported.) to DELETE"
                f" {remote.repository}@{image.digest}. It does not allow deletion, or is read-only: allow it there."
                " In docker-registry set storage.delete.enabled: true; or take registry.prune out of the document."
            )
            assert await remote.there(CANDIDATE)
            assert not (await remote.records.get("0.0.9")).templates["echo"].pruned


def built(client: docker.DockerClient, tag: str) -> str:
    text = f"FROM scratch\nLABEL x={tag}\nCMD none\n"
    image, _ = client.images.build(fileobj=io.BytesIO(text.encode()), tag=tag, rm=True)
    return str(image.id)


async def test_an_engine_loses_the_tag_and_never_what_a_container_or_another_tag_has(
    engine: str, docker_prefix: str
) -> None:
    client = docker.DockerClient(base_url=engine)
    repository = f"{docker_prefix}echo"
    ids = {}
    for name in ("alone", "used", "shared", "moved"):
        ids[name] = await asyncio.to_thread(built, client, f"{repository}:candidate-{name}")
    client.containers.create(ids["used"], name=f"{docker_prefix}user")
    client.images.get(ids["shared"]).tag(repository, "latest")
    client.images.get(ids["shared"]).tag(repository, "candidate-moved")
    echo = {"name": "echo", "image": repository, "build": {"directory": "echo"}}
    settings = {
        "mode": "Engine",
        "artifacts": f"{docker_prefix}records",
        "prune": {"candidatesOlderThanDays": 14},
    }
    wanted = document("0.1.0", templates=[echo], registry=settings)
    async with DockerEngine(engine) as here:
        records = EngineRecords(here, f"{docker_prefix}records")
        for number, (name, image_id) in enumerate(ids.items()):
            image = candidate(repository, f"candidate-{name}", image_id=image_id)
            await records.put(failed(image, f"0.0.{number}"))
        action = await planned(records, wanted)
        assert action is not None
        told = await prune(records, here, wanted, action)
        assert f"left {repository}:candidate-used: a container uses it" in told
        assert f"left {repository}:candidate-moved: it is another image by now" in told
        images = await here.images()
        assert await planned(records, wanted) is None
    left = {name.rpartition(":")[2] for name in images if name.startswith(f"{repository}:")}
    assert left == {"candidate-used", "candidate-moved", "latest"}
    assert images[f"{repository}:latest"] == ids["shared"]
    assert ids["alone"] not in {each.id for each in client.images.list(all=True)}
