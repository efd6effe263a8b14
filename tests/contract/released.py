"""A registry in which versions were released, and the document of which they are."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from builder.oci import Client, Descriptor, MediaType, Reference, canonical_json, sha256_digest
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.model.record import ReleaseRecord, Verdict
from controller.model.template_record import TemplateRecord
from controller.plan.changes.labels import labels_of
from tests.contract.record_promises import NOON, record

TEMPLATES = ("echo", "greeter")
VERSIONS = ("0.1.0", "0.1.1", "0.1.2")
PUBLISHER = "default/idle"


async def release(repository: str, version: str) -> None:
    """Record a version that is through with everything, with an image under its immutable tag and `latest` each."""
    judged = NOON + timedelta(minutes=VERSIONS.index(version))
    good = Verdict(value="Good", reason="UpToDate", time=judged)
    whole = record(version, publisher=PUBLISHER, published_time=NOON, promoted=True, verdict=good)
    for name in TEMPLATES:
        where = f"{repository}/{name}"
        digest = await push(where, "latest", f"{version}-x", labels=labels_of(whole))
        image = TemplateRecord(image=f"{where}:{version}-x", digest=digest, proven=True, tags=("latest",))
        whole = whole.with_template(name, image)
    await keep(repository, whole)


async def keep(repository: str, whole: ReleaseRecord) -> None:
    """Put a record where those of the document are."""
    async with Registry(RegistryAccess(repository.partition("/")[0], insecure=True)) as registry:
        await RegistryRecords(registry, f"{repository}/artifacts").put(whole)


async def push(repository: str, *tags: str, labels: Mapping[str, str]) -> str:
    """Push an image without layers; its digest."""
    config = canonical_json(
        {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Labels": dict(labels)},
            "rootfs": {"diff_ids": []},
        }
    )
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MediaType.DOCKER_MANIFEST,
            "config": Descriptor.of(MediaType.DOCKER_CONFIG, config).to_document(),
            "layers": [],
        }
    )
    async with Client(insecure=True) as client:
        for tag in tags:
            reference = Reference.parse(f"{repository}:{tag}")
            await client.ensure_blob(reference, config, digest=sha256_digest(config))
            await client.put_manifest(reference, manifest, MediaType.DOCKER_MANIFEST)
    return sha256_digest(manifest)


def document_of(folder: Path, *, repository: str, engine: str, **registry: Any) -> Path:  # noqa: ANN401 -- fields
    for name in ("source", *TEMPLATES):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "Dockerfile").write_text("FROM scratch\n")
    document = {
        "apiVersion": "runtime.molecule.ai/v1alpha1",
        "kind": "WorkspaceRuntime",
        "metadata": {"name": "idle"},
        "spec": {
            "version": VERSIONS[-1],
            "source": {"directory": "source"},
            "package": {"index": {"uploadURL": "http://127.0.0.1:9/", "simpleURL": "http://127.0.0.1:9/"}},
            "registry": {
                "mode": "Remote",
                "artifacts": f"{repository}/artifacts",
                "insecure": True,
                **registry,
            },
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
