"""A desk in a folder: a runtime's source, templates, a document and Secrets, as one user has them before them."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.wsr import Ended, Running
from tests.parts.index import Index

_HERE = Path(__file__).parent
TEMPLATES = ("plain", "polite")
PACKAGE = "molecule-ai-workspace-runtime"


@dataclass(frozen=True)
class Desk:
    """What one user edits and runs. `prefix` is the beginning of every name on the engine."""

    folder: Path
    prefix: str
    _calls: list[Running] = field(default_factory=list, init=False)

    @classmethod
    def lay_out(cls, folder: Path, *, prefix: str, engine: str, index: Index, base_image: str) -> "Desk":
        """Make everything anew, asking for 0.1.0."""
        desk = cls(folder, prefix)
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_HERE / "small_runtime", desk.source, ignore=left_out)
        shutil.copytree(_HERE / "templates", folder / "templates", ignore=left_out)
        desk.write_secret("index", username=index.username, password=index.password)
        desk._write(_document(prefix, engine=engine, index=index, base_image=base_image))
        return desk

    @property
    def document(self) -> Path:
        """The file that a user edits."""
        return self.folder / "runtime.yaml"

    @property
    def source(self) -> Path:
        """The runtime's source."""
        return self.folder / "source"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def records(self) -> str:
        """The volume of release records."""
        return f"{self.prefix}records"

    @property
    def label(self) -> dict[str, str]:
        """The label that makes a container a target."""
        return {"e2e.test/desk": self.prefix.rstrip("-")}

    def image(self, template: str) -> str:
        """The image repository of a template, as the document names it."""
        templates = self.spec["templates"]
        return str(next(one["image"] for one in templates if one["name"] == template))

    @property
    def moving_tag(self) -> str:
        """The tag that moves with every release: one of its own for each of the desks that share images."""
        return str(self.spec["templates"][0].get("tags", ["latest"])[0])

    @property
    def name(self) -> str:
        """The object's name."""
        return str(yaml.safe_load(self.document.read_text())["metadata"]["name"])

    @property
    def status_file(self) -> Path:
        """Where the status is kept."""
        return self.state / "objects" / f"default.{self.name}" / "status.json"

    @property
    def spec(self) -> dict[str, Any]:
        """What the document asks for now."""
        spec: dict[str, Any] = yaml.safe_load(self.document.read_text())["spec"]
        return spec

    def write_secret(self, name: str, **keys: str) -> None:
        """Write a Secret's folder, readable by its owner only."""
        for key, value in keys.items():
            file = self.folder / "secrets" / name / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.touch(mode=0o600)
            file.write_text(value)

    @contextmanager
    def editing(self) -> Iterator[dict[str, Any]]:
        """Give the document's `spec` to change; it is written at the end of the block."""
        document = yaml.safe_load(self.document.read_text())
        yield document["spec"]
        self._write(document)

    def rename(self, name: str) -> None:
        """Let it be the desk of another object."""
        document = yaml.safe_load(self.document.read_text())
        document["metadata"]["name"] = name
        self._write(document)

    def annotate(self, name: str, value: str | None) -> None:
        """Set an annotation of ours on the object, or take it off."""
        document = yaml.safe_load(self.document.read_text())
        annotations = document["metadata"].setdefault("annotations", {})
        annotations.pop(f"runtime.molecule.ai/{name}", None)
        if value is not None:
            annotations[f"runtime.molecule.ai/{name}"] = value
        self._write(document)

    def move(self, index: Index) -> None:
        """Turn a copied desk to another index, and give containers, records and moving tags the names of `prefix`."""
        self.write_secret("index", username=index.username, password=index.password)
        with self.editing() as spec:
            spec["package"]["index"] |= {"uploadURL": index.upload_url, "simpleURL": index.simple_url}
            spec["registry"]["artifacts"] = self.records
            for template in spec["templates"]:
                template["tags"] = [f"latest-{self.prefix.rstrip('-')}"]
            self._own(spec["targets"]["dockerHosts"][0])

    def take_own_targets(self, engine: str) -> None:
        """Let the containers of an engine whose names begin with `prefix` be those of a copied desk."""
        with self.editing() as spec:
            self._own(spec["targets"]["dockerHosts"][0])
            spec["targets"]["dockerHosts"][0]["endpoint"] = engine

    def _own(self, host: dict[str, Any]) -> None:
        host |= {"containerPrefix": self.prefix, "selector": {"matchLabels": self.label}}

    def only(self, template: str) -> None:
        """Ask for one template alone, where a second one would show nothing more."""
        with self.editing() as spec:
            spec["templates"] = [one for one in spec["templates"] if one["name"] == template]

    def keep_in(self, registry: str) -> str:
        """Keep records and images in a registry without passwords, of one template, whose repository is returned."""
        repository = f"{registry}/{self.prefix}plain"
        artifacts = f"{registry}/{self.prefix}artifacts"
        self.only("plain")
        with self.editing() as spec:
            spec["registry"] = {"mode": "Remote", "artifacts": artifacts, "insecure": True}
            spec["templates"][0] |= {"image": repository, "tags": ["latest"]}
        return repository

    def bump(self, version: str) -> None:
        """Edit the one line."""
        with self.editing() as spec:
            spec["version"] = version

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that stands in a file of this desk."""
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{old!r} does not stand in {file}"
        file.write_text(text.replace(old, new))

    def arguments(self, verb: str, *more: str) -> list[str]:
        """What follows `wsr` on the command line."""
        places = ("--state", str(self.state), "--secrets", str(self.folder / "secrets"))
        return [verb, "-f", str(self.document), *more, *places]

    def start(self, verb: str, *more: str) -> Running:
        """Start a verb."""
        self._calls.append(Running.start(self.arguments(verb, *more), log=self.folder / "wsr.log"))
        return self._calls[-1]

    def close(self) -> None:
        """End what still runs, as after a test that failed in the middle."""
        for call in self._calls:
            if call.process.poll() is None:
                call.kill()

    def wsr(self, verb: str, *more: str) -> Ended:
        """Run a verb to its end."""
        return self.start(verb, *more).end()

    def run(self, *more: str, code: int = 0) -> Ended:
        """Run `wsr run --once`, and fail with its words when it ends with another code."""
        ended = self.wsr("run", "--once", *more)
        assert ended.code == code, f"wsr run ended with {ended.code}:\n{ended.log}\n{ended.out}"
        return ended

    def facts(self, verb: str, *more: str) -> Any:  # noqa: ANN401 - whatever the verb prints
        """Run a verb that prints facts."""
        ended = self.wsr(verb, *more, "-o", "json")
        assert ended.code == 0, f"wsr {verb} ended with {ended.code}: {ended.log}"
        return json.loads(ended.out)

    def condition(self, type_: str) -> dict[str, Any] | None:
        """The condition of this type in the status that was written last."""
        return next((one for one in self.status()["conditions"] if one["type"] == type_), None)

    def status(self) -> dict[str, Any]:
        """The status that was written last: what `wsr status -o json` prints, without the time that it takes to start."""
        found: dict[str, Any] = json.loads(self.status_file.read_text())["status"]
        return found

    def _write(self, document: dict[str, Any]) -> None:
        self.document.write_text(yaml.safe_dump(document, sort_keys=False))


def _document(prefix: str, *, engine: str, index: Index, base_image: str) -> dict[str, Any]:
    return {
        "apiVersion": "runtime.molecule.ai/v1alpha1",
        "kind": "WorkspaceRuntime",
        "metadata": {"name": f"{prefix}runtime"},
        "spec": {
            "version": "0.1.0",
            "source": {"directory": "source"},
            "package": {
                "index": {
                    "uploadURL": index.upload_url,
                    "simpleURL": index.simple_url,
                    "credentialsSecretName": "index",
                    "visibleDeadlineSeconds": 20,
                }
            },
            "registry": {"mode": "Engine", "artifacts": f"{prefix}records"},
            "templates": [
                {
                    "name": name,
                    "image": f"{prefix}{name}",
                    "startDeadlineSeconds": 30,
                    "probe": {"model": "None"},
                    "build": {"directory": f"templates/{name}", "args": {"BASE_IMAGE": base_image}},
                }
                for name in TEMPLATES
            ],
            "targets": {
                "dockerHosts": [
                    {
                        "name": "local",
                        "endpoint": engine,
                        "containerPrefix": prefix,
                        "selector": {"matchLabels": {"e2e.test/desk": prefix.rstrip("-")}},
                    }
                ]
            },
            "rollout": {"maxUnavailable": "50%", "drain": {"timeoutSeconds": 30}},
        },
    }
