"""Tags in a registry: moved when a release is through, whatever ends a run in the middle, and never fought for."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from builder.oci import Client, Descriptor, MediaType, NotFound, Reference, canonical_json, sha256_digest
from tests.e2e.scene import Release, Scene
from tests.e2e.test_kills import kill_at


@dataclass(frozen=True)
class Registry:
    """The repository of the one template's images."""

    repository: str

    def digest(self, tag: str) -> str:
        """What a tag stands for; empty for nothing."""

        async def look() -> str:
            async with Client(insecure=True) as client:
                try:
                    return (await client.head(Reference.parse(f"{self.repository}:{tag}"))).digest
                except NotFound:
                    return ""

        return asyncio.run(look())

    def push_foreign(self, tag: str, words: str) -> str:
        """Let a tag stand for an image that somebody else made; return its digest."""

        async def push() -> str:
            async with Client(insecure=True) as client:
                reference = Reference.parse(f"{self.repository}:{tag}")
                config = canonical_json({"os": "linux", "architecture": "amd64", "config": {"Cmd": [words]}})
                await client.ensure_blob(reference, config, digest=sha256_digest(config))
                document = {
                    "schemaVersion": 2,
                    "mediaType": MediaType.DOCKER_MANIFEST,
                    "config": Descriptor.of(MediaType.DOCKER_CONFIG, config).to_document(),
                    "layers": [],
                }
                return await client.put_manifest(
                    reference, canonical_json(document), MediaType.DOCKER_MANIFEST
                )

        return asyncio.run(push())

    def delete(self, digest: str) -> None:
        """Delete a manifest and every tag on it."""

        async def delete() -> None:
            async with Client(insecure=True) as client:
                await client.delete(Reference.parse(f"{self.repository}:latest"), digest)

        asyncio.run(delete())


@pytest.fixture(scope="module")
def remote(
    first_release: Release, registry: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Scene, Registry]]:
    """One template, whose images are in a registry; 0.1.0 is released there."""
    with first_release.copied(tmp_path_factory.mktemp("remote")) as scene:
        repository = scene.desk.keep_in(registry)
        scene.desk.run()
        yield scene, Registry(repository)


def image(scene: Scene) -> tuple[str, str]:
    """Tag and digest of the image that new workspaces should use."""
    name = scene.desk.wsr("image", "plain").out.strip()
    found = Registry(name.rsplit(":", 1)[0]).digest(name.rsplit(":", 1)[1])
    return name.rsplit(":", 1)[1], found


def bump(scene: Scene) -> str:
    patch = max(int(version.rpartition(".")[2]) for version in scene.published()) + 1
    scene.desk.bump(f"0.1.{patch}")
    return f"0.1.{patch}"


def assert_promoted(remote: tuple[Scene, Registry], version: str) -> None:
    scene, registry = remote
    tag, digest = image(scene)
    assert tag.startswith(f"{version}-")
    assert registry.digest("latest") == digest != ""
    assert scene.desk.status()["lastKnownGood"] == version
    again = scene.desk.run()
    assert not again.lines("because"), again.log


def assert_completes(remote: tuple[Scene, Registry], line: str) -> None:
    scene, _ = remote
    version = bump(scene)
    kill_at(scene, line.format(version.replace(".", "[.]")))
    scene.desk.run()
    assert_promoted(remote, version)


BOUNDARIES = (
    "cascade {} .*: plain",
    "probe {} .*: booted",
    "tag {}: because",
    "tag {}: .*plain",
    "publish {}: because",
    "promote {}: because",
    "promote {}: .*latest",
    "judge {}: because",
)


def test_a_kill_while_tags_are_moved_is_completed_by_the_next_run(remote: tuple[Scene, Registry]) -> None:
    assert_completes(remote, "promote {}: because")


@pytest.mark.long
@pytest.mark.parametrize("line", BOUNDARIES)
def test_a_kill_at_any_boundary_of_a_release_to_a_registry_is_completed(
    remote: tuple[Scene, Registry], line: str
) -> None:
    assert_completes(remote, line)


def test_a_moving_tag_that_somebody_else_moved_stays_until_its_owner_says_so(
    remote: tuple[Scene, Registry],
) -> None:
    scene, registry = remote
    version = scene.desk.spec["version"]
    foreign = registry.push_foreign("latest", "somebody else's")
    ended = scene.desk.run(code=1)
    assert ended.lines(
        f"TagMoved: {registry.repository}:latest was moved by somebody else: it stands for {foreign}"
    )
    stalled = scene.desk.condition("Stalled")
    assert stalled is not None
    assert stalled["reason"] == "TagMoved"
    assert registry.digest("latest") == foreign
    resumed = scene.desk.wsr("resume")
    assert resumed.out == (
        f"The next pass moves what somebody else moved to {version}: {registry.repository}:latest.\n"
    )
    scene.desk.run()
    assert_promoted(remote, version)


def test_images_that_were_deleted_with_all_their_tags_are_made_again_with_the_same_digest(
    remote: tuple[Scene, Registry],
) -> None:
    scene, registry = remote
    version = scene.desk.spec["version"]
    before = image(scene)
    registry.delete(before[1])
    assert registry.digest("latest") == ""
    scene.desk.run()
    assert image(scene) == before
    assert_promoted(remote, version)


@pytest.mark.long
def test_an_immutable_tag_that_somebody_else_moved_before_the_promotion_is_never_overwritten(
    remote: tuple[Scene, Registry],
) -> None:
    scene, registry = remote
    version = bump(scene)
    latest = registry.digest("latest")
    kill_at(scene, f"promote {version}: because")
    tag = immutable(scene, version)
    ours, foreign = registry.digest(tag), registry.push_foreign(tag, "mine now")
    assert ours != foreign
    ended = scene.desk.run(code=1)
    assert ended.lines(f"{tag} is immutable and stands for {foreign}, not for {ours}")
    assert registry.digest(tag) == foreign
    assert registry.digest("latest") in {latest, ours}
    registry.delete(foreign)
    scene.desk.run()
    assert_promoted(remote, version)


def immutable(scene: Scene, version: str) -> str:
    """The immutable tag in a version's record."""
    artifacts = Reference.parse(f"{scene.desk.spec['registry']['artifacts']}:{version}")

    async def read() -> str:
        async with Client(insecure=True) as client:
            manifest = await client.manifest(artifacts)
            record = json.loads(await client.blob(artifacts, manifest.layers[0]))
        return str(record["templates"]["plain"]["image"]).rpartition(":")[2]

    return asyncio.run(read())
