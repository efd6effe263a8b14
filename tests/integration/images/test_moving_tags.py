"""Moving tags in a real registry and in the engine of a host, from which new workspaces are created: both or neither."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from builder.oci import Client, Reference
from controller.act.judge import judge
from controller.act.promote import promote
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.checkouts import Checkouts
from controller.clients.docker import DockerEngine
from controller.clients.index import PackageIndex
from controller.clients.parts import Parts
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.clients.runs import Runs
from controller.model.actions import Judge, Promote, TagMove
from controller.model.errors import Transient
from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.reconcile.docker_prover import DockerProver
from controller.settings import Settings
from tests.integration.images.foreign import push_small_arm
from tests.unit.simulator.ground import document

OURS: dict[str, Any] = {"directory": "echo"}
THEIRS: dict[str, Any] = {"strategy": "Follow"}


@dataclass(frozen=True)
class Pushed:
    """A repository whose `latest` is `old`, and which has `new` as the image of 0.1.1; both are digests."""

    image: str
    old: str
    new: str

    @property
    def latest(self) -> str:
        return f"{self.image}:latest"

    def document(self, version: str, build: dict[str, Any]) -> WorkspaceRuntime:
        return document(
            version,
            registry={"artifacts": f"{self.image}-artifacts", "insecure": True},
            templates=[{"name": "echo", "image": self.image, "build": build}],
        )


@pytest.fixture
def pushed(registry: str, docker_prefix: str) -> Pushed:
    image = f"{registry}/{docker_prefix}echo"
    old, new = (
        push_small_arm(f"{image}:{tag}", packages={"edition": tag}, architecture="amd64")
        for tag in ("latest", "0.1.1-nogit-00000000")
    )
    return Pushed(image, old, new)


@dataclass(frozen=True)
class Host:
    """One engine that has pulled `latest`, and the records of one object."""

    parts: Parts
    engine: DockerEngine
    pushed: Pushed

    async def served(self) -> str:
        """What `latest` stands for in the registry."""
        async with Client(insecure=True) as client:
            return (await client.manifest(Reference.parse(self.pushed.latest))).digest

    async def starts_from(self) -> str:
        """The digest of what the engine starts for `latest`."""
        found = await self.engine.inspect_image(self.pushed.latest)
        (name,) = found["RepoDigests"]
        return str(name).rpartition("@")[2]


@pytest.fixture
async def host(engine: str, registry: str, pushed: Pushed, tmp_path: Path) -> AsyncIterator[Host]:
    settings = Settings(tmp_path, engine, tmp_path / "none")
    async with (
        DockerEngine(engine) as docker,
        PackageIndex("http://127.0.0.1:1/") as index,
        Registry(RegistryAccess(registry, insecure=True)) as client,
    ):
        records = RegistryRecords(client, f"{pushed.image}-artifacts")
        parts = Parts(
            engine=docker,
            index=index,
            records=records,
            runs=Runs(dict(os.environ), parallel=1),
            prover=DockerProver(docker, "test/tags", settings),
            settings=settings,
            folder=tmp_path / "work",
            checkouts=Checkouts(tmp_path, tmp_path / "checkouts", settings),
            say=lambda _: None,
        )
        reference = f"{pushed.image}:0.1.1-nogit-00000000"
        await records.put(
            ReleaseRecord(
                package="x",
                version="0.1.1",
                publisher="default/molecule-runtime",
                wheel=await records.put_blob("x.whl", b"x"),
                content_sha256="0" * 64,
                published_time=datetime.now(UTC),
                templates={"echo": TemplateRecord(image=reference, digest=pushed.new, proven=True)},
            )
        )
        await docker.pull(pushed.latest)
        yield Host(parts, docker, pushed)


def moving(expected: str) -> Promote:
    return Promote("0.1.1", ("echo",), "a test", (TagMove("echo", "latest", expected),))


async def test_a_tag_moves_in_the_registry_and_on_the_host_and_the_record_says_so(host: Host) -> None:
    assert (await host.served(), await host.starts_from()) == (host.pushed.old, host.pushed.old)
    told = await promote(host.parts, host.pushed.document("0.1.1", OURS), moving(host.pushed.old))
    assert told == host.pushed.latest
    assert (await host.served(), await host.starts_from()) == (host.pushed.new, host.pushed.new)
    assert (await host.parts.records.get("0.1.1")).templates["echo"].tags == ("latest",)


@pytest.mark.parametrize("version", ["0.1.1", "0.1.2"], ids=["forward", "back"])
async def test_a_tag_that_somebody_moved_meanwhile_is_left_to_the_next_look(host: Host, version: str) -> None:
    absent = f"sha256:{'e' * 64}"
    with pytest.raises(Transient) as caught:
        await promote(host.parts, host.pushed.document(version, OURS), moving(absent))
    assert str(caught.value) == (
        f"{host.pushed.latest} stood for {absent} and now stands for {host.pushed.old}."
        " Somebody else moved it: see who, and look again."
    )
    assert await host.served() == host.pushed.old
    back = (
        version != "0.1.1"
    )  # nobody comes back for the host's tag once the registry's names no failed version
    assert await host.starts_from() == (host.pushed.new if back else host.pushed.old)
    assert (await host.parts.records.get("0.1.1")).templates["echo"].tags == ()


@pytest.mark.parametrize(("build", "follows"), [(THEIRS, True), (OURS, False)], ids=["of others", "our own"])
async def test_with_the_verdict_the_host_follows_what_somebody_else_delivered(
    host: Host, build: dict[str, Any], *, follows: bool
) -> None:
    action = Judge("0.1.1", "every target has proven the release", (host.pushed.new,))
    assert (
        await judge(host.parts, host.pushed.document("0.1.1", build), action)
        == "0.1.1 is the last known good"
    )
    assert await host.served() == host.pushed.old, "whoever builds it moves its tags"
    assert await host.starts_from() == (host.pushed.new if follows else host.pushed.old)
    verdict = (await host.parts.records.get("0.1.1")).verdict
    assert verdict is not None
    assert (verdict.value, verdict.images) == ("Good", (host.pushed.new,))
