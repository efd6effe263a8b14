"""The demo's place on the engine: networks, volumes and eight workspaces as a platform would make them.

Beside them stand two neighbours that the product must never touch: one that lacks the name, one that lacks the label.
All that a demo makes carries its name, DEMO_NAME, so that another one can run beside it.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import docker
from docker.models.containers import Container

from tests.demo.client import Workspace
from tests.demo.milestones import published
from tests.parts.index import Index
from tests.parts.leftovers import remove_leftovers
from tests.parts.servers import free_port

NAME = os.environ.get("DEMO_NAME", "demo")
PREFIX = f"ws-{NAME}-"
DEMO_LABEL = {"runtime.molecule.ai/demo": NAME}
_NEIGHBOUR_LABEL = "runtime.molecule.ai/demo-neighbour"
_MANAGED = {"molecule.platform.managed": "true"}
NETWORKS = (f"{PREFIX}front", f"{PREFIX}back")
TEMPLATES = ("echo", "greeter")
WORKSPACES = 8
_AT_ONCE = 2  # more is not faster on two cores, and Docker 20.10 may lose count of a network's endpoints
IMAGE_VERSION_LABEL = "ai.molecule.runtime.version"


def image_of(template: str) -> str:
    """The image repository of a template."""
    return f"{PREFIX}{template}"


@dataclass(frozen=True)
class Shape:
    """What of a container must outlive its replacement, and what must not (`identity`)."""

    identity: str
    started: str
    running: bool
    mounts: tuple[tuple[str, str], ...]
    networks: tuple[tuple[str, ...], ...]
    ports: str
    restart: str

    def kept_by(self, other: "Shape") -> bool:
        """Whether the other one has the same data, networks, ports and restart policy, and runs."""
        mine = (self.mounts, self.networks, self.ports, self.restart)
        return other.running and mine == (other.mounts, other.networks, other.ports, other.restart)


class Place:
    """Everything that the demo has on one engine."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._client = docker.DockerClient(base_url=endpoint)

    def close(self) -> None:
        """Let go of the engine; what stands there stays."""
        self._client.close()

    def clear(self) -> None:
        """Remove whatever a demo, this or an earlier one, has left."""
        for container in self._client.containers.list(
            all=True, filters={"label": f"{_NEIGHBOUR_LABEL}={NAME}"}
        ):
            container.remove(v=True, force=True)
        remove_leftovers(self.endpoint, PREFIX)

    def populate(self, images: Mapping[str, str]) -> list[Workspace]:
        """Start eight workspaces, the templates taking turns, each on one of two networks, one on both."""
        for name in NETWORKS:
            self._client.networks.create(name, labels=DEMO_LABEL)
        ports: set[int] = set()
        while len(ports) < WORKSPACES:
            ports.add(free_port())
        workspaces = []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for number, port in enumerate(ports):
                template = TEMPLATES[number % 2]
                workspace = Workspace(f"{PREFIX}{template}-{number // 2 + 1}", template, port)
                network = NETWORKS[number // 2 % 2]
                workspaces.append(
                    (workspace, pool.submit(self._start, workspace, images[template], network=network))
                )
        for _, started in workspaces:
            started.result()
        self._client.networks.get(NETWORKS[1]).connect(workspaces[0][0].name, aliases=["everywhere"])
        return [workspace for workspace, _ in workspaces]

    def add_neighbours(self, image: str) -> list[str]:
        """Start two `ws-*` containers of the same image that are not the demo's, and return their names."""
        stranger, lookalike = f"ws-{secrets.token_hex(6)}", f"{PREFIX}lookalike"
        for name, labels in ((stranger, {**_MANAGED, **DEMO_LABEL}), (lookalike, _MANAGED)):
            self._client.containers.run(
                image, name=name, detach=True, labels={**labels, _NEIGHBOUR_LABEL: NAME}
            )
        return [stranger, lookalike]

    def shapes(self, names: Sequence[str]) -> dict[str, Shape]:
        """How these containers are now, by name."""
        return {name: _shape(self._client.containers.get(name)) for name in names}

    def images_with(self, version: str) -> list[str]:
        """The demo's image tags whose label says that they carry a version of the runtime."""
        images = self._client.api.images(filters={"label": f"{IMAGE_VERSION_LABEL}={version}"})
        return [tag for image in images for tag in image["RepoTags"] or [] if tag.startswith(PREFIX)]

    def stages(self, version: str, index: Index) -> list[tuple[str, Callable[[], bool]]]:
        """The stages of a release that show in the engine and in the index.

        Only the wheel exists nowhere outside before it is published: its time is that of the line in which `wsr` reports it.
        """

        def tagged(start: str) -> bool:
            tags = self.images_with(version)
            return all(any(tag.startswith(f"{image_of(name)}:{start}") for tag in tags) for name in TEMPLATES)

        return [
            ("candidates", lambda: tagged("")),
            ("proven", lambda: tagged(f"{version}-")),
            ("published", lambda: version in published(index)),
            ("promoted", lambda: tagged("latest")),
        ]

    def write(self, workspace: Workspace, text: str) -> None:
        """Put a note into a workspace's volume, as its agent would."""
        self._exec(workspace, ["sh", "-c", 'printf %s "$0" > /workspace/note', text])

    def note(self, workspace: Workspace) -> str:
        """Read the note back."""
        return self._exec(workspace, ["cat", "/workspace/note"])

    def _exec(self, workspace: Workspace, command: list[str]) -> str:
        code, output = self._client.containers.get(workspace.name).exec_run(command)
        text = output.decode() if isinstance(output, bytes) else ""
        if code:
            raise RuntimeError(f"{command[0]} in {workspace.name} ended with {code}: {text}")
        return text

    def _start(self, workspace: Workspace, image: str, *, network: str) -> None:
        name = workspace.name
        container = self._client.containers.create(
            image,
            name=name,
            labels={**_MANAGED, **DEMO_LABEL},
            environment={"WORKSPACE_ID": name, "WORKSPACE_CONFIG_PATH": "/configs", "TIER": "2"},
            ports={"8000/tcp": ("127.0.0.1", workspace.port)},
            volumes={
                f"{name}-configs": {"bind": "/configs", "mode": "rw"},
                f"{name}-workspace": {"bind": "/workspace", "mode": "rw"},
            },
            network=network,
            networking_config={
                network: self._client.api.create_endpoint_config(aliases=[f"alias-of-{name}"])
            },
            restart_policy={"Name": "unless-stopped", "MaximumRetryCount": 0},  # type: ignore[arg-type]  # the stubs lack this one of the engine's policies
            mem_limit="512m",
        )
        container.start()


def _shape(container: Container) -> Shape:
    attributes: dict[str, Any] = container.attrs
    return Shape(
        identity=attributes["Id"],
        started=attributes["State"]["StartedAt"],
        running=attributes["State"]["Running"],
        mounts=tuple(
            sorted(
                (mount.get("Name", mount["Source"]), mount["Destination"]) for mount in attributes["Mounts"]
            )
        ),
        networks=tuple(sorted(_networks(attributes))),
        ports=str(attributes["HostConfig"]["PortBindings"]),
        restart=attributes["HostConfig"]["RestartPolicy"]["Name"],
    )


def _networks(attributes: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Each network with the container's aliases in it; its own short id is one, and a new container has another."""
    for name, endpoint in attributes["NetworkSettings"]["Networks"].items():
        yield name, *sorted(set(endpoint["Aliases"] or []) - {attributes["Id"][:12]})
