"""The images of operator and builder are what their users need and nothing else, and the same bytes whenever they are made."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from builder.oci import sha256_digest
from tests.parts.git_repository import GitRepository
from tests.parts.our_images import our_image, push_our_image
from tests.parts.registry import running_registry
from tests.parts.ssh_server import running_ssh_server
from tools.images.image import Image
from tools.images.layers import Layer
from tools.images.recipes import RECIPES, SITE

OPERATOR = "workspace-runtime-operator"
BUILDER = "workspace-runtime-builder"
BUILDAH = "workspace-runtime-buildah"
WSR = "workspace-runtime-wsr"
MOST_MEGABYTES = {OPERATOR: 110, BUILDER: 75, BUILDAH: 85, WSR: 130}
"""Compressed, as a node pulls them."""


# That of one machine is made of what the others are, and of Docker's command: half a minute for little more.
_PARAMS = [pytest.param(name, marks=pytest.mark.long) if name == WSR else name for name in RECIPES]


@pytest.fixture(scope="module", params=_PARAMS)
def image(request: pytest.FixtureRequest) -> Image:
    return our_image(request.param)


def name_of(image: Image) -> str:
    title = json.loads(image.config.data)["config"]["Labels"]["org.opencontainers.image.title"]
    return next(name for name, recipe in RECIPES.items() if recipe.title == title)


def files_of(image: Image) -> dict[str, tarfile.TarInfo]:
    return _files_in(image.layers)


@cache
def _files_in(layers: tuple[Layer, ...]) -> dict[str, tarfile.TarInfo]:
    """Each by its path; read once, which takes seconds."""
    found: dict[str, tarfile.TarInfo] = {}
    for layer in layers:
        with tarfile.open(layer.file) as tar:
            found |= {member.name.removeprefix("./"): member for member in tar}
    return found


def packages(image: Image) -> set[str]:
    """The import names of our own and of the installed Python packages."""
    below = [name.removeprefix(f"{SITE}/") for name in files_of(image) if name.startswith(f"{SITE}/")]
    return {name.partition("/")[0] for name in below if "/" in name}


def test_our_own_layer_has_the_same_bytes_made_anew(image: Image, tmp_path: Path) -> None:
    for layer in image.layers[:2]:
        (tmp_path / layer.file.name).symlink_to(layer.file)
    again = our_image(name_of(image), cache=tmp_path)
    assert again.layers[2].file != image.layers[2].file
    assert sha256_digest(again.manifest) == sha256_digest(image.manifest)


@pytest.mark.long
def test_an_image_has_the_same_bytes_made_from_nothing(tmp_path: Path) -> None:
    for name in RECIPES:
        made = [our_image(name, cache=tmp_path / turn / name) for turn in ("first", "second")]
        assert sha256_digest(made[0].manifest) == sha256_digest(made[1].manifest)


def test_an_image_is_small_and_runs_as_nobody(image: Image) -> None:
    config = json.loads(image.config.data)["config"]
    (name,) = (
        each for each in RECIPES if RECIPES[each].title == config["Labels"]["org.opencontainers.image.title"]
    )
    assert sum(layer.size for layer in image.layers) < MOST_MEGABYTES[name] << 20
    assert config["User"] == "65532:65532"
    files = files_of(image)
    assert [name for name, file in files.items() if file.mode & 0o6000] == []
    assert [name for name, file in files.items() if (file.uid, file.gid, file.mtime) != (0, 0, 0)] == []
    programs = {Path(name).name for name in files if name.startswith(("usr/bin/", "usr/sbin/"))}
    assert programs & {"apt", "apt-get", "dpkg", "perl", "su", "login", "bash", "pip"} == set()


def test_no_start_has_to_compile_what_it_imports(image: Image) -> None:
    files = files_of(image)
    for module in (
        "usr/lib/python3.11/asyncio/{}events{}",
        f"{SITE}/builder/{{}}contract{{}}",
        f"{SITE}/aiohttp/{{}}client{{}}",
    ):
        assert module.format("", ".py") in files
        assert module.format("__pycache__/", ".cpython-311.pyc") in files


def test_the_builders_image_knows_nothing_of_the_controller() -> None:
    inside = packages(our_image(BUILDER))
    assert {"builder", "pip", "twine", "aiohttp"} <= inside
    assert inside & {"controller", "kubernetes", "docker", "kopf", "pydantic", "click"} == set()
    operators = packages(our_image(OPERATOR))
    assert {"controller", "builder", "kubernetes", "aiohttp", "pydantic"} <= operators
    assert operators & {"pip", "twine", "pytest", "hatchling"} == set()


def test_what_is_in_an_image_is_noted_for_scanners(image: Image) -> None:
    noted = {Path(name).name for name in files_of(image) if name.startswith("var/lib/dpkg/status.d/")}
    assert {"python3.11", "libc6", "ca-certificates", "libssl3"} <= noted


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with running_registry(tmp_path / "registry") as address:
        yield address


def test_pushing_what_a_registry_has_changes_nothing(registry: str) -> None:
    assert push_our_image(BUILDER, registry) == push_our_image(BUILDER, registry)


CHECK_OUT = """\
import asyncio, json, os, pathlib, sys
from controller.api.v1alpha1 import Source
from controller.clients.checkouts import Checkouts
from controller.settings import Settings

given = json.load(sys.stdin)
secrets = pathlib.Path("/tmp/secrets")
for key, content in given["secret"].items():
    file = secrets / "git" / key
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(content)

async def look():
    settings = Settings.from_environment(dict(os.environ), secrets_dir=secrets, state_dir=pathlib.Path("/tmp/state"))
    checkouts = Checkouts(pathlib.Path("/tmp"), pathlib.Path("/tmp/state/checkouts"), settings)
    git = {"url": given["url"], "ref": "main", "credentialsSecretName": "git"}
    print((await checkouts.look(Source.model_validate({"git": git}), "0.1.0")).commit)
    await checkouts.aclose()

asyncio.run(look())
"""


def test_the_operators_image_reads_repositories_over_ssh_as_the_chart_runs_it(
    engine: str, registry: str, tmp_path: Path
) -> None:
    image = push_our_image(OPERATOR, registry)
    repository = GitRepository(tmp_path / "core.git")
    commit = repository.commit({"workspace/main.py": "print('one')\n"})
    command = [
        *("docker", "--host", engine, "run", "--rm", "--interactive", "--network=host"),
        *("--read-only", "--tmpfs=/tmp:mode=1777", "--user=65532:65532"),
        *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--entrypoint=python"),
        *(image, "-c", CHECK_OUT),
    ]
    with running_ssh_server(tmp_path / "ssh") as ssh:
        secret = {"ssh-privatekey": ssh.private_key, "known_hosts": ssh.known_hosts}
        given = json.dumps({"url": ssh.url(repository.folder), "secret": secret})
        try:
            done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        finally:
            subprocess.run(["docker", "--host", engine, "rmi", image], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{commit}\n"), done.stderr
