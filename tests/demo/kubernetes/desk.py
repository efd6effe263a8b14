"""The desk of somebody who has a cluster: git checkouts, two YAML files, and what they type, shown as it is typed."""

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.demo.kubernetes.documents import AGENTS, NAME, NAMESPACE, runtime_document, workload
from tests.demo.kubernetes.ground import Ground
from tests.demo.user import DemoError
from tests.parts.git_repository import GitRepository
from tests.parts.ground import REPOSITORY

_SECONDS = 900.0
OBJECT = f"wsr/{NAME}"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "tests", ".*")
_SOMEBODY = {
    f"GIT_{role}_{fact}": value
    for role in ("AUTHOR", "COMMITTER")
    for fact, value in (("NAME", "Somebody"), ("EMAIL", "somebody@example.org"))
}
_ALONE = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


class Desk:
    """A folder with everything that one user edits, and the commands they type there."""

    def __init__(self, folder: Path, ground: Ground, *, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.source = folder / "core" / "workspace"
        self._ground = ground
        self._say = say
        self._document = folder / "runtime.yaml"
        cluster = ground.cluster
        self._environment = {
            **os.environ,
            **_SOMEBODY,
            **_ALONE,
            "PATH": f"{cluster.own.programs}:{os.environ['PATH']}",
            "KUBECONFIG": str(cluster.kubeconfig),
        }
        cluster.program("helm")

    def lay_out(self, version: str, templates: Mapping[str, Path]) -> dict[str, Path]:
        """Make a repository of the runtime and of each template, the document and the Secrets' files.

        Returns:
            The checkout of each template.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / "charts").symlink_to(REPOSITORY / "charts")
        self._begin("core", REPOSITORY / "workspace", below="workspace")
        self.tag(version)
        checkouts = {name: self._begin(f"template-{name}", place) for name, place in templates.items()}
        document = runtime_document(self._ground, version, list(templates))
        self._document.write_text(yaml.safe_dump(document, sort_keys=False))
        index = self._ground.cluster.index_inside
        token = secrets.token_hex(16)
        for secret, values in {
            "index": {"username": index.username, "password": index.password},
            "git": {"token": self._ground.cluster.git.token},
            "control": {"token": token},
        }.items():
            for key, value in values.items():
                file = self.folder / "secrets" / secret / key
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch(mode=0o600)
                file.write_text(value)
        return checkouts

    def install(self) -> None:
        """What somebody does once: definition, operator, consent, Secrets."""
        self.type("helm", "upgrade", "--install", "workspace-runtime-crds", "charts/workspace-runtime-crds")
        for namespace in (NAMESPACE, AGENTS):
            self.type("kubectl", "create", "namespace", namespace)
            level = "pod-security.kubernetes.io/enforce=restricted"
            self.type("kubectl", "label", "namespace", namespace, level)
        values = [word for value in self._ground.chart_values() for word in ("--set", value)]
        self.type(
            *("helm", "upgrade", "--install", "workspace-runtime", "charts/workspace-runtime-operator"),
            *("--namespace", NAMESPACE, "--set", f"targetNamespaces={{{AGENTS}}}", *values, "--wait", "--timeout=3m"),
        )  # fmt: skip
        self.type("kubectl", "label", "namespace", AGENTS, f"runtime.molecule.ai/allowed-from={NAMESPACE}")
        cluster = self._ground.cluster
        hosts = {
            "index": urlsplit(cluster.index_inside.simple_url).netloc,
            "git": urlsplit(cluster.git_inside.url).netloc,
            "control": f"{AGENTS}.pod",
        }
        for use, host in hosts.items():
            here = ("kubectl", "-n", NAMESPACE)
            self.type(*here, "create", "secret", "generic", use, f"--from-file=secrets/{use}")
            self.type(*here, "label", "secret", use, f"runtime.molecule.ai/use={use}")
            self.type(*here, "annotate", "secret", use, f"runtime.molecule.ai/hosts={host}")
        self.type(
            "kubectl", "-n", AGENTS, "create", "secret", "generic", "control", "--from-file=secrets/control"
        )

    def start(self, workloads: Mapping[tuple[str, str], str]) -> None:
        """Start workspaces, by kind and name, each with its template's image, and wait for all of them."""
        made = [workload(kind, name, self.image(template)) for (kind, name), template in workloads.items()]
        (self.folder / "workspaces.yaml").write_text(yaml.safe_dump_all(made, sort_keys=False))
        self.type("kubectl", "-n", AGENTS, "apply", "-f", "workspaces.yaml")
        for kind, name in workloads:
            self.run("kubectl", "-n", AGENTS, "rollout", "status", f"{kind.lower()}/{name}", "--timeout=120s")

    def apply(self) -> None:
        """Hand the document in."""
        self.type("kubectl", "-n", NAMESPACE, "apply", "-f", "runtime.yaml")

    def wait(self, condition: str) -> None:
        """Wait for a condition of the object, its changes shown as they come. Raises DemoError when it does not come true."""
        with self._watching():
            self.type(
                "kubectl", "-n", NAMESPACE, "wait", f"--for=condition={condition}", OBJECT, "--timeout=5m"
            )

    def bump(self, version: str) -> None:
        """Edit the one line."""
        text = self._document.read_text()
        self._document.write_text(re.sub(r"^(  version: ).*$", rf"\g<1>{version}", text, flags=re.MULTILINE))
        self._say(f"    (runtime.yaml now says version: {version})")

    def replace_in_runtime(self, old: str, new: str) -> None:
        """Replace whole words in the runtime. Raises RuntimeError when they are nowhere."""
        found = 0
        for path in sorted(self.source.rglob("*.py")):
            text, count = re.subn(rf"\b{re.escape(old)}\b", new, path.read_text())
            if count:
                path.write_text(text)
                found += count
        if not found:
            raise RuntimeError(
                f"The demo edits {old!r} in workspace/, where it no longer stands; change the demo."
            )

    def release(self, version: str, words: str) -> None:
        """Commit what was edited, and tag it as the version's source."""
        self.type("git", "-C", "core", "commit", "--quiet", "--all", "--message", words)
        self.type("git", "-C", "core", "tag", f"runtime-v{version}")
        self.type("git", "-C", "core", "push", "--quiet", "origin", "main", f"runtime-v{version}")

    def tag(self, version: str) -> None:
        """Tag what is committed as the version's source, and push it; not shown."""
        for words in (
            ("tag", f"runtime-v{version}"),
            ("push", "--quiet", "origin", "main", f"runtime-v{version}"),
        ):
            self.run("git", "-C", "core", *words)

    def condition(self, kind: str) -> Mapping[str, Any]:
        """A condition of the object as it is now; empty when it is not there."""
        status = json.loads(self.run("kubectl", "-n", NAMESPACE, "get", OBJECT, "-o", "json")).get(
            "status", {}
        )
        return next((each for each in status.get("conditions", ()) if each["type"] == kind), {})

    def image(self, template: str) -> str:
        """The image that a new workspace of a template should use."""
        names = self.run("kubectl", "-n", NAMESPACE, "get", "configmap", f"{NAME}-images", "-o", "json")
        return str(json.loads(names)["data"][template])

    def type(self, *words: str) -> str:
        """Run a command that is shown, and show what it says. Raises DemoError when it fails."""
        self._say(f"$ {shlex.join(words)}")
        said = self.run(*words)
        for line in said.splitlines():
            self._say(f"    {line}")
        return said

    def run(self, *words: str) -> str:
        """Run a command that nobody needs to see. Raises DemoError when it fails."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode:
            raise DemoError(
                f"`{shlex.join(words)}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()}"
            )
        return done.stdout

    def _begin(self, name: str, content: Path, *, below: str = "") -> Path:
        """Make a bare repository where the git server serves it, and a checkout with one commit."""
        bare = GitRepository(self._ground.cluster.git_folder / f"{name}.git")
        checkout = self.folder / name
        shutil.copytree(content, checkout / below, ignore=_LEFT_OUT)
        self.run("git", "init", "--quiet", "--initial-branch=main", str(checkout))
        for words in (
            ("remote", "add", "origin", str(bare.folder)),
            ("add", "--all"),
            ("commit", "--quiet", "--message", "As it is"),
            ("push", "--quiet", "origin", "main"),
        ):
            self.run("git", "-C", name, *words)
        return checkout

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Show the object's row whenever it changes, as `kubectl get --watch` in another window does."""
        command = ["kubectl", "-n", NAMESPACE, "get", OBJECT, "--watch"]
        process = subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        reader = threading.Thread(target=self._pass_on, args=(process,))
        reader.start()
        try:
            yield
        finally:
            process.terminate()
            process.wait()
            reader.join()

    def _pass_on(self, process: subprocess.Popen[str]) -> None:
        last = ""
        for line in process.stdout or ():
            row = re.sub(r" {2,}", "  ", line.rstrip()).rpartition("  ")[0]  # the age changes anyway
            if row != last:
                self._say(f"    {row}")
            last = row
