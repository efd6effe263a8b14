"""The OCI client against each registry and each way to be let in."""

import gzip
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from builder.oci import (
    Blob,
    Client,
    Credential,
    Descriptor,
    DockerConfig,
    FixedCredential,
    Manifest,
    MediaType,
    NotFound,
    Platform,
    Reference,
    Refused,
    Unauthorized,
    Unavailable,
    canonical_json,
    sha256_digest,
)
from tests.contract.registries import PLACES, Place
from tests.parts.registry import running_registry


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with PLACES[request.param](tmp_path_factory.mktemp("registry")) as place:
        yield place


@pytest.fixture
async def client(place: Place) -> AsyncIterator[Client]:
    async with place.client() as client:
        yield client


async def _push_image(client: Client, reference: Reference, content: bytes = b"layer") -> str:
    layer, config = gzip.compress(content, mtime=0), canonical_json({"os": "linux", "architecture": "amd64"})
    for data in (layer, config):
        await client.ensure_blob(reference, data, digest=sha256_digest(data))
    document = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_MANIFEST,
        "config": Descriptor.of(MediaType.OCI_CONFIG, config).to_document(),
        "layers": [Descriptor.of(MediaType.OCI_LAYER, layer).to_document()],
    }
    return await client.put_manifest(reference, canonical_json(document), MediaType.OCI_MANIFEST)


async def test_what_is_pushed_is_read_back_with_the_same_digest(place: Place, client: Client) -> None:
    reference = Reference.parse(f"{place.address}/oci/round-trip:1")
    digest = await _push_image(client, reference)

    head, manifest = await client.head(reference), await client.manifest(reference.at(digest))

    assert (head.digest, head.media_type, head.size) == (digest, MediaType.OCI_MANIFEST, len(manifest.raw))
    assert manifest.digest == digest
    assert gzip.decompress(await client.blob(reference, manifest.layers[0])) == b"layer"
    assert await client.tags(reference) == ["1"]


async def test_absence_is_not_found_and_an_absent_repository_has_no_tags(
    place: Place, client: Client
) -> None:
    absent = Reference.parse(f"{place.address}/oci/absent:1")
    with pytest.raises(NotFound, match="oci/absent:1 does not exist"):
        await client.head(absent)
    with pytest.raises(NotFound, match=r"oci/absent:1 does not exist.*(MANIFEST|NAME)_UNKNOWN"):
        await client.manifest(absent)
    assert not await client.has_blob(absent, sha256_digest(b"nothing"))
    assert await client.tags(absent) == []


async def test_a_blob_that_is_there_is_not_sent_again(place: Place, client: Client) -> None:
    repository, data = Reference.parse(f"{place.address}/oci/once"), b"sent once"
    assert await client.ensure_blob(repository, data, digest=sha256_digest(data))
    assert not await client.ensure_blob(repository, data, digest=sha256_digest(data))


async def test_a_file_is_uploaded_as_it_is(place: Place, client: Client, tmp_path: Path) -> None:
    file, data = tmp_path / "blob", bytes(range(256)) * 20_000
    file.write_bytes(data)
    repository = Reference.parse(f"{place.address}/oci/file")
    await client.upload(repository, file, digest=sha256_digest(data))
    assert await client.blob(repository, Descriptor.of("application/octet-stream", data)) == data


async def test_a_blob_of_another_repository_is_mounted_without_sending_it(
    place: Place, client: Client
) -> None:
    source, target = (
        Reference.parse(f"{place.address}/oci/{name}") for name in ("mount-source", "mount-target")
    )
    digest = sha256_digest(b"to be mounted")
    await client.upload(source, b"to be mounted", digest=digest)

    assert await client.mount(target, digest, source)
    assert await client.has_blob(target, digest)


async def test_a_blob_nobody_has_cannot_be_mounted(place: Place, client: Client) -> None:
    source, target = (
        Reference.parse(f"{place.address}/oci/{name}") for name in ("mount-source", "mount-target")
    )
    assert not await client.mount(target, sha256_digest(b"never pushed"), source)


async def test_the_registry_refuses_bytes_that_are_not_the_digest(place: Place, client: Client) -> None:
    with pytest.raises(Refused, match="DIGEST_INVALID"):
        await client.upload(
            Reference.parse(f"{place.address}/oci/lie"), b"some", digest=sha256_digest(b"other")
        )


async def test_an_artifact_keeps_its_type_its_annotations_and_its_bytes(place: Place, client: Client) -> None:
    reference = Reference.parse(f"{place.address}/oci/records:0.1.6")
    record = Blob(
        "application/json", b'{"verdict":"Good"}', {"org.opencontainers.image.title": "record.json"}
    )
    kind = "application/vnd.example.record.v1+json"

    digest = await client.put_artifact(
        reference, [record], artifact_type=kind, annotations={"version": "0.1.6"}
    )
    manifest = await client.manifest(reference)

    assert (manifest.digest, manifest.artifact_type) == (digest, kind)
    assert manifest.annotations == {"version": "0.1.6"}
    assert manifest.layers[0].annotations == record.annotations
    assert await client.blob(reference, manifest.layers[0]) == record.data
    again = await client.put_artifact(
        reference, [record], artifact_type=kind, annotations={"version": "0.1.6"}
    )
    assert again == digest


