"""One index and one full build for all tests of images: each takes seconds."""

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.images.small import Run, make_template, template_entry
from tests.parts.engine import gateway
from tests.parts.index import running_pypiserver
from tests.parts.leftovers import remove_leftovers
from tests.parts.small_wheel import SmallWheel, make_dependency, make_wheel

SITE = "/usr/local/lib/python3.11/site-packages"
DOCKERFILE = f"""\
ARG BASE_IMAGE=python:3.11-slim
FROM ${{BASE_IMAGE}}
RUN useradd agent && \\
    chown 1000:50 {SITE} && chmod 2775 {SITE} && chmod 0711 /usr/local/lib/python3.11
WORKDIR /app
COPY requirements.txt .
# the runtime, as new as the pin allows
RUN pip install --no-cache-dir \\
    -r requirements.txt
ENV ADAPTER_MODULE=adapter
COPY adapter.py .
HEALTHCHECK --interval=7s CMD true
USER agent
ENTRYPOINT ["molecule-runtime"]
CMD ["serve"]
"""


@dataclass(frozen=True)
class Built:
    """A template, its full build of runtime 0.1.0, and its candidate of 0.1.1."""

    run: Run
    entry: Mapping[str, Any]
    full: Mapping[str, Any]
    candidate: Mapping[str, Any]
    next_wheel: SmallWheel


@pytest.fixture(scope="session")
def image_prefix(engine: str) -> Iterator[str]:
    """A name prefix of the images of these tests; what carries it is removed in the end."""
    prefix = f"ti{secrets.token_hex(3)}-"
    try:
        yield prefix
    finally:
        remove_leftovers(engine, prefix)


@pytest.fixture(scope="session")
def index(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An index with a newer runtime, another one of the same version as the candidate, and a dependency."""
    folder = tmp_path_factory.mktemp("index")
    packages = folder / "packages"
    make_wheel(packages, "0.9.0")
    make_wheel(packages, "0.1.0", files={"other.py": "x = 'not the candidate'\n"})
    make_dependency(packages, "small-dependency", "1.0")
    with running_pypiserver(folder, address=gateway(engine)) as index:
        yield {"url": index.simple_url}


@pytest.fixture(scope="session")
def old_wheel(tmp_path_factory: pytest.TempPathFactory) -> SmallWheel:
    """Runtime 0.1.0, with modules that the next one does not have."""
    files = {"removed.py": "x = 1\n", "gone/__init__.py": "", "gone/inner.py": "y = 2\n"}
    return make_wheel(tmp_path_factory.mktemp("old"), "0.1.0", files=files)


@pytest.fixture(scope="session")
def new_wheel(tmp_path_factory: pytest.TempPathFactory) -> SmallWheel:
    """Runtime 0.1.1."""
    return make_wheel(tmp_path_factory.mktemp("new"), "0.1.1", files={"added.py": "x = 1\n"})


@pytest.fixture(scope="session")
def built(  # noqa: PLR0913, PLR0917 -- fixtures of pytest are its arguments
    engine: str,
    base_image: str,
    index: dict[str, str],
    image_prefix: str,
    old_wheel: SmallWheel,
    new_wheel: SmallWheel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    """The template built in full with 0.1.0, then appended to with 0.1.1."""
    folder = tmp_path_factory.mktemp("built")
    directory = make_template(folder / "template", dockerfile=DOCKERFILE)
    run = Run(engine, folder / "out", index=index)
    entry = template_entry("polite", f"{image_prefix}polite", directory, base=base_image)
    run.cascade(old_wheel, entry).template("polite")
    full = _complete(run, "polite")
    run.cascade(new_wheel, entry).template("polite")
    return Built(run, entry, full, _complete(run, "polite"), new_wheel)


def _complete(run: Run, name: str) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = json.loads((run.out / "result.json").read_text())["templates"][name]
    return facts


@pytest.fixture(scope="session")
def in_image(engine: str) -> Any:  # noqa: ANN401 -- a function
    """Run a shell command in an image, without network; its output."""

    def output(image: str, command: str, *, user: str = "0") -> str:
        words = [
            "docker",
            "-H",
            engine,
            "run",
            "--rm",
            "--network",
            "none",
            "--user",
            user,
            "--entrypoint",
            "sh",
        ]
        done = subprocess.run([*words, image, "-c", command], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return output


@pytest.fixture
def run(engine: str, index: dict[str, str], tmp_path: Path) -> Run:
    """Runs whose results go to a folder of this test."""
    return Run(engine, tmp_path / "out", index=index)


@pytest.fixture
def new_entry(base_image: str, image_prefix: str, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Make a template of this test by name, and its entry in a cascade's inputs; options as `make_template`."""

    def make(name: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401 -- passed on
        directory = make_template(tmp_path / name, **options)
        return template_entry(name, f"{image_prefix}{name}", directory, base=base_image)

    return make
