"""Bases and labels as a registry and an engine tell them: what is asked, how often, and what is said when there is no answer."""

import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import docker
import pytest

from builder.bases import Bases
from builder.engine import Engine, EngineError
from builder.inventory import Installed, Inventory
from builder.oci import Client, Descriptor, MediaType, NoCredentials, Reference, canonical_json, sha256_digest
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.model.errors import Transient
from controller.model.observed import Known, Unknown
from controller.model.template_record import FullBuild
from controller.observe.bases import INTERVAL, RegistryBases, familiar, read_engine_bases
from controller.observe.seen_images import SeenImages
from tests.contract.lying_proxy import LyingProxy, lying_proxy

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
Images = tuple[LyingProxy, RegistryBases, Registry]


async def put_image(address: str, name: str, **labels: str) -> str:
    """Store an image without layers that carries labels; its digest."""
    config = canonical_json(
        {"os": "linux", "architecture": "amd64", "config": {"Labels": labels}, "rootfs": {"diff_ids": []}}
    )
    document = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_MANIFEST,
        "config": Descriptor.of(MediaType.OCI_CONFIG, config).to_document(),
        "layers": [],
    }
    reference = Reference.parse(f"{address}/{name}")
    async with Client(insecure=True) as client:
        await client.ensure_blob(reference, config, digest=sha256_digest(config))
        return await client.put_manifest(reference, canonical_json(document), MediaType.OCI_MANIFEST)


@pytest.fixture
async def images(registry: str) -> AsyncIterator[Images]:
    """A proxy before the registry that counts, and what reads through it."""
    async with lying_proxy(registry) as proxy, Registry(RegistryAccess(proxy.address, insecure=True)) as read:

        async def registry_of(_: str) -> Registry:
            return read

        yield proxy, RegistryBases(registry_of), read


async def test_a_base_costs_one_head_an_interval_however_often_it_is_read(
    registry: str, images: Images
) -> None:
    proxy, bases, _ = images
    repository = f"t{secrets.token_hex(4)}/base"
    first = await put_image(registry, f"{repository}:1", made="first")
    name = f"{proxy.address}/{repository}:1"
    for second in range(0, 3600, 20):
        assert await bases.read([name], now=NOON + timedelta(seconds=second)) == {name: Known(first)}
    assert proxy.seen == [f"HEAD /v2/{repository}/manifests/1"] * 60
    second_digest = await put_image(registry, f"{repository}:1", made="second")
    seen = await bases.read([name], now=NOON + timedelta(seconds=3600))
    assert seen == {name: Known(second_digest)}


async def test_a_base_that_cannot_be_read_is_unknown_since_it_was_and_is_asked_for_again_next_time(
    registry: str, images: Images
) -> None:
    proxy, bases, _ = images
    repository = f"t{secrets.token_hex(4)}/base"
    name = f"{proxy.address}/{repository}:1"
    (unknown,) = (await bases.read([name], now=NOON)).values()
    assert isinstance(unknown, Unknown)
    assert f"{name}" in unknown.reason
    later = (await bases.read([name], now=NOON + INTERVAL))[name]
    assert later == Unknown(unknown.reason, NOON)
    digest = await put_image(registry, f"{repository}:1")
    assert await bases.read([name], now=NOON + INTERVAL * 2) == {name: Known(digest)}


async def test_one_base_that_cannot_be_read_says_nothing_of_another(registry: str, images: Images) -> None:
    proxy, bases, _ = images
    repository = f"t{secrets.token_hex(4)}/base"
    digest = await put_image(registry, f"{repository}:1")
    good, absent = f"{proxy.address}/{repository}:1", f"{proxy.address}/{repository}:2"
    seen = await bases.read([good, absent, "not/an image"], now=NOON)
    assert seen[good] == Known(digest)
    assert isinstance(seen[absent], Unknown)
    assert isinstance(seen["not/an image"], Unknown)


async def test_a_base_that_is_named_by_its_digest_is_never_asked_for(images: Images) -> None:
    proxy, bases, _ = images
    digest = f"sha256:{'1' * 64}"
    name = f"{proxy.address}/base@{digest}"
    assert await bases.read([name], now=NOON) == {name: Known(digest)}
    assert proxy.seen == []


async def test_the_labels_of_an_image_are_read_once(registry: str, images: Images) -> None:
    proxy, _, read = images
    repository = f"t{secrets.token_hex(4)}/image"
    digest = await put_image(registry, f"{repository}:1", version="0.1.1")
    seen = SeenImages()
    wanted = {digest: partial(read.labels, f"{proxy.address}/{repository}@{digest}")}
    for minute in range(60):
        found = await seen.labels(wanted, now=NOON + timedelta(minutes=minute))
        assert found == {digest: Known({"version": "0.1.1"})}
    assert [line.partition(" ")[0] for line in proxy.seen] == ["GET", "GET"], "a manifest and a configuration"


async def test_labels_that_could_not_be_read_are_unknown_and_read_again() -> None:
    answers: list[Mapping[str, str] | Transient] = [Transient("It is away"), {"version": "0.1.1"}]

    async def read() -> Mapping[str, str]:
        answer = answers.pop(0)
        if isinstance(answer, Transient):
            raise answer
        return answer

    seen = SeenImages()
    assert await seen.labels({"sha256:1": read}, now=NOON) == {"sha256:1": Unknown("It is away", NOON)}
    assert await seen.labels({"sha256:1": read}, now=NOON) == {"sha256:1": Known({"version": "0.1.1"})}