async def test_an_index_leads_to_the_image_of_a_platform(place: Place, client: Client) -> None:
    reference = Reference.parse(f"{place.address}/oci/many:1")
    images = {}
    for name in ("amd64", "arm64"):
        await _push_image(client, reference.at(name), name.encode())
        images[Platform("linux", name)] = await client.manifest(reference.at(name))

    index = Manifest.index_of(images)
    await client.put_manifest(reference, index.raw, index.media_type)

    assert (await client.head(reference)).digest == index.digest
    arm64 = Platform.parse("linux/arm64")
    assert (await client.image(reference, arm64)).digest == images[arm64].digest
    assert (await client.image(reference.at(index.digest), arm64)).digest == images[arm64].digest
    amd64 = await client.image(reference.at("amd64"), arm64)
    assert amd64.digest == images[Platform("linux", "amd64")].digest  # what is no index is for any platform
    with pytest.raises(NotFound, match="has no image for linux/s390x"):
        await client.image(reference, Platform.parse("linux/s390x"))


async def test_an_index_of_images_that_are_not_there_is_refused(place: Place, client: Client) -> None:
    reference = Reference.parse(f"{place.address}/oci/lonely:1")
    await _push_image(client, reference.at("there"), b"there")
    there = await client.manifest(reference.at("there"))
    away = Manifest.from_bytes(there.raw + b" ", there.media_type, where="nowhere")
    index = Manifest.index_of({Platform("linux", "amd64"): away})
    with pytest.raises((Refused, Unavailable)):  # 400 from one implementation, 500 from the other
        await client.put_manifest(reference, index.raw, index.media_type)
    with pytest.raises(NotFound):
        await client.head(reference)


async def test_deleting_a_manifest_takes_its_tags_and_an_absent_one_is_fine(
    place: Place, client: Client
) -> None:
    reference = Reference.parse(f"{place.address}/oci/gone:1")
    digest = await _push_image(client, reference, b"to be deleted")
    await client.delete(reference, digest)
    await client.delete(reference, digest)
    with pytest.raises(NotFound):
        await client.manifest(reference)


async def test_a_registry_with_passwords_takes_the_right_one_only(tmp_path: Path) -> None:
    with running_registry(tmp_path, users={"robot": "right"}) as address:
        reference = Reference.parse(f"{address}/oci/private:1")
        right = FixedCredential(address, Credential("robot", "right"))
        async with Client(right, insecure=True) as client:
            digest = await _push_image(client, reference)
            assert (await client.head(reference)).digest == digest
        wrong = FixedCredential(address, Credential("robot", "wrong"))
        async with Client(wrong, insecure=True) as client:
            with pytest.raises(
                Unauthorized, match=r"answered 401.*are missing, wrong or not allowed"
            ) as refused:
                await client.manifest(reference)
            assert "wrong" not in str(refused.value).replace("missing, wrong or", "")
        async with Client(
            FixedCredential("elsewhere.example", Credential("robot", "right")), insecure=True
        ) as client:
            with pytest.raises(Unauthorized, match=f"docker login {address}"):
                await client.head(reference)


@pytest.mark.parametrize("by_helper", [False, True])
async def test_a_docker_configuration_opens_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_helper: bool
) -> None:
    with running_registry(tmp_path, users={"robot": "se:cret"}) as address:
        config = tmp_path / "config.json"
        if by_helper:
            helper = tmp_path / "docker-credential-test"
            helper.write_text(
                "#!/bin/sh\nread host\n"
                f'[ "$host" = {address} ] && echo \'{{"Username": "robot", "Secret": "se:cret"}}\' && exit\n'
                "echo credentials not found in native keychain; exit 1\n"
            )
            helper.chmod(0o755)
            monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
            config.write_text('{"credsStore": "test"}')
        else:
            config.write_text('{"auths": {"%s": {"auth": "cm9ib3Q6c2U6Y3JldA=="}}}' % address)  # noqa: UP031 -- braces of JSON
        async with Client(DockerConfig(config), insecure=True) as client:
            await _push_image(client, Reference.parse(f"{address}/oci/configured:1"))


async def test_a_plain_registry_is_not_used_unless_told(registry: str) -> None:
    async with Client() as client:
        with pytest.raises(Unavailable, match=r"does not speak TLS.*registry.insecure: true"):
            await client.head(Reference.parse(f"{registry}/oci/round-trip:1"))


async def test_a_registry_that_is_not_there_is_unavailable() -> None:
    async with Client(insecure=True) as client:
        with pytest.raises(Unavailable, match=r"127.0.0.1:1 cannot be reached"):
            await client.head(Reference.parse("127.0.0.1:1/oci/any:1"))


def test_the_digest_of_bytes_is_their_sha256() -> None:
    assert sha256_digest(b"x") == "sha256:" + hashlib.sha256(b"x").hexdigest()
