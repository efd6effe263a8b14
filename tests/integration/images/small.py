"""Small templates, and runs of the builder's image verbs as a controller starts them."""

import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.__main__ import main
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
        """Make candidates."""
        return self.start("cascade", self._cascade(wheel, templates), "--out", str(self.out))

    def cascade_apart(self, wheel: SmallWheel, *templates: Mapping[str, object]) -> "Ended":
        """Make candidates in a process of its own."""
        return self.start_apart("cascade", self._cascade(wheel, templates), "--out", str(self.out))

    def _cascade(self, wheel: SmallWheel, templates: Sequence[Mapping[str, object]]) -> dict[str, object]:
        return {
            "version": wheel.version,
            "wheel": str(wheel.path),
            "wheelSha256": wheel.sha256,
            "contentSha256": wheel.content_sha256,
            "mode": self.mode,
            "registry": self.registry,
            "index": self.index,
            "templates": templates,
        }

    def start(self, verb: str, document: Mapping[str, object], *arguments: str) -> "Ended":
        """Run a verb to its end, in this process: an interpreter of its own takes longer than most runs."""
        words = [verb, *self._inputs(verb, document), *arguments]
        out, log, terminate = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(log):
                code = main(words)
        finally:
            signal.signal(signal.SIGTERM, terminate)
        return _ended(code, out.getvalue(), log.getvalue())

    def start_apart(self, verb: str, document: Mapping[str, object], *arguments: str) -> "Ended":
        """Run a verb to its end as the process that a controller starts."""
        command = [sys.executable, "-m", "builder", verb, *self._inputs(verb, document), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
        return _ended(done.returncode, done.stdout, done.stderr)

    def _inputs(self, verb: str, document: Mapping[str, object]) -> list[str]:
        self.out.mkdir(parents=True, exist_ok=True)
        inputs = self.out / f"{verb}.json"
        inputs.write_text(json.dumps(document))
        return ["--inputs", str(inputs), "--engine", self.engine]


def _ended(code: int, out: str, log: str) -> "Ended":
    assert out.count("\n") == 1, f"{out}\n{log}"
    return Ended(code, json.loads(out), log)


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
