"""Small real wheels and templates: the runtime's name and console script, and almost nothing in it."""

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.contract import template_inputs_sha256

REPOSITORY = Path(__file__).resolve().parents[3]
NAME = "molecule-ai-workspace-runtime"
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
MAIN = """\
from importlib import metadata


def main_sync():
    print("molecule-runtime", metadata.version("molecule-ai-workspace-runtime"))
"""


@dataclass(frozen=True)
class SmallWheel:
    """A wheel file with the digests that a cascade is told."""

    path: Path
    version: str
    sha256: str
    content_sha256: str


def make_wheel(
    folder: Path, version: str, *, files: Mapping[str, str] | None = None, requires: Sequence[str] = ()
) -> SmallWheel:
    """A wheel of the runtime with `main.py` and the given files (paths in the package)."""
    package = {"__init__.py": "", "main.py": MAIN, **(files or {})}
    content = {f"molecule_runtime/{path}": text.encode() for path, text in package.items()}
    info = f"molecule_ai_workspace_runtime-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    entries = {
        **content,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": b"[console_scripts]\nmolecule-runtime = molecule_runtime.main:main_sync\n",
    }
    record = "".join(f"{path},sha256={_record_hash(data)},{len(data)}\n" for path, data in entries.items())
    entries[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"molecule_ai_workspace_runtime-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    lines = "".join(f"{hashlib.sha256(data).hexdigest()} {name}\n" for name, data in sorted(content.items()))
    return SmallWheel(
        path,
        version,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        hashlib.sha256(lines.encode()).hexdigest(),
    )


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


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

    def cascade(self, wheel: SmallWheel, *templates: Mapping[str, Any]) -> "Ended":
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

    def start(self, verb: str, document: Any, *arguments: str) -> "Ended":
        """Run a verb to its end."""
        self.out.mkdir(parents=True, exist_ok=True)
        inputs = self.out / f"{verb}.json"
        inputs.write_text(json.dumps(document))
        command = [sys.executable, "-m", "builder", verb, "--inputs", str(inputs), "--engine", self.engine, *arguments]
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


def template_entry(name: str, image: str, directory: Path, **more: Any) -> dict[str, Any]:
    """One template of a cascade's inputs; `base` is its base image."""
    arguments = {"BASE_IMAGE": more.pop("base", "wsr-base/python:3.11-slim")}
    return {
        "name": name,
        "image": image,
        "directory": str(directory),
        "buildArgs": arguments,
        "inputsSha256": template_inputs_sha256(directory, arguments),
        "fullBuild": None,
        **more,
    }
