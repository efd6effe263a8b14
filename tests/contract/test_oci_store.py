"""What a cascade sends to a registry, counted on the wire."""

import asyncio
import gzip
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from builder.engine import Engine
from builder.oci import (
    Client,
    Credential,
    Descriptor,
    FixedCredential,
    MediaType,
    NoCredentials,
    NotFound,
    Platform,
    Reference,
    Unauthorized,
    canonical_json,
    sha256_digest,
)
from builder.remote_store import Access, RemoteStore
from builder.stages.layer import Layer
from builder.stores import StoredImage
from tests.contract.lying_proxy import LyingProxy, lying_proxy
from tests.parts.registry import running_registry
from tests.parts.token_server import running_token_server


async def _full_build(client: Client, name: str, *, docker: bool) -> None:
    reference = Reference.parse(name)
    layer = gzip.compress(name.encode(), mtime=0)
    config = canonical_json(
        {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [sha256_digest(b"")]}}
    )
    for data in (layer, config):
        await client.ensure_blob(reference, data, digest=sha256_digest(data))
    types = (
        (MediaType.DOCKER_CONFIG, MediaType.DOCKER_LAYER)
        if docker
        else (MediaType.OCI_CONFIG, MediaType.OCI_LAYER)
    )
    family = MediaType.DOCKER_MANIFEST if docker else MediaType.OCI_MANIFEST
    document = {
        "schemaVersion": 2,
        "mediaType": family,
        "config": Descriptor.of(types[0], config).to_document(),
        "layers": [Descriptor.of(types[1], layer).to_document()],
    }
    await client.put_manifest(reference, canonical_json(document), family)


def _layer(text: bytes) -> Layer:
    packed = gzip.compress(text, mtime=0)
    return Layer(text, packed, sha256_digest(text), sha256_digest(packed))


async def _candidates(store: RemoteStore, names: list[str], layer: Layer) -> list[StoredImage]:
    async def one(name: str) -> StoredImage:
        base = await store.find(f"{name}:full")
        assert base is not None
        config = {**base.config, "rootfs": {"diff_ids": [*base.config["rootfs"]["diff_ids"], layer.diff_id]}}
        return await store.put(base, layer, config, name=f"{name}:candidate")

    return await asyncio.gather(*(one(name) for name in names))


@pytest.mark.parametrize("docker", [True, False])
async def test_a_layer_is_sent_once_and_mounted_into_the_other_repositories(
    registry: str, *, docker: bool
) -> None:
    async with lying_proxy(registry) as proxy, Client(insecure=True) as client:
        names = [f"{proxy.address}/sent-once-{docker}-{number}".lower() for number in range(4)]
        for name in names:
            await _full_build(client, f"{name}:full", docker=docker)
        layer = _layer(f"layer {docker}".encode())
        proxy.seen.clear()
        made = await _candidates(_store(client), names, layer)

        puts = [
            request
            for request in proxy.seen
            if request.startswith("PUT") and layer.digest.removeprefix("sha256:") in request
        ]
        mounts = [
            request
            for request in proxy.seen
            if "mount=" in request and layer.digest.removeprefix("sha256:") in request
        ]
        assert (len(puts), len(mounts)) == (1, 3)
        for image in made:
            manifest = await client.manifest(Reference.parse(image.name))
            assert manifest.digest == image.digest
            assert manifest.config.digest == image.image_id
            assert {manifest.media_type, manifest.config.media_type, manifest.layers[-1].media_type} == (
                {MediaType.DOCKER_MANIFEST, MediaType.DOCKER_CONFIG, MediaType.DOCKER_LAYER}
                if docker
                else {MediaType.OCI_MANIFEST, MediaType.OCI_CONFIG, MediaType.OCI_LAYER}
            )
        await _a_second_run_only_looks(proxy, client, names, layer, made)


async def _a_second_run_only_looks(
    proxy: LyingProxy, client: Client, names: list[str], layer: Layer, made: list[StoredImage]
) -> None:
    proxy.seen.clear()
    again = await _candidates(_store(client), names, layer)
    assert [image.digest for image in again] == [image.digest for image in made]
    assert {request.split()[0] for request in proxy.seen} == {"GET", "HEAD"}
    assert len(proxy.seen) == 3 * len(
        names
    )  # the full build's manifest and configuration, the candidate's digest


