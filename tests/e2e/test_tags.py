"""What images are called in a registry, from the first candidate on, whoever else moves or deletes names meanwhile."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from builder.oci import Client, Reference
from tests.e2e.desk import Desk
from tests.e2e.scene import Release, Scene
from tests.e2e.test_gate import cannot_read_old_configuration, exits
from tests.e2e.test_kills import kill_at
from tests.e2e.test_promotion import Registry


@dataclass(frozen=True)
class Place:
    """A desk whose images are in a registry; plain must pass the gate, polite may fail."""

    scene: Scene
    registry: str

    @property
    def desk(self) -> Desk:
        return self.scene.desk

    def of(self, template: str) -> Registry:
        return Registry(f"{self.registry}/{self.desk.prefix}{template}")

    def tags(self, template: str) -> set[str]:
        async def read() -> set[str]:
            async with Client(insecure=True) as client:
                return set(await client.tags(Reference.parse(self.of(template).repository)))

        return asyncio.run(read())

    def image(self, template: str) -> tuple[str, str]:
        """Tag and digest of what new workspaces should use."""
        tag = self.desk.wsr("image", template).out.strip().rpartition(":")[2]
        return tag, self.of(template).digest(tag)

    def remove_tag(self, template: str, tag: str) -> None:
        """Let a tag go, and the image that it stood for stay: docker-registry deletes digests only."""
        registry = self.of(template)
        registry.delete(registry.push_foreign(tag, f"in place of {tag}"))
        assert registry.digest(tag) == ""

    def bump(self) -> str:
        """Ask for the next final version."""
        asked = Version(self.desk.spec["version"])
        patch = asked.micro if asked.is_prerelease else asked.micro + 1
        self.desk.bump(f"0.1.{patch}")
        return f"0.1.{patch}"

    def assert_promoted(self, version: str) -> None:
        """Registry and host name the version's image under the moving tag, and nothing is left to do."""
        tag, digest = self.image("plain")
        assert tag.startswith(f"{version}-")
        assert self.of("plain").digest("latest") == digest != ""
        images = self.scene.fleet.client.images
        repository = self.of("plain").repository
        assert images.get(f"{repository}:latest").id == images.get(f"{repository}@{digest}").id
        assert self.desk.status()["lastKnownGood"] == version
        again = self.desk.run()
        assert not again.lines("because"), again.log


def moved_to(registry: str, scene: Scene) -> Place:
    place = Place(scene, registry)
    with scene.desk.editing() as spec:
        artifacts = f"{registry}/{scene.desk.prefix}artifacts"
        spec["registry"] = {"mode": "Remote", "artifacts": artifacts, "insecure": True}
        for template in spec["templates"]:
            template |= {"image": place.of(template["name"]).repository, "tags": ["latest"]}
        spec["templates"][1]["gate"] = "AllowFailure"
    scene.desk.run()
    return place


