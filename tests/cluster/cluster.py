"""A cluster as tests and people use it: commands against it, its registry and index, and a way into its network."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import build, daemons, images, network, node
from tests.cluster.api import Api
from tests.cluster.certificates import CONTEXT
from tests.cluster.control_groups import joined
from tests.cluster.place import GATEWAY, Place
from tests.cluster.storage import add_volumes
from tests.parts.git_server import GitServer
from tests.parts.ground import REPOSITORY, PartError
from tests.parts.index import Index, pypiserver
from tests.parts.servers import Process, free_port, launch

_ALLOWED = ("kind-", "k3d-", "minikube", CONTEXT)
_KUBECTL_SECONDS = 120.0


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes: ours, or one that is there (`place` is None), of which no more than the API is known."""

    kubeconfig: Path
    context: str
    place: Place | None = None

    @property
    def own(self) -> Place:
        """The state folder of a cluster of ours.

        Raises:
            PartError: it is not ours.
        """
        if self.place is None:
            raise PartError(
                f"The cluster of context {self.context} was not started by tests.cluster: its network, daemons, "
                "registry and index are out of reach. Run this without --kube-context."
            )
        return self.place

    @property
    def api(self) -> Api:
        """The API server, by URL and the administrator's certificate files, from this machine."""
        return node.administrator(self.own)

    @property
    def registry(self) -> str:
        """`host:port` of the registry: what this machine pushes to, and how a pod's `image` begins."""
        return self.own.registries()[0]

    @property
    def registry_inside(self) -> str:
        """The same registry by the name that pods reach; a pod's `image` may begin with it, too."""
        return self.own.registries()[1]

    @property
    def index(self) -> Index:
        """The package index from this machine."""
        return self._index("127.0.0.1")

    @property
    def index_inside(self) -> Index:
        """The package index from pods."""
        return self._index(GATEWAY)

    @property
    def git(self) -> GitServer:
        """The git server from this machine; it serves the bare repositories in `git_folder`."""
        return GitServer(f"http://127.0.0.1:{self.own.ports()['git']}")

    @property
    def git_inside(self) -> GitServer:
        """The git server from pods."""
        return GitServer(f"http://{GATEWAY}:{self.own.ports()['git']}")

    @property
    def git_folder(self) -> Path:
        """Where bare repositories are put to be served."""
        return self.own.folder("git")

    @property
    def inside(self) -> tuple[str, ...]:
        """What goes before a command line that is to run in the cluster's network, where pods and Services are reached."""
        return network.within(self.own.namespace)

    def entered(self) -> AbstractContextManager[None]:
        """Sockets that this thread makes meanwhile reach pods and Services, and nothing of this machine."""
        return network.entered(self.own.namespace)

    def kubectl(
        self, *arguments: str, stdin: str | None = None, seconds: float = _KUBECTL_SECONDS, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl from this machine.

        Raises:
            PartError: it failed, and `check` is on; the text carries what it said.
        """
        return self._tool("kubectl", "--context", arguments, stdin=stdin, seconds=seconds, check=check)

    def helm(
        self, *arguments: str, stdin: str | None = None, seconds: float = _KUBECTL_SECONDS, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run helm from this machine; it is built when it is first wanted. Raises as `kubectl` does."""
        return self._tool("helm", "--kube-context", arguments, stdin=stdin, seconds=seconds, check=check)

    def program(self, name: str) -> str:
        """The path of kubectl or helm."""
        if name == "helm":
            if self.place:
                build.link(self.place, "helm", build.helm())
            else:
                return str(build.helm())
        return self.place.program(name) if self.place else name

    def get(self, kind: str, name: str, *, namespace: str) -> dict[str, Any]:
        """An object as it is now. Raises PartError when it is not there."""
        out = self.kubectl("-n", namespace, "get", kind, name, "-o", "json").stdout
        return dict(json.loads(out))

    def apply(self, *objects: object, namespace: str) -> None:
        """Apply objects. Raises PartError when one is refused."""
        documents = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(documents))

    @contextmanager
    def namespace(self, prefix: str = "t") -> Iterator[str]:
        """A new namespace; it is deleted after the block, and volumes that were claimed in it are replaced."""
        name = f"{prefix}-{secrets.token_hex(3)}"
        self.kubectl("create", "namespace", name)
        try:
            # A pod that comes before it is refused.
            self.kubectl("-n", name, "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
            yield name
        finally:
            if self.place:
                claims = json.loads(self.kubectl("-n", name, "get", "pvc", "-o", "json").stdout)["items"]
                add_volumes(self.api, self.place, len(claims))
            self.kubectl("delete", "namespace", name, "--wait=false")

    def push_from_engine(self, engine: str, image: str, name: str) -> str:
        """Push an image of an engine of this machine to the registry.

        Args:
            engine: endpoint of the engine.
            image: what it is called there.
            name: `repository:tag` that it gets.

        Returns:
            What to write as a pod's `image`, with its digest.
        """
        reference = f"{self.registry}/{name}"
        digest = images.push_from_engine(engine, image, reference)
        return f"{reference.rpartition(':')[0]}@{digest}"

    def push_program(self, program: Path, name: str) -> str:
        """Push an image made of one static program, and return its name for a pod."""
        reference = f"{self.registry}/{name}"
        images.push_program(reference, program)
        return reference

    @contextmanager
    def exposed(self, address: str) -> Iterator[str]:
        """Let pods reach a server of this machine.

        Args:
            address: `host:port` where it listens.

        Yields:
            `host:port` by which they do.
        """
        there = f"{GATEWAY}:{free_port()}"
        command = [*joined(self.own), sys.executable, "-m", "tests.cluster.forward", str(self.own.namespace)]
        log = self.own.log("exposed")
        process = launch(
            [*command, f"outward={there}={address}"], log=log, environment={"PYTHONPATH": str(REPOSITORY)}
        )
        try:
            with self.entered():
                daemons.wait_for_port(there, process, log)
            yield there
        finally:
            process.end()

    def end_daemon(self, name: str) -> None:
        """End one daemon (`apiserver`, `kubelet`, …), as a fault; the others go on."""
        daemons.end(self.own, name)

    def start_daemon(self, name: str, *, usual_limits: bool = False) -> None:
        """Start a daemon that was ended; returns when it answers. `usual_limits` are those that Kubernetes gives controllers."""
        daemons.start(self.own, name, usual_limits=usual_limits)
        daemons.wait(self.own, name)
        if name == "apiserver":
            node.wait_for_api(self.own, self.api)

    def daemon(self, name: str) -> Process | None:
        """Which process a daemon is; None when it does not run."""
        return Process.saved(self.own.process(name))

    def _index(self, address: str) -> Index:
        return pypiserver(self.own.folder("index"), address=address, port=self.own.ports()["index"])[1]

    def _tool(  # noqa: PLR0913 -- those of `kubectl`
        self,
        name: str,
        context_option: str,
        arguments: tuple[str, ...],
        *,
        stdin: str | None,
        seconds: float,
        check: bool,
    ) -> subprocess.CompletedProcess[str]:
        command = [self.program(name), "--kubeconfig", str(self.kubeconfig), context_option, self.context]
        done = subprocess.run(
            [*command, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=seconds
        )
        if check and done.returncode:
            raise PartError(f"{name} {' '.join(arguments)} failed: {(done.stderr or done.stdout).strip()}")
        return done


def cluster_of(place: Place) -> Cluster:
    """The running cluster of a state folder."""
    return Cluster(place.outside, CONTEXT, place)


@contextmanager
def own_cluster() -> Iterator[Cluster]:
    """A new cluster for this process alone, in the first folder for tests that is free; nothing is left of it.

    Raises:
        PartError: it does not come up.
    """
    node.sweep()
    number = 0
    while True:
        number += 1
        place = Place(node.home() / f"tests-{number}")
        try:
            with node.alone(place):
                node.wipe(place)
                try:
                    node.start(place)
                    yield cluster_of(place)
                finally:
                    node.wipe(place)
                return
        except node.InUseError:
            continue


def existing_cluster(kubeconfig: Path, context: str) -> Cluster:
    """A cluster that is there already, if tests may use it.

    Raises:
        PartError: its context is not on the list of those that may be filled and emptied.
    """
    if not context.startswith(_ALLOWED):
        raise PartError(
            f"Context {context!r} is not one that tests may use, since they make and delete what they like there. "
            f"Allowed are names that begin with {', '.join(_ALLOWED)}."
        )
    if context == CONTEXT and kubeconfig.parent.parent == node.home():
        return cluster_of(Place(kubeconfig.parent))
    return Cluster(kubeconfig, context)
