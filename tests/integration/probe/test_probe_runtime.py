"""The gate with the real runtime: the wheel that the builder makes of `workspace/`, in an image like a template's."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from controller.clients.docker import DockerEngine
from controller.model.probe import ModelUse, ProbeFailed, ProbeOrder, ProbePassed, ProbeReason, ProbeSettings
from tests.integration.probe.probing import probed
from tests.parts.ground import REPOSITORY, need
from tests.parts.index import Index

VERSION = "0.1.0"
# The index's address is a secret of the build and not part of its cache: the slow step runs once per machine.
DOCKERFILE = """\
FROM {base}
COPY requirements.txt /requirements.txt
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf pip install -q -r /requirements.txt
COPY {wheel} /{wheel}
RUN pip install -q --no-index --no-deps /{wheel}
ENV ADAPTER_MODULE=molecule_runtime.adapters.echo
ENTRYPOINT ["molecule-runtime"]
"""


@dataclass(frozen=True)
class Built:
    image: str
    content_sha256: str


def packaged(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "builder", "package", f"--source={REPOSITORY / 'workspace'}"]
    command += [f"--version={VERSION}", f"--out={folder / 'tree'}", f"--dist={folder / 'dist'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["facts"]
    return facts


@pytest.fixture(scope="module")
def built(
    engine: str, base_image: str, devpi: Index, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp("runtime")
    facts = packaged(folder)
    context = folder / "dist"
    wheel = Path(facts["wheel"]["file"]).name
    (context / "requirements.txt").write_text("\n".join(facts["requires"]) + "\n")
    (context / "Dockerfile").write_text(DOCKERFILE.format(base=base_image, wheel=wheel))
    (folder / "pip.conf").write_text(
        f"[global]\nindex-url = {devpi.simple_url}\ntrusted-host = {devpi.host}\n"
    )
    name = f"wsr-probe-tests/runtime:{secrets.token_hex(4)}"
    docker = [need("docker", package="docker.io"), "-H", engine]
    command = [
        *docker,
        "build",
        "-q",
        "-t",
        name,
        "--secret",
        f"id=pipconf,src={folder / 'pip.conf'}",
        str(context),
    ]
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    yield Built(name, facts["contentSha256"])
    subprocess.run([*docker, "rmi", "-f", name], capture_output=True, check=False)


@pytest.fixture
def order(built: Built) -> ProbeOrder:
    return ProbeOrder(
        owner=f"test/{secrets.token_hex(4)}",
        template="echo",
        image=built.image,
        version=VERSION,
        content_sha256=built.content_sha256,
        start_deadline_seconds=60,
        turn_deadline_seconds=30,
        model=ModelUse.NONE,
    )


async def test_the_real_runtime_passes(docker_engine: DockerEngine, order: ProbeOrder) -> None:
    outcome = await probed(docker_engine, order)
    assert isinstance(outcome, ProbePassed), outcome


async def test_the_real_runtime_passes_as_a_tier_limited_workspace(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    limited = ProbeSettings(
        user="1000:1000", read_only_root=True, memory_bytes=256 << 20, nano_cpus=1_000_000_000
    )
    outcome = await probed(docker_engine, replace(order, settings=limited))
    assert isinstance(outcome, ProbePassed), outcome


async def test_other_content_under_the_same_version_is_refused(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    outcome = await probed(docker_engine, replace(order, content_sha256="0" * 64))
    assert isinstance(outcome, ProbeFailed)
    assert outcome.reason is ProbeReason.WRONG_VERSION
    assert "reports contentSha256" in outcome.message


async def test_a_configuration_that_the_runtime_refuses_is_bad_configuration(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    wrong = ProbeSettings(files={"config.yaml": b"a2a: 5\n"})
    outcome = await probed(docker_engine, replace(order, settings=wrong))
    assert isinstance(outcome, ProbeFailed)
    assert (outcome.reason, outcome.exit_code) == (ProbeReason.BAD_CONFIGURATION, 78)
    assert "a2a is 5" in outcome.message


async def test_an_adapter_that_cannot_be_imported_is_a_broken_build(
    docker_engine: DockerEngine, order: ProbeOrder
) -> None:
    broken = ProbeSettings(environment={"ADAPTER_MODULE": "no_such_adapter"})
    outcome = await probed(docker_engine, replace(order, settings=broken))
    assert isinstance(outcome, ProbeFailed)
    assert (outcome.reason, outcome.exit_code) == (ProbeReason.EXITED_AT_ONCE, 70)
    assert "no_such_adapter" in outcome.message