@pytest.fixture(scope="module")
def place(first_release: Release, registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """0.1.0 is released to the registry, and nothing runs."""
    with first_release.copied(tmp_path_factory.mktemp("tags")) as scene:
        yield moved_to(registry, scene)


@pytest.mark.long
def test_an_image_is_called_a_candidate_and_nothing_else_until_it_has_passed(place: Place) -> None:
    desk = place.desk
    before = place.tags("plain")
    source = (desk.source / "boot_checks.py").read_text()
    exits(desk)
    version = place.bump()
    desk.run(code=1)
    new = place.tags("plain") - before
    assert new
    assert all(tag.startswith("candidate-") for tag in new), new
    (desk.source / "boot_checks.py").write_text(source)
    desk.run()
    assert any(tag.startswith(f"{version}-") for tag in place.tags("plain"))
    place.assert_promoted(version)


@pytest.mark.long
def test_an_early_version_moves_no_tags_but_those_that_are_for_it(place: Place) -> None:
    desk, registry = place.desk, place.of("plain")
    latest = registry.digest("latest")
    early = f"{place.bump()}rc1"
    desk.bump(early)
    desk.run()
    tag, digest = place.image("plain")
    assert tag.startswith(f"{early}-")
    assert (registry.digest("latest"), registry.digest("next")) == (latest, "")
    with desk.editing() as spec:
        spec["templates"][0]["preReleaseTags"] = ["next"]
    assert desk.run().lines(f"promote {early}: .*plain:next$")
    assert (registry.digest("latest"), registry.digest("next")) == (latest, digest)
    desk.bump(f"{early}+here")
    ended = desk.run(code=1)
    assert "is a local version, which no index takes" in ended.log.splitlines()[-1]
    assert (registry.digest("latest"), registry.digest("next")) == (latest, digest)
    version = place.bump()
    desk.run()
    assert registry.digest("next") == digest
    place.assert_promoted(version)


@pytest.mark.long
def test_the_gate_boots_what_was_built_whatever_its_candidate_tag_stands_for_by_then(place: Place) -> None:
    before, version = place.tags("plain"), place.bump()
    kill_at(place.scene, f"cascade {version} .*: plain")
    (candidate,) = place.tags("plain") - before
    ours, foreign = place.of("plain").digest(candidate), place.of("plain").push_foreign(candidate, version)
    place.desk.run()
    assert place.of("plain").digest(candidate) == foreign
    assert place.image("plain")[1] == ours
    place.assert_promoted(version)


@pytest.mark.long
@pytest.mark.parametrize("what", ["tag", "image"])
def test_what_somebody_deletes_between_gate_and_promotion_is_there_again(place: Place, what: str) -> None:
    version = place.bump()
    kill_at(place.scene, f"promote {version}: because")
    tag, digest = place.image("plain")
    assert tag.startswith(f"{version}-")
    if what == "tag":
        place.remove_tag("plain", tag)
    else:
        place.of("plain").delete(digest)
    ended = place.desk.run()
    assert place.image("plain") == (tag, digest)
    assert bool(ended.lines(f"cascade {version}")) == (what == "image")
    assert not ended.lines("probe"), "what was proven is proven"
    place.assert_promoted(version)


@pytest.mark.long
def test_a_moving_tag_that_somebody_moves_before_the_promotion_is_left_alone(place: Place) -> None:
    registry, version = place.of("plain"), place.bump()
    kill_at(place.scene, f"promote {version}: because")
    foreign = registry.push_foreign("latest", f"before {version}")
    ended = place.desk.run(code=1)
    assert ended.lines(
        f"TagMoved: {registry.repository}:latest was moved by somebody else: it stands for {foreign}"
    )
    assert registry.digest("latest") == foreign
    assert place.desk.wsr("resume").code == 0
    place.desk.run()
    place.assert_promoted(version)


@pytest.mark.long
def test_another_object_neither_publishes_the_package_nor_moves_the_tags(
    place: Place, tmp_path: Path
) -> None:
    desk, registry, version = place.desk, place.of("plain"), place.bump()
    desk.run()
    latest = registry.digest("latest")
    other = Desk(tmp_path / "other", desk.prefix)
    shutil.copytree(desk.folder, other.folder, ignore=shutil.ignore_patterns("state"))
    other.rename(f"{desk.name}-other")
    other.bump(place.bump())
    desk.bump(version)
    ended = other.run(code=1)
    assert (
        f"PublisherConflict: default/{desk.name} publishes molecule-ai-workspace-runtime: its last version is"
        in ended.log.splitlines()[-1]
    )
    assert not ended.lines("because")

    def apart(spec: dict[str, Any]) -> None:
        spec["version"] = version
        spec["package"]["publish"] = "External"
        spec["registry"]["artifacts"] += "-other"

    with other.editing() as spec:
        apart(spec)
    other.edit("templates/plain/Dockerfile", "ENV ADAPTER_MODULE", "ENV OTHER=1\nENV ADAPTER_MODULE")
    ended = other.run(code=1)
    assert (
        f"PublisherConflict: {registry.repository}:latest belongs to default/{desk.name}, as "
        f"{registry.repository}:latest.owner says." in ended.log.splitlines()[-1]
    )
    assert registry.digest("latest") == latest
    place.assert_promoted(version)


@pytest.mark.long
def test_what_was_held_back_keeps_its_tag_and_is_built_again_for_whoever_asks(place: Place) -> None:
    desk = place.desk
    before = place.image("polite")
    broken = "ENV ADAPTER_MODULE=adapter\nRUN false"
    desk.edit("templates/polite/Dockerfile", "ENV ADAPTER_MODULE=adapter", broken)
    with desk.editing() as spec:
        spec["templates"][1]["build"]["rebuildOn"] = ["Version", "Template"]
    version = place.bump()
    desk.run()
    assert place.image("polite") == before
    place.remove_tag("polite", before[0])
    again = desk.run()
    old = before[0].partition("-")[0]
    assert again.lines(f"tag {old}: because this image passed and lacks its tag$")
    assert place.image("polite") == before
    place.of("polite").delete(before[1])
    assert not desk.run().lines("because|ImageMissing"), "what is gone can have no tag"
    (polite,) = (each for each in desk.status()["templates"] if each["name"] == "polite")
    assert (
        f"Its image in use, {place.of('polite').repository}:{before[0]}@{before[1]}, was deleted"
        in polite["message"]
    )
    assert before[0] not in desk.wsr("image", "polite").out

    desk.annotate("rebuild", '{"polite": "once more"}')
    assert desk.run().lines(f"cascade {version} .*: because polite: Requested$")
    assert not desk.run().lines("because"), "one request asks for one build"
    assert desk.wsr("resume").out == f"The next pass tries polite of {version} again.\n"
    assert desk.run().lines(f"cascade {version} .*: because polite: ")
    desk.edit("templates/polite/Dockerfile", broken, "ENV ADAPTER_MODULE=adapter")
    desk.run()
    assert place.image("polite")[0].startswith(f"{version}-")


@pytest.mark.long
def test_a_build_that_failed_and_stops_everything_is_tried_again_when_resumed(place: Place) -> None:
    desk = place.desk
    with desk.editing() as spec:
        spec["templates"][0]["build"]["rebuildOn"] = ["Version", "Template"]
    broken = "ENV ADAPTER_MODULE=adapter\nRUN false"
    desk.edit("templates/plain/Dockerfile", "ENV ADAPTER_MODULE=adapter", broken)
    version = place.bump()
    desk.run(code=1)
    assert desk.wsr("resume").out == f"The next pass tries again what stopped {version}: BuildFailed.\n"
    assert desk.run(code=1).lines(f"cascade {version} .*: because plain: ")
    desk.edit("templates/plain/Dockerfile", broken, "ENV ADAPTER_MODULE=adapter")
    desk.run()
    place.assert_promoted(version)
    assert desk.wsr("resume").out == f"Version {version} is not held; nothing was changed.\n"


@pytest.mark.long
def test_a_rollback_brings_the_moving_tags_back(scene: Scene, registry: str) -> None:
    place = moved_to(registry, scene)
    desk, plain = place.desk, place.of("plain")
    tag, digest = place.image("plain")
    cannot_read_old_configuration(desk)
    version = place.bump()
    kill_at(scene, f"promote {version}: .*latest")
    assert plain.digest("latest") != digest
    scene.images["0.1.0"]["plain"] = image = f"{plain.repository}:{tag}@{digest}"
    scene.fleet.client.images.pull(image)
    (workspace,) = scene.populate("0.1.0", "plain-1")
    scene.fleet.write(workspace, "/configs/old", "from before")
    ended = desk.run(code=1)
    assert "RolloutFailed" in ended.log.splitlines()[-1]
    assert ended.lines("promote 0.1.0: because these tags still name the version that failed$")
    assert plain.digest("latest") == digest
    images = scene.fleet.client.images
    assert images.get(f"{plain.repository}:latest").id == images.get(f"{plain.repository}@{digest}").id
    assert place.image("plain") == (tag, digest)
    scene.assert_all_run("0.1.0")
