"""The demo's desk: copies of runtime and templates to edit, the document, the secrets, and `wsr` run as a user runs it."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.demo.place import DEMO_LABEL, NAME, PREFIX, TEMPLATES, image_of
from tests.parts.ground import REPOSITORY
from tests.parts.index import Index

_WSR = Path(sys.executable).parent / "wsr"


@dataclass(frozen=True)
class Line:
    """One line that `wsr` wrote, and when (of `time.monotonic`)."""

    time: float
    text: str


@dataclass
class Run:
    """One call of `wsr`: its exit code and what it wrote."""

    code: int
    out: str
    lines: list[Line] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that it said to people."""
        return "\n".join(line.text for line in self.lines)


class Desk:
    """A folder with everything that one user edits, and the commands they type there."""

    def __init__(self, folder: Path, *, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._document = folder / "runtime.yaml"
        self._say = say

    def lay_out(self, *, version: str, index: Index, engine: str, base_image: str) -> None:
        """Copy what is edited, so that the checkout stays clean, and write document and secrets."""
        shutil.rmtree(self.folder, ignore_errors=True)
        left_out = shutil.ignore_patterns("__pycache__", "tests", ".*")
        shutil.copytree(REPOSITORY / "workspace", self.folder / "workspace", ignore=left_out)
        shutil.copytree(Path(__file__).parent / "templates", self.folder / "templates", ignore=left_out)
        secret = self.folder / "secrets" / "index"
        secret.mkdir(parents=True)
        for key, value in (("username", index.username), ("password", index.password)):
            (secret / key).touch(mode=0o600)
            (secret / key).write_text(value)
        document = _document(version=version, index=index, engine=engine, base_image=base_image)
        self._document.write_text(yaml.safe_dump(document, sort_keys=False))

    def bump(self, version: str) -> None:
        """Edit the one line."""
        text = self._document.read_text()
        self._document.write_text(re.sub(r"^(  version: ).*$", rf"\g<1>{version}", text, flags=re.MULTILINE))

    def replace_in_runtime(self, old: str, new: str, *, file: str = "**/*.py") -> None:
        """Replace whole words in the copy of the runtime.

        Raises:
            RuntimeError: they are nowhere; the demo and the runtime have grown apart.
        """
        found = 0
        for path in sorted((self.folder / "workspace").glob(file)):
            text, count = re.subn(rf"\b{re.escape(old)}\b", new, path.read_text())
            if count:
                path.write_text(text)
                found += count
        if not found:
            raise RuntimeError(
                f"The demo edits {old!r} in workspace/{file}, where it no longer stands; change the demo."
            )

    def wsr(self, *arguments: str, show: bool = False) -> Run:
        """Run a verb on the document; with `show` its progress is passed on while it works."""
        verb, *rest = arguments
        command = [str(_WSR), verb, "-f", str(self._document), *rest]
        command += ["--state", str(self.folder / "state"), "--secrets", str(self.folder / "secrets")]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )
        run = Run(0, "")
        reader = threading.Thread(target=self._follow, args=(process, run, show))
        reader.start()
        try:
            run.out = process.stdout.read() if process.stdout else ""
            run.code = process.wait()
        except BaseException:
            process.terminate()  # it ends its own work in order
            process.wait()
            raise
        finally:
            reader.join()
        return run

    def facts(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever the verb prints
        """Run a verb that prints facts. Raises RuntimeError when it fails."""
        run = self.wsr(*arguments, "-o", "json")
        if run.code:
            raise RuntimeError(f"wsr {' '.join(arguments)} ended with {run.code}: {run.text}")
        return json.loads(run.out)

    def _follow(self, process: subprocess.Popen[str], run: Run, show: bool) -> None:  # noqa: FBT001 - a thread's argument
        for raw in process.stderr or ():
            line = Line(time.monotonic(), raw.rstrip())
            run.lines.append(line)
            if show:
                self._say(f"    {line.text}")


def _document(*, version: str, index: Index, engine: str, base_image: str) -> dict[str, Any]:
    return {
        "apiVersion": "runtime.molecule.ai/v1alpha1",
        "kind": "WorkspaceRuntime",
        "metadata": {"name": "demo"},
        "spec": {
            "version": version,
            "source": {"directory": "workspace"},
            "package": {
                "index": {
                    "uploadURL": index.upload_url,
                    "simpleURL": index.simple_url,
                    "credentialsSecretName": "index",
                }
            },
            "registry": {"mode": "Engine", "artifacts": f"{PREFIX}records"},
            "templates": [
                {
                    "name": name,
                    "image": image_of(name),
                    "startDeadlineSeconds": 120,
                    "probe": {"model": "None"},
                    "build": {
                        "directory": f"templates/{name}",
                        "args": {"BASE_IMAGE": base_image, "DEMO_NAME": NAME},
                    },
                }
                for name in TEMPLATES
            ],
            "targets": {
                "dockerHosts": [
                    {
                        "name": "local",
                        "endpoint": engine,
                        "containerPrefix": PREFIX,
                        "selector": {"matchLabels": DEMO_LABEL},
                    }
                ]
            },
            "rollout": {"maxUnavailable": "25%", "drain": {"timeoutSeconds": 120}},
        },
    }
