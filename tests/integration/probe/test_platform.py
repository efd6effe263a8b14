"""Of an image for several platforms the gate boots the one that is built here, or that the variable names."""

import asyncio
import os
from pathlib import Path

import docker
import pytest

from controller.clients.checkouts import Checkouts
from controller.clients.docker import DockerEngine
from controller.clients.index import PackageIndex
from controller.clients.parts import Parts
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.clients.runs import Runs
from controller.model.actions import Probe
from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.reconcile.docker_prover import DockerProver
from controller.reconcile.gate import gate
from controller.settings import Settings
from tests.integration.images.foreign import manifest, push_index, push_small_arm
from tests.unit.simulator.ground import document


@pytest.mark.parametrize(
    ("variable", "booted"), [(None, "amd64"), ("linux/arm64", "arm64"), ("linux/amd64", "amd64")]
)
def test_the_gate_pulls_the_platform_that_one_function_decides_on(  # noqa: PLR0913, PLR0917 -- fixtures and cases of pytest
    engine: str, registry: str, docker_prefix: str, tmp_path: Path, variable: str | None, booted: str
) -> None:
    image = f"{registry}/{docker_prefix}both"
    candidate = f"{image}:candidate-00000000"
    arm, amd = (push_small_arm(f"{image}:{name}", architecture=name) for name in ("arm64", "amd64"))
    push_index(candidate, arm64=arm, amd64=amd)
    record = TemplateRecord(image=candidate, digest=manifest(candidate).digest)
    settings = Settings(tmp_path, engine, tmp_path / "none", image_platform=variable)

    said = asyncio.run(_gate(settings, registry, f"{registry}/{docker_prefix}artifacts", image, record))

    assert said.startswith("failed: ExitedAtOnce: ")  # nothing in it can run
    client = docker.DockerClient(base_url=engine)
    assert client.images.get(f"{image}@{record.digest}").attrs["Architecture"] == booted


async def _gate(settings: Settings, host: str, artifacts: str, image: str, template: TemplateRecord) -> str:
    build = {"directory": "x", "platforms": ["linux/arm64", "linux/amd64"], "fullBuild": f"{image}:arm64"}
    wanted = document(
        "0.1.1",
        registry={"artifacts": artifacts, "insecure": True},
        templates=[{"name": "both", "image": image, "build": build}],
    )
    async with (
        DockerEngine(settings.docker_host) as engine,
        PackageIndex("http://127.0.0.1:1/") as index,
        Registry(RegistryAccess(host, insecure=True)) as registry,
    ):
        records = RegistryRecords(registry, artifacts)
        place = settings.state_dir
        parts = Parts(
            engine=engine,
            index=index,
            records=records,
            runs=Runs(dict(os.environ), parallel=1),
            settings=settings,
            prover=DockerProver(engine, "test/platform", settings),
            folder=place,
            checkouts=Checkouts(place, place / "checkouts", settings),
            say=lambda _: None,
        )
        release = ReleaseRecord(
            package="x",
            version="0.1.1",
            publisher=wanted.key,
            wheel=await records.put_blob("x.whl", b"x"),
            content_sha256="0" * 64,
            templates={"both": template},
        )
        await records.put(release)
        return await gate(parts, wanted, Probe("0.1.1", "both", template.identity, "a test"))
