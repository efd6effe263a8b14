"""Small templates, and runs of the builder's image verbs as a controller starts them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.contract import template_inputs_sha256
from tests.parts.small_wheel import NAME, SmallWheel

REPOSITORY = Path(__file__).resolve().parents[3]
DOCKERFILE = """\
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
ENV ADAPTER_MODULE=adapter
COPY adapter.py .
ENTRYPOINT ["molecule-runtime"]
"""


def make_template(
    folder: Path, *, requirements: Sequence[str] = (), dockerfile: str = DOCKERFILE, adapter: str = "x = 1\n"
) -> Path:
    """A template's folder as its repository would be."""
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "requirements.txt").write_text("\n".join([f"{NAME}>=0.1.0", *requirements]) + "\n")
    (folder / "adapter.py").write_text(adapter)
    return folder


@dataclass
class Run:
    """A run of `python -m builder cascade`, the way a controller starts it."""

    engine: str
    out: Path
    mode: str = "Engine"
    registry: Mapping[str, Any] = field(default_factory=dict)
    index: Mapping[str, Any] = field(default_factory=dict)

    def cascade(self, wheel: SmallWheel, *templates: Mapping[str, object]) -> "Ended":
        """Run it to its end."""
        document = {
            "version": wheel.version,
            "wheel": str(wheel.path),
            "wheelSha256": wheel.sha256,
            "contentSha256": wheel.content_sha256,
            "mode": self.mode,
            "registry": self.registry,
            "index": self.index,
            "templates": templates,
        }
        return self.start("cascade", document, "--out", str(self.out))

    def start(self, verb: str, document: Mapping[str, object], *arguments: str) -> "Ended":
        """Run a verb to its end."""
        self.out.mkdir(parents=True, exist_ok=True)
        inputs = self.out / f"{verb}.json"
        inputs.write_text(json.dumps(document))
        command = [
            sys.executable,
            "-m",
            "builder",
            verb,
            "--inputs",
            str(inputs),
            "--engine",
            self.engine,
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
        assert done.stdout.count("\n") == 1, f"{done.stdout}\n{done.stderr}"
        return Ended(done.returncode, json.loads(done.stdout), done.stderr)


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    report: Mapping[str, Any]
    log: str

    def template(self, name: str) -> Mapping[str, Any]:
        """The facts of one template that got its candidate."""
        assert self.code == 0, f"{self.report}\n{self.log}"
        facts: Mapping[str, Any] = self.report["facts"]["templates"][name]
        return facts


def template_entry(name: str, image: str, directory: Path, **more: object) -> dict[str, object]:
    """One template of a cascade's inputs; `base` is its base image."""
    arguments = {"BASE_IMAGE": str(more.pop("base", "wsr-base/python:3.11-slim"))}
    return {
        "name": name,
        "image": image,
        "directory": str(directory),
        "buildArgs": arguments,
        "inputsSha256": template_inputs_sha256(directory, arguments),
        "fullBuild": None,
        **more,
    }