async def test_what_a_full_build_lacks_is_told_from_its_kept_inventory_read_once(images: Images) -> None:
    proxy, _, read = images
    records = RegistryRecords(read, f"{proxy.address}/t{secrets.token_hex(4)}/artifacts")
    inventory = Inventory(
        interpreter="/usr/bin/python3",
        python_version="3.11.2",
        magic="a70d0d0a",
        cache_tag="cpython-311",
        environment={"python_version": "3.11"},
        paths={},
        folders={},
        runtime_versions=("0.1.0",),
        runtime_content_sha256="",
        runtime_folders=(),
        runtime_files=(),
        installed={"small": Installed("1.0", ())},
    )
    kept = await records.put_blob("inventory.json", canonical_json(inventory.to_document()))
    built = FullBuild(image="x:full", digest=f"sha256:{'1' * 64}", inputs_sha256="2" * 64, inventory=kept)
    lost = built.model_copy(update={"inventory": kept.model_copy(update={"sha256": "3" * 64})})
    builds = {"echo": built, "lost": lost, "unkept": built.model_copy(update={"inventory": None})}
    seen, requires = SeenImages(), ("small>=2", "more[fast]", "old; python_version < '3'")
    proxy.seen.clear()
    for _minute in range(3):
        unmet = await seen.unmet(builds, requires, records)
        assert unmet == {"echo": (("small 1.0", "small>=2"), ("more absent", "more"))}
    assert sum(kept.sha256 in line for line in proxy.seen if "manifests" in line) == 1
    assert await seen.unmet(builds, ("small>=1",), records) == {}


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("python", "python:latest"),
        ("docker.io/library/python:3.11-slim", "python:3.11-slim"),
        ("docker.io/team/python", "team/python:latest"),
        ("localhost:5000/python", "localhost:5000/python:latest"),
        ("localhost:5000/library/python:3", "localhost:5000/library/python:3"),
        ("python@sha256:12", "python@sha256:12"),
    ],
)
def test_a_base_is_found_by_the_name_that_an_engine_lists(name: str, listed: str) -> None:
    assert familiar(name) == listed
    assert read_engine_bases([name, "absent"], {listed: "sha256:1"}) == {name: Known("sha256:1")}


# --- what a build is given


@pytest.fixture
async def builds(engine: str) -> AsyncIterator[Engine]:
    async with Engine(engine) as client:
        yield client


async def test_a_base_is_fetched_at_the_digest_that_is_wanted_whatever_the_engine_has_under_its_name(
    engine: str, builds: Engine, registry: str, docker_prefix: str, base_image: str
) -> None:
    client = docker.DockerClient(base_url=engine)
    name = f"{registry}/{docker_prefix}base:1"
    client.images.get(base_image).tag(name)
    client.images.push(name)
    wanted = str(client.images.get_registry_data(name).id)
    client.images.get("wsr-empty:1").tag(name)
    bases = Bases(builds, NoCredentials(), "", by_registry=True)
    assert await bases.prepare([name], {name: wanted}) == {name: wanted}
    assert client.images.get(name).id == client.images.get(base_image).id
    with pytest.raises(EngineError, match=r"manifest unknown|not found"):
        await bases.prepare([name], {name: f"sha256:{'1' * 64}"})


async def test_a_base_that_the_engine_lacks_is_fetched_and_one_that_nobody_has_is_left_to_the_build(
    engine: str, builds: Engine, registry: str, docker_prefix: str, base_image: str
) -> None:
    client = docker.DockerClient(base_url=engine)
    name, absent = f"{registry}/{docker_prefix}base:1", f"{registry}/{docker_prefix}absent:1"
    client.images.get(base_image).tag(name)
    client.images.push(name)
    digest = str(client.images.get_registry_data(name).id)
    client.images.remove(name)
    by_registry, by_engine = (Bases(builds, NoCredentials(), "", by_registry=each) for each in (True, False))
    assert await by_registry.prepare([name, absent, "x:"], {}) == {name: digest}
    assert await by_engine.prepare([name, absent], {}) == {name: client.images.get(base_image).id}
    assert await by_registry.prepare([base_image], {}) == {}, (
        "what was pushed elsewhere has no digest of its own"
    )
    pinned = f"python@sha256:{'1' * 64}"
    assert await by_engine.prepare([pinned], {}) == {pinned: f"sha256:{'1' * 64}"}


async def test_the_newest_base_is_fetched_when_it_is_asked_for_unless_it_was_never_in_a_registry(
    engine: str, builds: Engine, registry: str, docker_prefix: str, base_image: str
) -> None:
    client = docker.DockerClient(base_url=engine)
    name, own = f"{registry}/{docker_prefix}base:1", f"{registry}/{docker_prefix}own:1"
    empty = client.images.get("wsr-empty:1")
    empty.tag(name)
    client.images.push(name)
    client.images.get(base_image).tag(own)
    bases = Bases(builds, NoCredentials(), "", by_registry=False)
    before = client.images.get(name).id
    await put_image(registry, f"{docker_prefix}base:1", made="elsewhere")
    assert (await bases.prepare([name], {}))[name] == before
    assert (await bases.prepare([own], {}, newest=True))[own] == client.images.get(base_image).id
    assert (await bases.prepare([name], {}, newest=True))[name] != before
