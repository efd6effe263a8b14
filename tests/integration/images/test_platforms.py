"""One image for several platforms: what is built here, what somebody else built, and the index of both."""

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from builder.inventory import Inventory
from builder.oci import Client, MediaType, Platform, Reference
from builder.stages.derived_inventory import derive_inventory, layer_entries
from tests.contract.lying_proxy import lying_proxy
from tests.integration.images.foreign import (
    ARM,
    config_of,
    copy_for_arm,
    files_of_last_layer,
    manifest,
    push_index,
    push_small_arm,
)
from tests.integration.images.small import Ended, Run, make_template, template_entry
from tests.parts.small_wheel import NAME, SmallWheel, make_wheel

Facts = dict[str, Any]


@dataclass(frozen=True)
class Ground:
    """A template with a full build of 0.1.0 for the platform here, and a repository where somebody else's may be."""

    run: Run
    entry: Facts
    full: Facts
    elsewhere: str

    @property
    def image(self) -> str:
        return str(self.entry["image"])

    def cascade(self, wheel: SmallWheel, full_build: str, **known: object) -> Ended:
        """Make the candidate for both platforms."""
        return self.run.cascade(wheel, self.both(full_build, **known))

    def both(self, full_build: str, **known: object) -> Facts:
        other = {"platform": ARM, "fullBuild": full_build, "known": known or None}
        return {**self.entry, "otherPlatforms": [other]}

    def made(self) -> Facts:
        """All facts of the last run."""
        return _made(self.run)

    def child(self, platform: str) -> str:
        """The image of a platform in the last run's index."""
        return f"{self.image}@{self.made()['platforms'][platform]['digest']}"


def _made(run: Run) -> Facts:
    made: Facts = json.loads((run.out / "result.json").read_text())["templates"]["both"]
    return made


