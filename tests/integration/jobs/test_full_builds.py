"""A template built in full by a Job with Buildah: what an engine would have made of it, where the namespace lets it in."""

import asyncio
import contextlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from builder.contract import CascadeRun, Outcome
from builder.oci import Client, Manifest, Platform, Reference
from controller.clients.jobs import FullBuilds, JobRuns
from controller.clients.runs import Run
from controller.model.errors import Terminal, Transient
from tests.cluster.cluster import Cluster
from tests.integration.images.small import make_template, template_entry
from tests.integration.jobs.ground import Ground
from tests.parts.our_images import push_our_image
from tests.parts.small_wheel import SmallWheel, make_wheel

LEVEL = "pod-security.kubernetes.io/enforce"
INDEX = "http://packages.example:1/simple/"
DOCKERFILE = """\
ARG BASE_IMAGE=python:3.11-slim
FROM PINNED AS tools
FROM ${BASE_IMAGE}
RUN useradd --create-home agent && install --directory --owner=agent /app
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY adapter.py .
COPY --from=tools /etc/debian_version of-tools
HEALTHCHECK CMD true
USER agent
RUN pip list --format=freeze >/app/packages
ENTRYPOINT ["molecule-runtime"]
"""


@pytest.fixture(scope="session")
def full_builds(cluster: Cluster) -> FullBuilds:
    return FullBuilds(push_our_image("workspace-runtime-buildah", cluster.registry))


@pytest.fixture(scope="session")
def base(cluster: Cluster, engine: str, base_image: str) -> str:
    """A base with Python, as pods name it."""
    name = cluster.push_from_engine(engine, base_image, "base/python:3.11")
    return name.replace(cluster.registry, cluster.registry_inside)


def _run(ground: Ground, wheel: SmallWheel, entry: dict[str, Any], buildah: Path | None) -> Run:
    inputs, out = ground.work / "inputs.json", ground.work / "out"
    document = {
        "version": wheel.version,
        "wheel": str(wheel.path),
        "wheelSha256": wheel.sha256,
        "contentSha256": wheel.content_sha256,
        "mode": "Remote",
        "registry": {"insecure": True},
        "index": {"url": INDEX},
        "templates": [entry],
    }
    inputs.write_text(json.dumps(document))
    given = CascadeRun(inputs=inputs, out=out, buildah=buildah)
    reads = (inputs, wheel.path, Path(entry["directory"]))
    return Run("cascade", given.arguments(), {}, reads=reads, writes=(out,), builds=True)


async def test_a_job_builds_a_dockerfile_as_an_engine_does_and_only_where_it_is_let_in(
    ground: Ground, full_builds: FullBuilds, base: str
) -> None:
    base = await _index_of(base)
    name, _, digest = base.partition("@")
    dockerfile = DOCKERFILE.replace("PINNED", f"{name}:3.11@{digest}")
    template = make_template(ground.work / "template", dockerfile=dockerfile)
    image = f"{ground.cluster.registry_inside}/{ground.namespace}/echo"
    entry = template_entry("echo", image, template, base=base)
    wheel = make_wheel(ground.work / "wheel", "0.1.1")
    jobs = ground.jobs(full_builds=full_builds)
    run = _run(ground, wheel, entry, jobs.buildah)

    with pytest.raises(Terminal) as refused:
        await jobs.run(run)
    assert refused.value.reason == "BuildForbidden"
    begins = f"It has to be built in full, and namespace {ground.namespace} lets no pod in that can: Could not create Pod"
    assert refused.value.message.startswith(begins)
    assert 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation' in refused.value.message
    assert refused.value.fix == (
        "Keep the object in a namespace whose label pod-security.kubernetes.io/enforce is baseline or privileged (its targets"
        " may stay where they are). Build it where there is a Docker Engine (wsr run with the same registry.artifacts), or let"
        " its own repository do it with strategy Dispatch."
    )
    assert ground.of_kind("Job") == []

    ground.cluster.kubectl("label", "--overwrite", "namespace", ground.namespace, f"{LEVEL}=baseline")
    left = asyncio.create_task(jobs.run(run))
    async with asyncio.timeout(120):
        while not any(pod["status"]["phase"] != "Pending" for pod in ground.of_kind("Pod")):  # noqa: ASYNC110 -- the cluster tells
            await asyncio.sleep(0.5)
    jobs.leaving = True
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    # What was let in goes on, whatever would be said to another pod now.
    ground.cluster.kubectl("label", "--overwrite", "namespace", ground.namespace, f"{LEVEL}=restricted")
    jobs = ground.jobs(full_builds=full_builds)
    report = await jobs.run(run, progress=ground.said.append)

    assert report.outcome is Outcome.DONE, ground.said
    made = report.facts["templates"]["echo"]
    assert (made["built"], made["reason"]) == ("Full", "FullBuildMissing")
    inventory = json.loads(next((ground.work / "out" / "echo").glob("inventory-*.json")).read_text())
    assert inventory["runtime"]["versions"] == ["0.1.1"]
    config, files = await _contents(Reference.parse(image).at(made["digest"]), Reference.parse(base))
    assert config["config"]["Labels"]["ai.molecule.runtime.version"] == "0.1.1"
    assert config["config"]["Healthcheck"] == {"Test": ["CMD-SHELL", "true"]}
    assert [name for name in files if name.endswith("/molecule_runtime/main.py")]
    assert files["app/packages"].decode().split()[0].startswith("molecule-ai-workspace-runtime==0.1.1")
    told = json.dumps(config).encode() + b"".join(files.values()) + " ".join(files).encode()
    assert files["app/of-tools"]
    for trace in (b"packages.example", b"wsr", b"pip.conf", b"constraint", b"--mount", b"/dev/shm"):
        assert trace not in told, trace
    tags = await _tags(Reference.parse(image))
    assert {tag.partition("-")[0] for tag in tags} == {"candidate", "full"}
    written = _written(ground, f"{ground.namespace}/echo")
    assert {tag.partition("-")[0] for tag in written} == {"candidate", "full"}, (
        "a killed run leaves no other tag"
    )


