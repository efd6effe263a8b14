"""The workflow that every template carries, run step by step with a real index, engine and registry."""

import hashlib
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from builder.contract import PackageRun
from builder.verbs.package import package
from tests.parts.ground import REPOSITORY
from tests.parts.index import Index
from tests.parts.leftovers import remove_leftovers
from tests.parts.template import TEMPLATES

ECHO = REPOSITORY / "tests" / "demo" / "templates" / "echo"
SECRETS_OF_A_RUN = {"github.token": "token-of-the-run", "github.repository_owner": "ours"}


class Repository:
    """A template's repository on GitHub, as far as a run of its workflow sees it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        text = (TEMPLATES / "langgraph" / ".github" / "workflows" / "publish-image.yml").read_text()
        self._workflow: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 -- it makes nothing but strings

    def run(self, event: str, **given: str) -> subprocess.CompletedProcess[str]:
        """Run the steps in order, and return the last that was run; `given` are inputs and payload."""
        checkout = self._folder / secrets.token_hex(4)
        subprocess.run(["git", "clone", "-q", str(self._folder / "repository"), str(checkout)], check=True)
        context = {**SECRETS_OF_A_RUN, **given, "github.event_name": event}
        environ = {**os.environ, **self._expanded(self._workflow["env"], context), **self._environment}
        noted = checkout.with_suffix(".env")
        environ |= {"GITHUB_ENV": str(noted), "GITHUB_ACTOR": "somebody", "GITHUB_SHA": "0" * 40}
        environ |= {"RUNNER_TEMP": str(checkout.with_suffix(".temp"))}
        (job,) = self._workflow["jobs"].values()
        for step in job["steps"]:
            if "run" not in step or (
                "if" in step and not (event == "workflow_dispatch" and given.get("latest"))
            ):
                continue
            own = self._expanded(step.get("env", {}), context)
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done = subprocess.run(
                command, cwd=checkout, env={**environ, **own}, capture_output=True, text=True, check=False
            )
            if done.returncode:
                break
            lines = noted.read_text().splitlines() if noted.exists() else []
            environ |= dict(line.split("=", 1) for line in lines)
        return done

    @staticmethod
    def _expanded(values: Mapping[str, str], context: Mapping[str, str]) -> dict[str, str]:
        def value(match: re.Match[str]) -> str:
            names = (
                name.strip().removeprefix("github.event.client_payload.") for name in match[1].split("||")
            )
            return next((context[name] for name in names if context.get(name)), "")

        return {name: re.sub(r"\$\{\{(.*?)\}\}", value, text) for name, text in values.items()}


@pytest.fixture(scope="module")
def wheels(devpi: Index, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two versions of the runtime that the index serves, with their hashes."""
    found = {}
    for version in ("0.1.0", "0.2.0"):
        folder = tmp_path_factory.mktemp("wheel")
        dist = folder / "dist"
        package(PackageRun(source=REPOSITORY / "workspace", version=version, out=folder / "tree", dist=dist))
        (wheel,) = dist.glob("*.whl")
        found[version] = hashlib.sha256(wheel.read_bytes()).hexdigest()
        login = {"TWINE_USERNAME": devpi.username, "TWINE_PASSWORD": devpi.password}
        command = [sys.executable, "-m", "twine", "upload", "--repository-url", devpi.upload_url, str(wheel)]
        subprocess.run(command, env={**os.environ, **login}, check=True, capture_output=True)
    return found


@pytest.fixture(scope="module")
def image(engine: str, registry: str) -> Iterator[str]:
    prefix = f"tw{secrets.token_hex(3)}-"
    yield f"{registry}/{prefix}template"
    remove_leftovers(engine, prefix)


@pytest.fixture(scope="module")
def repository(
    engine: str, devpi: Index, base_image: str, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Repository:
    folder = tmp_path_factory.mktemp("github")
    source = folder / "repository"
    subprocess.run(["cp", "-r", str(ECHO), str(source)], check=True)
    index = f"ENV PIP_INDEX_URL={devpi.simple_url} PIP_TRUSTED_HOST={devpi.host}\n"
    dockerfile = (source / "Dockerfile").read_text()
    (source / "Dockerfile").write_text(dockerfile.replace("WORKDIR /app\n", f"WORKDIR /app\n{index}"))
    git = ["git", "-C", str(source), "-c", "user.name=a", "-c", "user.email=a@example"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "A template"]):
        subprocess.run([*git, *words], check=True)
    client = docker.DockerClient(base_url=engine)
    base = f"{image}-base"
    client.images.get(base_image).tag(base, "3.11-slim")
    client.images.push(base, tag="3.11-slim")
    client.close()
    environment = {
        "DOCKER_HOST": engine,
        "DOCKER_CONFIG": str(folder / "docker"),
        "IMAGE": image,
        "BASE_IMAGE": f"{base}:3.11-slim",
        "PIP_INDEX_URL": devpi.simple_url,
        "PIP_TRUSTED_HOST": devpi.host,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return Repository(folder, environment)


def tags(engine: str, image: str) -> dict[str, str]:
    """Id of the image by tag, of what the engine pulls of this repository."""
    client = docker.DockerClient(base_url=engine)
    try:
        return {
            tag.rpartition(":")[2]: str(found.id)
            for found in client.images.pull(image, all_tags=True)
            for tag in found.tags
        }
    finally:
        client.close()


@pytest.mark.long
def test_a_published_version_becomes_an_image_once_latest_moves_by_hand_and_no_other_wheel_goes_in(
    repository: Repository, wheels: dict[str, str], engine: str, image: str
) -> None:
    told = {"runtime_version": "0.1.0", "wheel_sha256": wheels["0.1.0"]}
    done = repository.run("repository_dispatch", **told)
    assert done.returncode == 0, done.stdout + done.stderr
    (first,) = tags(engine, image).items()
    assert re.fullmatch(r"0\.1\.0-[0-9a-f]{7}-[0-9a-f]{8}", first[0])
    assert repository.run("repository_dispatch", **told).returncode == 0
    assert tags(engine, image) == dict([first])
    done = repository.run("workflow_dispatch", latest="true")
    assert done.returncode == 0, done.stdout + done.stderr
    after = tags(engine, image)
    (newest,) = [tag for tag in after if tag.startswith("0.2.0-")]
    assert (len(after), after["latest"]) == (3, after[newest])
    done = repository.run("repository_dispatch", runtime_version="0.1.0", wheel_sha256="0" * 64)
    assert done.returncode == 1
    assert f"has sha256 {wheels['0.1.0']}, and {'0' * 64} was announced." in done.stdout
    assert tags(engine, image) == after
