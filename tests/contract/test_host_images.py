"""Images on a host: none is pulled for which there is no room, and those that targets ran before go, by count."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import docker
import pytest

from builder.oci import Blob, Client, Descriptor, MediaType, Reference, canonical_json, sha256_digest
from controller.api.load import load
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.docker import DockerEngine
from controller.clients.host_images import remove_superseded
from controller.clients.host_room import free_bytes
from controller.clients.parts import Parts
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.model.errors import NotFound, Transient
from controller.model.record import Verdict
from controller.model.template_record import TemplateRecord
from controller.reconcile.roll import fetched
from controller.settings import Settings
from tests.contract.record_promises import NOON, record
from tests.contract.released import VERSIONS, document_of, keep
from tests.parts.build_context import build_context
from tests.parts.leftovers import remove_leftovers

UNUSED: Any = None
HUGE = 1 << 60


class Place:
    """One host, the registry that its images come from, and a document with both."""

    def __init__(self, document: WorkspaceRuntime, parts: Parts, repository: str, said: list[str]) -> None:
        self.document = document
        self.parts = parts
        self.repository = repository
        self.said = said
        self.template = document.spec.templates[0]

    async def push(self, content: str, *, claimed: int | None = None) -> str:
        """Push an image of one layer with a file of this content; returns it by digest.

        `claimed` is how many bytes its manifest says that the layer has.
        """
        layer = build_context(content, {}).getvalue()
        config = {
            "os": "linux",
            "architecture": "amd64",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [sha256_digest(layer)]},
        }
        blob = Blob(MediaType.OCI_CONFIG, canonical_json(config))
        told = Descriptor(
            MediaType.OCI_LAYER.removesuffix("+gzip"), sha256_digest(layer), claimed or len(layer)
        )
        manifest = canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": MediaType.OCI_MANIFEST,
                "config": blob.descriptor.to_document(),
                "layers": [told.to_document()],
            }
        )
        async with Client(insecure=True) as client:
            where = Reference.parse(f"{self.template.image}:x")
            await client.ensure_blob(where, layer, digest=sha256_digest(layer))
            await client.ensure_blob(where, blob.data, digest=blob.descriptor.digest)
            digest = await client.put_manifest(where, manifest, MediaType.OCI_MANIFEST)
        return f"{self.template.image}@{digest}"

    async def fetch(self, image: str) -> str:
        return await fetched(self.parts, self.document, self.template, image)


@pytest.fixture
async def place(registry: str, engine: str, tmp_path: Path) -> AsyncIterator[Place]:
    repository = f"{registry}/t{secrets.token_hex(4)}"
    file = document_of(tmp_path, repository=repository, engine=engine)
    settings = Settings(state_dir=tmp_path, docker_host=engine, docker_config=tmp_path / "none")
    said: list[str] = []
    async with (
        DockerEngine(engine) as host,
        Registry(RegistryAccess(registry, insecure=True)) as client,
    ):
        parts = Parts(
            host,
            UNUSED,
            RegistryRecords(client, f"{repository}/artifacts"),
            UNUSED,
            UNUSED,
            settings,
            tmp_path / "work",
            UNUSED,
            say=said.append,
            registry=client,
        )
        try:
            yield Place(load(file.read_text(), file=str(file)), parts, repository, said)
        finally:
            remove_leftovers(engine, repository.split("/")[1])


async def test_an_image_that_there_is_no_room_for_is_not_pulled_and_told_with_what_it_needs(
    place: Place,
) -> None:
    image = await place.push("FROM a", claimed=HUGE)
    with pytest.raises(Transient) as refused:
        await place.fetch(image)
    free = os.statvfs((await place.parts.docker.info())["DockerRootDir"])
    said = str(refused.value)
    assert said.startswith(f"{image} was not pulled: engine local has ")
    told = int(said.partition("has ")[2].split()[0])
    assert abs(told - (free.f_bavail * free.f_frsize >> 20)) < 1024, said
    assert said.endswith(
        f" MiB free for images, and it takes up to {(HUGE * 4 >> 20) + 256}. Free some there, as with docker image prune"
    )
    with pytest.raises(NotFound):
        await place.parts.docker.inspect_image(image)


async def test_what_the_engine_has_already_needs_no_room(place: Place) -> None:
    small = await place.push("FROM a")
    assert (await place.fetch(small)).startswith("sha256:")
    layers = await place.parts.docker.layers(place.template.image)
    assert len(layers) == 1
    same = await place.push("FROM a", claimed=HUGE)
    assert same != small
    # The engine takes the layer for the one that it has, whatever the manifest says of its size.
    assert await place.fetch(same) == await place.fetch(small)


class Far(DockerEngine):
    """The real engine as one of another machine, whose folders cannot be looked into."""

    is_local = property(lambda _: False)


async def test_of_another_machine_the_room_is_asked_inside_a_container_or_not_known(
    engine: str, base_image: str, docker_prefix: str
) -> None:
    async with Far(engine) as far:
        name = f"{docker_prefix}ws-1"
        await far.start(await far.create_container(name, {"Image": base_image, "Cmd": ["sleep", "60"]}))
        free = await free_bytes(far, beside=name)
        found = os.statvfs((await far.info())["DockerRootDir"])
        assert free is not None
        assert abs(free - found.f_bavail * found.f_frsize) < 1 << 30
        assert await free_bytes(far, beside=None) is None
        assert await free_bytes(far, beside=f"{docker_prefix}nobody") is None


@pytest.fixture
def client(engine: str) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine)
    yield client
    client.close()


async def test_what_targets_ran_before_goes_from_the_host_but_nothing_that_is_used_named_or_foreign(
    place: Place, client: docker.DockerClient
) -> None:
    images: dict[str, str] = {}
    for number, version in enumerate(("0.0.1", "0.0.2", "0.0.3", "0.0.4", *VERSIONS)):
        image = await place.push(f"FROM {version}")
        ids = await place.fetch(image)
        recorded = TemplateRecord(
            image=f"{place.template.image}:{version}-x",
            digest=image.partition("@")[2],
            image_id=ids,
            proven=True,
            built_time=NOON + timedelta(hours=number),
        )
        good = Verdict(value="Good", reason="UpToDate", time=NOON + timedelta(hours=number))
        whole = record(version, published_time=NOON, verdict=good)
        await keep(place.repository, whole.with_template(place.template.name, recorded))
        images[version] = image
    foreign = await place.push("FROM somewhere else")
    await place.fetch(foreign)
    client.images.get(images["0.0.2"]).tag(place.template.image, "mine")
    name = f"{place.repository.split('/')[1]}-ws-1"
    client.api.create_container(images["0.0.3"], ["x"], name=name)

    async def left() -> set[str]:
        await remove_superseded(place.parts, place.document, place.template, host="local")
        there = {name for row in client.api.images() for name in row["RepoDigests"] or ()}
        return {version for version, image in images.items() if image in there}

    assert await left() == set(images), "it was not asked for"
    (host,) = place.document.spec.targets.docker_hosts
    targets = place.document.spec.targets.model_copy(
        update={"docker_hosts": [host.model_copy(update={"keep_superseded": 1})]}
    )
    spec = place.document.spec.model_copy(update={"targets": targets})
    place.document = place.document.model_copy(update={"spec": spec})
    # 0.1.2 is wanted, 0.1.1 to go back to, and 0.1.0 the one that is to stay of the others.
    assert await left() == {"0.0.2", "0.0.3", *VERSIONS}
    assert client.images.get(foreign).id
    assert place.said == [
        f"local: removed {images[gone]}, which was superseded" for gone in ("0.0.4", "0.0.1")
    ]
    place.parts = replace(place.parts, records=UNUSED, engine=DockerEngine("unix:///nowhere.sock"))
    await remove_superseded(place.parts, place.document, place.template, host="local")
    assert place.said[-1].startswith("local: superseded images of echo stay: Could not reach the engine")
