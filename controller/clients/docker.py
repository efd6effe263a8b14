"""The Docker Engine, asynchronously: the only way from this program to containers, images and volumes.

The SDK blocks, so every engine has a bounded pool of threads of its own and a connection for each of them. What the
SDK raises is translated once (`_docker_errors`): an error of the engine is never read as absence.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from docker import APIClient, auth

from controller.clients._docker_calls import CALL_SECONDS, EngineCalls
from controller.clients._docker_errors import Conflict
from controller.clients._docker_events import watch
from controller.clients._docker_files import VolumeFiles
from controller.clients._docker_read import demultiplex, parse_summary, split_reference
from controller.clients._docker_transport import EngineTls
from controller.clients.executed import ExecResult
from controller.clients.pull_errors import pull_failed
from controller.model.container import ContainerSummary, EngineEvent
from controller.model.errors import NotFound, Transient

__all__ = ["Conflict", "DockerEngine", "EngineTls", "ExecResult"]

JsonObject = dict[str, Any]

_PULL_SILENCE_SECONDS: Final = 300
_STOP_MARGIN_SECONDS: Final = 60
_IMAGES_LOOKED_AT: Final = 8


class DockerEngine(EngineCalls):
    """One Docker Engine.

    Every method raises NotFound (the only answer that means absence), Conflict, Transient (the engine or the way to
    it failed; nothing is known) or Terminal (the engine refuses; its text is in the message). Containers and images
    are named by id wherever something is changed: a name may change hands between two calls.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        host: str = "local",
        workers: int = 8,
        tls: EngineTls | None = None,
        tunnelled: bool = False,
    ) -> None:
        super().__init__(endpoint, host=host, workers=workers, tls=tls, tunnelled=tunnelled)
        self.files = VolumeFiles(self)
        """Small files in named volumes, without running anything."""

    # the engine itself

    async def ping(self) -> None:
        """Return when the engine answers."""
        await self.call("ping the engine", lambda client: client.ping())

    async def platform(self) -> str:
        """Return what the engine runs by itself, as `linux/amd64`."""
        facts = await self.call("ask the engine for its platform", lambda client: client.version())
        return f"{facts['Os']}/{facts['Arch']}"

    async def info(self) -> JsonObject:
        """Return what the engine says of itself and its host."""
        return await self.call("ask the engine about itself", lambda client: client.info())

    def events(self) -> AsyncGenerator[EngineEvent, None]:
        """Yield container events from now on, for as long as it is iterated; connects again by itself.

        A lost engine is an event too: LOST, then CONNECTED, after which the listener must look at everything again.
        """
        return watch(self.endpoint, self.tls)

    # containers

    async def containers(self) -> tuple[ContainerSummary, ...]:
        """Return every container, running or not, from one request."""
        rows = await self.call("list containers", lambda client: client.containers(all=True))
        return tuple(parse_summary(row) for row in rows)

    async def inspect_container(self, container: str) -> JsonObject:
        """Return everything about one container, by id or exact name."""
        answer: JsonObject = await self.call(
            f"inspect container {container}", lambda client: client.inspect_container(container)
        )
        return answer

    async def create_container(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container from the JSON body of the engine's API and return its id.

        The networks in it are at most one for engines that speak less than 1.44; others are connected afterwards.

        Raises:
            Conflict: the name is taken.
        """
        answer = await self._request(
            f"create container {name}", "POST", "/containers/create", params={"name": name}, json=body
        )
        return str(json.loads(answer)["Id"])

    async def start(self, container: str) -> None:
        """Start it; a running one is left alone."""
        await self.call(f"start container {container}", lambda client: client.start(container))

    async def stop(self, container: str, *, grace_seconds: int) -> None:
        """Send its stop signal, after `grace_seconds` SIGKILL, and return when it has ended.

        Raises:
            Conflict: it is paused.
        """
        await self._request(
            f"stop container {container}",
            "POST",
            f"/containers/{container}/stop",
            params={"t": grace_seconds},
            read_seconds=grace_seconds + _STOP_MARGIN_SECONDS,
        )

    async def signal(self, container: str, name: str) -> None:
        """Send a signal to its first process.

        Raises:
            Conflict: it does not run.
        """
        await self.call(f"signal container {container}", lambda client: client.kill(container, name))

    async def pause(self, container: str) -> None:
        """Freeze its processes."""
        await self.call(f"pause container {container}", lambda client: client.pause(container))

    async def unpause(self, container: str) -> None:
        """Let its processes go on."""
        await self.call(f"unpause container {container}", lambda client: client.unpause(container))

    async def rename(self, container: str, name: str) -> None:
        """Give it another name.

        Raises:
            Conflict: the name is taken.
        """
        await self.call(
            f"rename container {container} to {name}", lambda client: client.rename(container, name)
        )

    async def set_restart_policy(self, container: str, policy: Mapping[str, Any]) -> None:
        """Replace its restart policy, whatever its state; `policy` has the keys Name and MaximumRetryCount."""
        await self._request(
            f"set the restart policy of container {container}",
            "POST",
            f"/containers/{container}/update",
            json={"RestartPolicy": dict(policy)},
        )

    async def remove(self, container: str, *, anonymous_volumes: bool = False, force: bool = False) -> None:
        """Remove it; volumes stay, except with `anonymous_volumes` those that the engine made for it unnamed."""
        await self.call(
            f"remove container {container}",
            lambda client: client.remove_container(container, v=anonymous_volumes, force=force),
        )

    async def connect(self, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """Connect it to a network with the endpoint's aliases, addresses, links and driver options."""
        await self._request(
            f"connect container {container} to network {network}",
            "POST",
            f"/networks/{network}/connect",
            json={"Container": container, "EndpointConfig": dict(endpoint)},
        )

    async def disconnect(self, container: str, network: str) -> None:
        """Disconnect it from a network."""
        await self.call(
            f"disconnect container {container} from network {network}",
            lambda client: client.disconnect_container_from_network(container, network),
        )

    async def execute(
        self, container: str, command: tuple[str, ...], *, timeout_seconds: float = 30.0
    ) -> ExecResult:
        """Run `command` in a running container and wait for its end.

        Raises:
            Conflict: the container does not run, or is paused.
            Transient: no output for `timeout_seconds`; the command may still run.
        """
        doing = f"run {command[0]} in container {container}"
        made = await self.call(doing, lambda client: client.exec_create(container, list(command)))
        # Without an upgrade header the engine answers plainly and closes at the end: a read that can time out.
        frames = await self._request(
            doing,
            "POST",
            f"/exec/{made['Id']}/start",
            json={"Detach": False, "Tty": False},
            read_seconds=timeout_seconds,
        )
        ended = await self.call(doing, lambda client: client.exec_inspect(made["Id"]))
        if ended["ExitCode"] is None:
            raise Transient(f"Could not {doing}: the connection ended before the command did")
        output, errors = demultiplex(frames)
        return ExecResult(ended["ExitCode"], output if ended["ExitCode"] == 0 else output + errors)

    async def log_tail(self, container: str, *, lines: int) -> tuple[str, ...]:
        """Return the last lines that it wrote, standard output and error together."""
        raw = await self.call(
            f"read the log of container {container}", lambda client: client.logs(container, tail=lines)
        )
        return tuple(raw.decode(errors="replace").splitlines()[-lines:])

    # images

    async def images(self) -> Mapping[str, str]:
        """Return the image id of every `repository:tag` in this engine, and of every id, from one request."""
        rows = await self.call("list images", lambda client: client.images())
        named = {
            tag: row["Id"] for row in rows for tag in row.get("RepoTags") or () if tag != "<none>:<none>"
        }
        return named | {row["Id"]: row["Id"] for row in rows}

    async def untagged(self) -> frozenset[str]:
        """Return every `repository@digest` of images that have no tag, from one request."""
        rows = await self.call("list images", lambda client: client.images())
        return frozenset(
            name
            for row in rows
            if set(row.get("RepoTags") or ()) <= {"<none>:<none>"}
            for name in row.get("RepoDigests") or ()
        )

    async def layers(self, repository: str) -> frozenset[str]:
        """Return what layers the newest images of a repository have, by the digests of their contents."""
        rows = await self.call("list images", lambda client: client.images())
        named = [
            (row["Created"], row["Id"])
            for row in rows
            if any(
                name.startswith((f"{repository}:", f"{repository}@"))
                for name in (*(row.get("RepoTags") or ()), *(row.get("RepoDigests") or ()))
            )
        ]
        newest = sorted(named, reverse=True)[:_IMAGES_LOOKED_AT]
        found = await asyncio.gather(*(self.inspect_image(image) for _, image in newest))
        return frozenset(layer for image in found for layer in image["RootFS"].get("Layers") or ())

    async def inspect_image(self, image: str) -> JsonObject:
        """Return everything about an image, by id or reference."""
        answer: JsonObject = json.loads(
            await self._request(f"inspect image {image}", "GET", f"/images/{image}/json")
        )
        return answer

    async def pull(
        self, reference: str, *, credentials: Mapping[str, str] | None = None, platform: str | None = None
    ) -> str:
        """Pull one tag or digest and return the image's id (its config digest).

        `credentials` are those of the engine's API (`username`, `password` or `identitytoken`); None uses the
        docker configuration of this user. Errors inside the progress stream, after the engine's 200, are raised.
        """
        repository, tag = split_reference(reference)

        def ask(client: APIClient) -> None:
            registry, _ = auth.resolve_repository_name(repository)
            header = (
                auth.encode_header(dict(credentials))
                if credentials is not None
                else auth.get_config_header(client, registry)
            )
            params = {"fromImage": repository, "tag": tag} | ({"platform": platform} if platform else {})
            answer = client.post(
                f"{client.base_url}/v{client.api_version}/images/create",
                params=params,
                headers={"X-Registry-Auth": header} if header else {},
                stream=True,
                timeout=(CALL_SECONDS, _PULL_SILENCE_SECONDS),
            )
            with answer:
                if not answer.ok:
                    _ = answer.content  # the engine's words, lost once the answer is closed
                answer.raise_for_status()
                for line in answer.iter_lines():
                    if line and "error" in (message := json.loads(line)):
                        raise pull_failed(reference, str(message["error"]))

        await self.call(f"pull {reference}", ask)
        return str((await self.inspect_image(reference))["Id"])

    async def tag_image(self, image: str, reference: str) -> None:
        """Let `reference` (`repository:tag`) mean `image` in this engine, whatever it meant before."""
        repository, tag = split_reference(reference)
        await self.call(
            f"tag image {image} as {reference}", lambda client: client.tag(image, repository, tag)
        )

    async def remove_image(self, image: str) -> None:
        """Remove a reference, and the image when it was the last one.

        Raises:
            Conflict: a container uses it.
        """
        await self.call(f"remove image {image}", lambda client: client.remove_image(image))

    # volumes

    async def create_volume(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Create a named volume; one that exists is left alone."""
        await self.call(
            f"create volume {name}", lambda client: client.create_volume(name, labels=dict(labels or {}))
        )

    async def inspect_volume(self, name: str) -> JsonObject:
        """Return everything about a volume."""
        return await self.call(f"inspect volume {name}", lambda client: client.inspect_volume(name))

    async def volume_exists(self, name: str) -> bool:
        """Whether the engine has a volume of that name."""
        try:
            await self.inspect_volume(name)
        except NotFound:
            return False
        return True

    async def remove_volume(self, name: str) -> None:
        """Remove a volume and what is in it.

        Raises:
            Conflict: a container uses it.
        """
        await self.call(f"remove volume {name}", lambda client: client.remove_volume(name))