@pytest.fixture(scope="module")
def built(  # noqa: PLR0913, PLR0917 -- fixtures of pytest are its arguments
    engine: str,
    index: dict[str, str],
    registry: str,
    image_prefix: str,
    base_image: str,
    old_wheel: SmallWheel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ground:
    folder = tmp_path_factory.mktemp("platforms")
    run = Run(engine, folder / "out", "Remote", {"insecure": True}, index)
    image = f"{registry}/{image_prefix}both"
    entry = template_entry("both", image, make_template(folder / "both"), base=base_image)
    run.cascade(old_wheel, entry).template("both")
    return Ground(run, entry, _made(run)["fullBuild"], "")


@pytest.fixture
def ground(built: Ground) -> Ground:
    elsewhere = f"{built.image}-{secrets.token_hex(3)}"
    return Ground(built.run, built.entry, built.full, elsewhere)


@pytest.fixture
def wheel(tmp_path: Path) -> SmallWheel:
    """A runtime 0.1.1 that no other test has."""
    return make_wheel(tmp_path, "0.1.1", files={f"m{secrets.token_hex(4)}.py": "x = 1\n"})


@pytest.fixture
def client(engine: str) -> docker.DockerClient:
    return docker.DockerClient(base_url=engine)


def test_the_candidate_is_an_index_from_which_an_engine_takes_its_own_platform(
    ground: Ground, wheel: SmallWheel, client: docker.DockerClient
) -> None:
    copied = copy_for_arm(ground.full["image"], f"{ground.elsewhere}:of-arm")
    made = ground.cascade(wheel, f"{ground.elsewhere}:of-arm").template("both")
    facts = ground.made()
    amd, arm = facts["platforms"]["linux/amd64"], facts["platforms"][ARM]
    listed = manifest(made["candidate"])
    assert (listed.digest, listed.media_type) == (made["digest"], MediaType.DOCKER_LIST)
    assert {(each["digest"], each["platform"]["architecture"]) for each in listed.document["manifests"]} == {
        (amd["digest"], "amd64"),
        (arm["digest"], "arm64"),
    }
    assert (arm["fullBuild"]["digest"], arm["byteCode"], amd["byteCode"]) == (copied, True, True)

    pulled = client.images.pull(f"{ground.image}@{made['digest']}")
    assert pulled.id == facts["imageId"] == amd["imageId"]
    assert (
        client.containers.run(str(pulled.id), remove=True, network_mode="none") == b"molecule-runtime 0.1.1\n"
    )
    tag = made["candidate"].rpartition(":")[2]
    other = client.images.pull(ground.image, tag=tag, platform=ARM)
    assert (other.id, other.attrs["Architecture"]) == (arm["imageId"], "arm64")
    client.images.remove(str(other.id), force=True)
    client.images.remove(str(pulled.id), force=True)


def test_both_images_are_their_own_full_build_with_the_same_layer_on_top(
    ground: Ground, wheel: SmallWheel
) -> None:
    copied = copy_for_arm(ground.full["image"], f"{ground.elsewhere}:of-arm")
    ground.cascade(wheel, f"{ground.elsewhere}:of-arm").template("both")
    assert manifest(ground.child(ARM)).layers == manifest(ground.child("linux/amd64")).layers
    config = config_of(ground.child(ARM))
    labels = config["config"]["Labels"]
    assert (config["architecture"], labels["built-on"]) == ("arm64", "another machine")
    assert (labels["ai.molecule.runtime.version"], labels["ai.molecule.runtime.wheel-sha256"]) == (
        "0.1.1",
        wheel.sha256,
    )
    assert labels["org.opencontainers.image.base.name"] == f"{ground.elsewhere}:of-arm"
    assert labels["org.opencontainers.image.base.digest"] == copied


def test_nothing_of_a_foreign_image_comes_to_the_engine(
    ground: Ground, wheel: SmallWheel, client: docker.DockerClient
) -> None:
    copied = copy_for_arm(ground.full["image"], f"{ground.elsewhere}:of-arm")
    since = client.info()["SystemTime"]
    ground.cascade(wheel, f"{ground.elsewhere}:of-arm").template("both")
    seen = client.events(decode=True, since=since, until=client.info()["SystemTime"])
    ours = [event for event in seen if ground.image in json.dumps(event)]
    assert [event for event in ours if event["Type"] == "container"] == []
    for name in (f"{ground.elsewhere}:of-arm", f"{ground.elsewhere}@{copied}"):
        with pytest.raises(docker.errors.ImageNotFound):
            client.images.get(name)


def test_a_blob_is_sent_once_those_below_are_mounted_and_a_second_run_sends_nothing(
    ground: Ground, wheel: SmallWheel, registry: str
) -> None:
    copy_for_arm(ground.full["image"], f"{ground.elsewhere}:of-arm")

    async def seen() -> tuple[list[str], list[str]]:
        async with lying_proxy(registry) as proxy:

            async def run(**known: object) -> tuple[str, list[str]]:
                proxy.seen.clear()
                entry = json.dumps(ground.both(f"{ground.elsewhere}:of-arm", **known))
                there = json.loads(entry.replace(registry, proxy.address))
                ended = await asyncio.to_thread(ground.run.cascade_apart, wheel, there)
                return ended.template("both")["digest"], list(proxy.seen)

            first, began = await run()
            again, went_on = await run(**ground.made()["platforms"][ARM]["fullBuild"])
            assert first == again
            return began, went_on

    first, second = asyncio.run(seen())
    assert len(_uploads(first)) == 3, first  # one layer and two configurations
    assert [request for request in first if "mount=" in request] == []  # all are in this repository already
    assert {request.split()[0] for request in second} == {"GET", "HEAD"}
    assert len(second) == 7, second  # manifest and configuration of two full builds, then three digests


def test_layers_that_only_another_repository_has_are_mounted(ground: Ground, wheel: SmallWheel) -> None:
    push_small_arm(f"{ground.elsewhere}:of-arm")
    below = manifest(f"{ground.elsewhere}:of-arm").layers[0].digest
    ground.cascade(wheel, f"{ground.elsewhere}:of-arm").template("both")
    assert manifest(ground.child(ARM)).layers[0].digest == below

    async def has() -> bool:
        async with Client(insecure=True) as client:
            return await client.has_blob(Reference.parse(ground.image), below)

    assert asyncio.run(has())


def test_a_full_build_may_be_one_of_an_index(ground: Ground, wheel: SmallWheel) -> None:
    small = push_small_arm(f"{ground.elsewhere}:one")
    push_index(f"{ground.elsewhere}:all", arm64=small)
    ground.cascade(wheel, f"{ground.elsewhere}:all").template("both")
    assert ground.made()["platforms"][ARM]["fullBuild"]["digest"] == small


def test_another_full_build_gives_another_candidate_and_never_one_on_top_of_the_last(
    ground: Ground, wheel: SmallWheel
) -> None:
    name = f"{ground.elsewhere}:of-arm"
    push_small_arm(name)
    first = ground.cascade(wheel, name).template("both")
    push_small_arm(name, packages={"small-dependency": "2"})
    second = ground.cascade(wheel, name, **ground.made()["platforms"][ARM]["fullBuild"]).template("both")
    assert first["candidate"] != second["candidate"]
    kept = ground.made()["platforms"][ARM]["fullBuild"]["inventory"]
    assert "small-dependency" in Inventory.from_bytes(Path(kept).read_bytes()).installed
    assert len(manifest(ground.child(ARM)).layers) == 2  # its one layer and ours


def test_a_python_that_nobody_here_has_gets_no_byte_code_and_the_report_says_so(
    ground: Ground, wheel: SmallWheel
) -> None:
    push_small_arm(f"{ground.elsewhere}:of-arm", python=99)
    made = ground.cascade(wheel, f"{ground.elsewhere}:of-arm").template("both")
    assert (made["withoutByteCode"], ground.made()["platforms"][ARM]["byteCode"]) == ([ARM], False)
    package = "usr/local/lib/python3.99/site-packages/molecule_runtime"
    files = files_of_last_layer(ground.child(ARM))
    assert {f"{package}/main.py", f"{package}/.wh..wh..opq", "usr/local/bin/molecule-runtime"} <= set(files)
    assert _compiled(files) == []
    assert len(_compiled(files_of_last_layer(ground.child("linux/amd64")))) == 3


@pytest.mark.parametrize("there", ["nothing", "an image for another platform"])
def test_without_a_full_build_the_template_fails_and_names_platform_and_cure(
    ground: Ground, wheel: SmallWheel, there: str
) -> None:
    name = f"{ground.elsewhere}:of-arm" if there == "nothing" else ground.full["image"]
    ended = ground.cascade(wheel, name)
    assert (ended.code, ended.report["reason"]) == (30, "FullBuildMissing")
    assert ended.report["message"] == (
        f"Template both: There is no full build for linux/arm64: {name} does not exist, or has no image for that "
        f"platform. Build {ground.entry['directory']} on such a machine and push it under this name."
    )


def test_an_image_that_has_our_layer_already_is_no_full_build(ground: Ground, wheel: SmallWheel) -> None:
    ground.run.cascade(wheel, ground.entry).template("both")
    name = f"{ground.elsewhere}:of-arm"
    copy_for_arm(ground.made()["candidate"], name)
    ended = ground.cascade(wheel, name)
    assert (ended.code, ended.report["reason"]) == (30, "FullBuildMissing")
    assert ended.report["message"] == (
        f"Template both: {name} is no full build for linux/arm64: a runtime was already appended to it. "
        "Let build.fullBuild name what the template's Dockerfile gives, as it was built."
    )


def test_a_full_build_that_lacks_a_requirement_says_what_and_where(ground: Ground, tmp_path: Path) -> None:
    name = f"{ground.elsewhere}:of-arm"
    push_small_arm(name, packages={"small-dependency": "0.5"})
    needs = ["small-dependency>=1", "absent; sys_platform == 'win32'", "other; platform_machine == 'aarch64'"]
    ended = ground.cascade(make_wheel(tmp_path, "0.1.3", requires=needs), name)
    assert (ended.code, ended.report["reason"]) == (30, "RequirementsChanged")
    assert ended.report["message"] == (
        f"Template both: The full build for linux/arm64, {name}, lacks what 0.1.3 needs: small-dependency is 0.5, "
        "needed >=1, other is not installed. Build it anew on such a machine, with these, and push it under the same name."
    )


def test_a_full_build_without_the_runtime_says_so(ground: Ground, wheel: SmallWheel) -> None:
    name = f"{ground.elsewhere}:of-arm"
    push_small_arm(name, runtime="something-else")
    ended = ground.cascade(wheel, name)
    assert (ended.code, ended.report["reason"]) == (30, "NotInventoried")
    assert ended.report["message"].startswith(
        f"Template both: The full build for linux/arm64, {name}: It holds no {NAME} in /usr/local/lib/python3.11/"
    )


def test_what_is_derived_from_layers_is_what_the_image_says_of_itself(ground: Ground) -> None:
    told = Inventory.from_bytes(Path(ground.full["inventory"]).read_bytes()).to_document()

    async def derived(file: Path) -> Facts:
        reference = Reference.parse(ground.full["image"])
        async with Client(insecure=True) as client:
            found = await client.manifest(reference)
            config = json.loads(await client.blob(reference, found.config))
            layers = []
            for layer in found.layers:
                with file.open("w+b") as opened:
                    await client.download(reference, layer, opened)
                    opened.seek(0)
                    layers.append(layer_entries(opened, where=layer.digest))
        return derive_inventory(layers, config, package=NAME, script="molecule-runtime").to_document()

    ours = asyncio.run(derived(ground.run.out / "layer"))
    for of_the_kernel in ("platform_release", "platform_version"):
        assert told["environment"].pop(of_the_kernel)
        assert ours["environment"].pop(of_the_kernel) == ""
    assert ours == told
    assert len(ours["runtime"]["folders"]) == 2


def test_an_image_of_two_families_is_an_oci_index(ground: Ground, wheel: SmallWheel) -> None:
    push_small_arm(f"{ground.elsewhere}:of-arm", oci=True)
    made = ground.cascade(wheel, f"{ground.elsewhere}:of-arm").template("both")
    listed = manifest(made["candidate"])
    assert listed.media_type == MediaType.OCI_INDEX
    assert manifest(ground.child(ARM)).media_type == MediaType.OCI_MANIFEST
    assert manifest(ground.child("linux/amd64")).media_type == MediaType.DOCKER_MANIFEST
    assert listed.for_platform(Platform.parse("linux/arm64/v8")) is not None


def test_an_engine_keeps_no_index(ground: Ground, wheel: SmallWheel) -> None:
    run = Run(ground.run.engine, ground.run.out, index=ground.run.index)
    ended = run.cascade(wheel, ground.both("somewhere:1"))
    assert (ended.code, ended.report["reason"]) == (10, "InvalidInputs")
    assert "template both is for several platforms, and an engine keeps no index" in ended.report["message"]


def _uploads(requests: Sequence[str]) -> list[str]:
    return [request for request in requests if request.startswith("PUT") and "/blobs/" in request]


def _compiled(files: Sequence[str]) -> list[str]:
    return [path for path in files if path.endswith(".pyc")]
