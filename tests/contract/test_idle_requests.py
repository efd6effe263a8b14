"""What an object that is up to date costs its registry: one HEAD per tag and look, and one for all release records."""

import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from builder.oci import Client, Descriptor, MediaType, Reference, canonical_json, sha256_digest
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.model.observed import Known
from controller.model.record import TemplateRecord
from controller.standalone.session import open_session
from tests.contract.record_promises import NOON, record
from tests.e2e.proxy import Proxy, before_tcp
from tests.parts.servers import free_port

LOOKS = 3
TEMPLATES = ("echo", "greeter")
VERSIONS = ("0.1.0", "0.1.1", "0.1.2")


@pytest.fixture
def proxied(registry: str) -> Iterator[tuple[str, Proxy]]:
    """Another address of the registry, behind which what is asked is noted."""
    host, _, port = registry.partition(":")
    own = (host, free_port())
    with before_tcp((host, int(port)), own) as proxy:
        yield f"{host}:{own[1]}", proxy


async def test_an_idle_look_asks_for_each_tag_once_and_for_all_records_together(
    proxied: tuple[str, Proxy], engine: str, tmp_path: Path
) -> None:
    address, proxy = proxied
    prefix = f"t{secrets.token_hex(4)}"
    for version in VERSIONS:
        await _release(f"{address}/{prefix}", version)
    document = _document(tmp_path, repository=f"{address}/{prefix}", engine=engine)
    async with open_session(document, state=tmp_path / "state", secrets=None) as session:
        first = await session.world.observe(session.document, earlier=None)
        assert isinstance(first.records, Known)
        assert set(first.records.value) == set(VERSIONS)
        assert isinstance(first.images, Known)
        assert len(first.images.value) == 2 * len(TEMPLATES)
        proxy.asked.clear()
        for _ in range(LOOKS):
            assert (await session.world.observe(session.document, earlier=None)).images == first.images
    tags = [f"{name}/manifests/{tag}" for name in TEMPLATES for tag in ("latest", "0.1.2-x")]
    asked = [f"HEAD /v2/{prefix}/{path}" for path in (*tags, "artifacts/manifests/changed")]
    assert Counter(proxy.asked) == Counter(dict.fromkeys(asked, LOOKS))


async def _release(repository: str, version: str) -> None:
    """Record a published version, with an image under its immutable tag and `latest` for each template."""
    images = {}
    async with Client(insecure=True) as client:
        for name in TEMPLATES:
            config = canonical_json({"os": "linux", "architecture": "amd64", "config": {"Cmd": [version]}})
            manifest = canonical_json(
                {
                    "schemaVersion": 2,
                    "mediaType": MediaType.DOCKER_MANIFEST,
                    "config": Descriptor.of(MediaType.DOCKER_CONFIG, config).to_document(),
                    "layers": [],
                }
            )
            for tag in ("latest", f"{version}-x"):
                reference = Reference.parse(f"{repository}/{name}:{tag}")
                await client.ensure_blob(reference, config, digest=sha256_digest(config))
                await client.put_manifest(reference, manifest, MediaType.DOCKER_MANIFEST)
            image = f"{repository}/{name}:{version}-x"
            images[name] = TemplateRecord(image=image, digest=sha256_digest(manifest), proven=True)
    host = repository.partition("/")[0]
    async with Registry(RegistryAccess(host, insecure=True)) as registry:
        records = RegistryRecords(registry, f"{repository}/artifacts")
        await records.put(record(version, templates=images, published_time=NOON))


def _document(folder: Path, *, repository: str, engine: str) -> Path:
    for name in ("source", *TEMPLATES):
        (folder / name).mkdir()
        (folder / name / "Dockerfile").write_text("FROM scratch\n")
    document = {
        "apiVersion": "runtime.molecule.ai/v1alpha1",
        "kind": "WorkspaceRuntime",
        "metadata": {"name": "idle"},
        "spec": {
            "version": VERSIONS[-1],
            "source": {"directory": "source"},
            "package": {"index": {"uploadURL": "http://127.0.0.1:9/", "simpleURL": "http://127.0.0.1:9/"}},
            "registry": {"mode": "Remote", "artifacts": f"{repository}/artifacts", "insecure": True},
            "templates": [
                {"name": name, "image": f"{repository}/{name}", "build": {"directory": name}}
                for name in TEMPLATES
            ],
            "targets": {
                "dockerHosts": [{"name": "local", "endpoint": engine, "containerPrefix": "wsr-test-nobody-"}]
            },
        },
    }
    file = folder / "runtime.yaml"
    file.write_text(yaml.safe_dump(document))
    return file
