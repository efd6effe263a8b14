"""Hosts of other machines have moving tags of their own: each follows for itself, and none keeps the registry's where they are."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from builder.oci import Client, Reference
from controller.act.promote import promote
from controller.api.load import load
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.docker import DockerEngine
from controller.clients.host_tags import let_hosts_follow
from controller.clients.parts import Parts
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.clients.runs import Runs
from controller.model.actions import Promote, TagMove
from controller.model.errors import Transient
from controller.model.template_record import TemplateRecord
from controller.settings import Settings
from tests.contract.released import document_of, release
from tests.parts.build_context import build_context
from tests.parts.leftovers import remove_leftovers

UNUSED: Any = None


@dataclass(frozen=True)
class Place:
    document: WorkspaceRuntime
    parts: Parts
    said: list[str]

    @property
    def image(self) -> str:
        return self.document.spec.templates[0].image


@pytest.fixture
async def place(registry: str, engine: str, tmp_path: Path) -> AsyncIterator[Place]:
    """A document beside two hosts: one whose engine is the real one, and before it one that is away."""
    repository = f"{registry}/t{secrets.token_hex(4)}"
    file = document_of(tmp_path, repository=repository, engine=engine)
    settings = Settings(state_dir=tmp_path, docker_host=engine, docker_config=tmp_path / "none")
    said: list[str] = []
    async with (
        DockerEngine(f"unix://{tmp_path / 'nobody.sock'}", host="away") as away,
        DockerEngine(engine, host="far") as far,
        Registry(RegistryAccess(registry, insecure=True)) as client,
        aclosing(Runs(dict(os.environ), parallel=1)) as runs,
    ):
        records = RegistryRecords(client, f"{repository}/artifacts")
        parts = Parts(
            None,
            UNUSED,
            records,
            runs,
            UNUSED,
            settings,
            tmp_path / "work",
            UNUSED,
            say=said.append,
            hosts=(away, far),
        )
        yield Place(load(file.read_text(), file=str(file)), parts, said)


@pytest.fixture
def images(engine: str, base_image: str, place: Place) -> Iterator[tuple[str, str]]:
    """The ids of two images in the engine; its own moving tag stands for the first."""
    client = docker.DockerClient(base_url=engine)
    ids = []
    for number in "12":
        context = build_context(f"FROM {base_image}\nLABEL number={number}\n", {})
        name = f"{place.image}:{number}"
        built, _ = client.images.build(fileobj=context, custom_context=True, tag=name, rm=True)
        ids.append(str(built.id))
    client.images.get(ids[0]).tag(place.image, "latest")
    yield ids[0], ids[1]
    client.close()
    remove_leftovers(engine, place.image.split("/")[1])


async def test_each_host_follows_though_another_one_is_away_and_that_is_told(
    place: Place, images: tuple[str, str]
) -> None:
    _, new = images
    used = {"echo": TemplateRecord(image=f"{place.image}:2", image_id=new)}
    with pytest.raises(Transient, match=r"nobody\.sock"):
        await let_hosts_follow(place.parts, place.document, [("echo", "latest")], used)
    there = await place.parts.hosts[1].images()
    assert there[f"{place.image}:latest"] == new


async def test_a_host_that_is_away_does_not_keep_the_registrys_tags_at_a_version_that_failed(
    place: Place,
) -> None:
    repository = place.image.rpartition("/")[0]
    for version in ("0.1.1", "0.1.2"):
        await release(repository, version)

    async def served(tag: str) -> str:
        async with Client(insecure=True) as client:
            return (await client.head(Reference.parse(f"{place.image}:{tag}"))).digest

    move = TagMove("echo", "latest", await served("0.1.2-x"))
    await promote(place.parts, place.document, Promote("0.1.1", ("echo",), "it failed", (move,)))
    assert await served("latest") == await served("0.1.1-x")
    assert [line for line in place.said if line.startswith("A host keeps its moving tags, which may name")]