async def test_the_requests_of_an_append_are_these_and_no_more(registry: str) -> None:
    async with lying_proxy(registry) as proxy, Client(insecure=True) as client:
        names = [f"{proxy.address}/counted-{number}" for number in range(3)]
        for name in names:
            await _full_build(client, f"{name}:full", docker=False)
        layer = _layer(b"counted")
        proxy.seen.clear()
        proxy.sent_bytes = 0

        made = await _candidates(_store(client), names, layer)

        asked = [_kind(request) for request in proxy.seen]
        each = [
            "GET manifest",
            "GET blob",
            "HEAD manifest",
            "HEAD blob",
            "POST upload",
            "PUT upload",
            "PUT manifest",
        ]
        first, others = ["HEAD blob", "POST upload", "PUT upload"], ["POST mount"]
        assert sorted(asked) == sorted(
            [*each * 3, *first, *others * 2]
        )  # 10 requests for the first, 8 for each other
        manifests = [await client.manifest(Reference.parse(image.name)) for image in made]
        sent = len(layer.compressed) + sum(len(each.raw) + each.config.size for each in manifests)
        assert proxy.sent_bytes == sent


async def test_what_is_only_read_is_read_with_what_is_given_for_reading(tmp_path: Path) -> None:
    platform, engine = Platform.parse("linux/amd64"), Engine("unix:///nowhere")
    async with AsyncExitStack() as stack:
        tokens = stack.enter_context(running_token_server(tmp_path, writer="word", reader="word"))
        tokens.readers = frozenset({"reader"})
        host = stack.enter_context(running_registry(tmp_path / "registry", tokens=tokens))

        async def access(user: str | None) -> Access:
            known = FixedCredential(host, Credential(user, "word")) if user else NoCredentials()
            return Access(await stack.enter_async_context(Client(known, insecure=True)), known)

        nobody, reader, writer = await access(None), await access("reader"), await access("writer")
        name = f"{host}/kept"
        await _full_build(writer.client, f"{name}:full", docker=False)
        with pytest.raises(Unauthorized):
            await RemoteStore(nobody, engine, platform=platform).find(f"{name}:full")
        apart = RemoteStore(nobody, engine, platform=platform, reading=reader)
        assert await apart.find(f"{name}:full") is not None
        both = RemoteStore(writer, engine, platform=platform, reading=reader)
        (made,) = await _candidates(both, [name], _layer(b"apart"))
        assert await apart.find(f"{name}:candidate") == made


def _kind(request: str) -> str:
    method, path = request.split()
    if "mount=" in path:
        return f"{method} mount"
    return f"{method} {'upload' if '/uploads/' in path else path.split('/')[-2].rstrip('s')}"


def _store(client: Client) -> RemoteStore:
    engine = Engine("unix:///nowhere")
    return RemoteStore(Access(client, NoCredentials()), engine, platform=Platform.parse("linux/amd64"))


@pytest.mark.parametrize("docker", [True, False])
async def test_an_image_in_files_keeps_the_layers_of_the_base_that_it_begins_with_and_their_family(
    registry: str, tmp_path: Path, *, docker: bool
) -> None:
    where = f"{registry}/in-files-{docker}".lower()
    family = MediaType.DOCKER_MANIFEST if docker else MediaType.OCI_MANIFEST
    async with Client(insecure=True) as client:
        await _full_build(client, f"{where}/base:1", docker=docker)
        store = _store(client)
        base_digest = await store.digest(Reference.parse(f"{where}/base:1"))
        with pytest.raises(NotFound):
            await store.lay_out(f"{where}/base:1", tmp_path, digest=sha256_digest(b"gone"))
        base = await store.lay_out(f"{where}/base:1", tmp_path, digest=base_digest)
        assert base.manifest is not None
        assert (tmp_path / "manifest.json").read_bytes() == base.manifest.raw
        for blob in (base.manifest.config, *base.manifest.layers):
            found = (tmp_path / blob.digest.removeprefix("sha256:")).read_bytes()
            assert sha256_digest(found) == blob.digest

        own, as_written = gzip.compress(b"own", mtime=0), tmp_path / "own"
        as_written.write_bytes(own)
        anew = Descriptor(
            MediaType.DOCKER_LAYER, sha256_digest(b"the base's, compressed anew"), 1
        )  # what a builder writes
        layers = [
            (anew, tmp_path / "never-read"),
            (Descriptor(MediaType.DOCKER_LAYER, sha256_digest(own), len(own)), as_written),
        ]
        config = {**base.config, "rootfs": {"diff_ids": [sha256_digest(b""), sha256_digest(b"own")]}}
        for bases in ([base], []):
            name = f"{where}/built-{len(bases)}:full"
            if not bases:
                layers[0] = layers[1]
            made = await store.put_built(layers, config, bases, name=name)
            manifest = await client.image(Reference.parse(name), Platform("linux", "amd64"))
            assert (manifest.digest, manifest.config.digest) == (made.digest, made.image_id)
            assert manifest.media_type == (family if bases else MediaType.DOCKER_MANIFEST)
            expected = [*base.manifest.layers] if bases else [layers[0][0]]
            assert list(manifest.layers[:-1]) == expected
            assert await client.blob(Reference.parse(name), manifest.layers[-1]) == own
        assert await client.tags(Reference.parse(f"{where}/built-1")) == ["full"]