async def test_a_base_that_its_registry_refuses_is_told_with_the_cure_and_one_that_is_away_is_tried_again(
    ground: Ground, full_builds: FullBuilds
) -> None:
    ground.cluster.kubectl("label", "--overwrite", "namespace", ground.namespace, f"{LEVEL}=baseline")
    template = make_template(ground.work / "template", dockerfile="ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n")
    image = f"{ground.cluster.registry_inside}/{ground.namespace}/echo"
    wheel = make_wheel(ground.work / "wheel", "0.1.1")
    jobs = ground.jobs(full_builds=full_builds)

    missing = f"{ground.cluster.registry_inside}/base/nothing:1"
    refused = await _error(ground, jobs, wheel, template_entry("echo", image, template, base=missing))
    assert (refused["reason"], refused["transient"]) == ("BaseUnavailable", False)
    assert refused["message"].startswith(f"Its base {missing} cannot be had: ")
    assert "404" in refused["message"] or "not" in refused["message"]

    away = f"{ground.cluster.registry_inside.rpartition(':')[0]}:1/base/python:3.11"
    retried = await _error(ground, jobs, wheel, template_entry("echo", image, template, base=away))
    assert (retried["reason"], retried["transient"]) == ("RegistryUnavailable", True)


def _written(ground: Ground, repository: str) -> set[str]:
    """The tags that manifests of a repository were ever stored under, as the registry's log tells."""
    log = ground.cluster.own.folder("log") / "registry.log"
    return set(re.findall(rf'"PUT /v2/{repository}/manifests/([^: ]+) ', log.read_text()))


async def _index_of(image: str) -> str:
    """The digest of an index of an image alone, as what is published for several platforms is pinned by."""
    where = Reference.parse(image)
    async with Client(insecure=True) as client:
        index = Manifest.index_of({Platform.here(): await client.manifest(where)})
        await client.put_manifest(where.at(index.digest), index.raw, index.media_type)
    return str(where.at(index.digest))


async def _error(ground: Ground, jobs: JobRuns, wheel: SmallWheel, entry: dict[str, Any]) -> dict[str, Any]:
    """Why a template could not be built."""
    with contextlib.suppress(Transient):
        await jobs.run(_run(ground, wheel, entry, jobs.buildah), progress=ground.said.append)
    result = json.loads((ground.work / "out" / "result.json").read_text())
    return dict(result["templates"]["echo"]["error"])


async def _contents(image: Reference, base: Reference) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The configuration, and the files of the layers upon those of the base."""
    async with Client(insecure=True) as client:
        manifest = await client.image(image, Platform.here())
        below = await client.image(base, Platform.here())
        config = json.loads(await client.blob(image, manifest.config))
        assert manifest.layers[: len(below.layers)] == below.layers, "the base's layers are its own"
        return config, await _files(client, image, manifest, len(below.layers))


async def _files(client: Client, image: Reference, manifest: Manifest, first: int) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for layer in manifest.layers[first:]:
        with tarfile.open(fileobj=io.BytesIO(await client.blob(image, layer))) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                files[member.name] = content.read() if content else b""
    return files


async def _tags(repository: Reference) -> list[str]:
    async with Client(insecure=True) as client:
        return list(await client.tags(repository))
