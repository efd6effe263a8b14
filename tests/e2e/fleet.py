"""Workspaces on the engine as a platform makes them, and what is seen of them from outside."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import docker

from tests.demo.client import Workspace
from tests.demo.place import Place, Shape
from tests.parts.leftovers import remove_leftovers
from tests.parts.servers import free_port

_READY_SECONDS = 60.0


@dataclass
class Fleet:
    """The workspaces of one desk. Every name begins with `prefix`; `label` makes a container a target."""

    engine: str
    prefix: str
    label: Mapping[str, str]
    client: docker.DockerClient
    workspaces: list[Workspace] = field(default_factory=list)

    def add(self, name: str, image: str, *, running: bool = True, labels: Mapping[str, str] | None = None, networks: Sequence[str] = (), started_with: Sequence[str] = ()) -> Workspace:  # fmt: skip  # noqa: PLR0913 - what a platform chooses
        """Create a workspace with two volumes, a port on loopback and the networks, made on demand; start it.

        `started_with` is a file name and its content, put into its configuration before the first start.
        """
        full = f"{self.prefix}{name}"
        first, *others = [self._network(network) for network in networks] or ["bridge"]
        workspace = Workspace(full, name.split("-", maxsplit=1)[0], free_port())
        aliases = None if first == "bridge" else [f"alias-of-{full}"]
        container = self.client.containers.create(
            image,
            name=full,
            labels={**self.label, **(labels or {})},
            environment={"WORKSPACE_ID": full, "TIER": "2"},
            ports={"8000/tcp": ("127.0.0.1", workspace.port)},
            volumes={
                f"{full}-configs": {"bind": "/configs", "mode": "rw"},
                f"{full}-workspace": {"bind": "/workspace", "mode": "rw"},
            },
            network=first,
            networking_config={first: self.client.api.create_endpoint_config(aliases=aliases)},
            restart_policy={"Name": "unless-stopped", "MaximumRetryCount": 0},  # type: ignore[arg-type]  # the stubs lack this one of the engine's policies
            mem_limit="256m",
        )
        for network in others:
            self.client.networks.get(network).connect(container, aliases=[f"also-{full}"])
        if running:
            container.start()
            self.workspaces.append(workspace)
            if started_with:
                self.until(workspace, None)
                self.write(workspace, *started_with)
        return workspace

    def write(self, workspace: Workspace, path: str, text: str) -> None:
        """Write a file in a workspace, as its agent would."""
        self._execute(workspace, ["sh", "-c", 'printf %s "$1" > "$0"', path, text])

    def read(self, workspace: Workspace, path: str) -> str:
        """Read a file of a workspace."""
        return self._execute(workspace, ["cat", path])

    def until(self, workspace: Workspace, version: str | None) -> None:
        """Wait until a workspace answers, and with this version."""
        deadline = time.monotonic() + _READY_SECONDS
        seen = version_of(workspace)
        while seen is None or version not in {None, seen}:
            assert time.monotonic() < deadline, f"{workspace.name} reports {seen} and not {version}"
            time.sleep(0.02)
            seen = version_of(workspace)

    def versions(self) -> dict[str, str | None]:
        """What each running workspace reports of itself now; None for one that does not answer."""
        return {workspace.name: version_of(workspace) for workspace in self.workspaces}

    def shapes(self) -> dict[str, Shape]:
        """How each running workspace's container is now."""
        place = Place(self.engine)
        try:
            return place.shapes([workspace.name for workspace in self.workspaces])
        finally:
            place.close()

    def names(self) -> set[str]:
        """Every container whose name has the prefix in it, interim names included."""
        return {str(one.name) for one in self.client.containers.list(all=True, ignore_removed=True) if self.prefix in str(one.name)}  # fmt: skip

    def close(self) -> None:
        """Remove everything, and whatever holds on to its volumes."""
        for container in self.client.containers.list(all=True, ignore_removed=True):
            if any(str(mount.get("Name")).startswith(self.prefix) for mount in container.attrs["Mounts"]):
                container.remove(v=True, force=True)
        remove_leftovers(self.engine, self.prefix)

    def _network(self, name: str) -> str:
        full = f"{self.prefix}{name}"
        if not self.client.networks.list(names=[full]):
            self.client.networks.create(full)
        return full

    def _execute(self, workspace: Workspace, command: list[str]) -> str:
        code, output = self.client.containers.get(workspace.name).exec_run(command)
        text = output.decode() if isinstance(output, bytes) else ""
        assert code == 0, f"{command} in {workspace.name} ended with {code}: {text}"
        return text


def version_of(workspace: Workspace) -> str | None:
    """The version that a workspace reports, or None while nothing answers."""
    try:
        return str(workspace.runtime()["version"])
    except (OSError, ValueError):
        return None
