"""Talks to one Docker Engine over its HTTP API: looks at images, loads, tags, pushes, and runs short containers.

It exists because a run speaks to the engine concurrently, while the docker SDK is synchronous; builds alone go
through the docker command (`stages/image.py`), which carries the BuildKit client.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp

from builder.oci import Credential

CONNECT_SECONDS: Final = 10
SILENCE_SECONDS: Final = 600
"""A push or pull may say nothing while it works on one large layer."""
RUN_SECONDS: Final = 120
_NEWEST_API: Final = (1, 47)


class EngineError(Exception):
    """The engine refused or failed; `str()` is one line for people."""


class ImageNotFound(EngineError):  # noqa: N818 -- the word callers decide on
    """The engine has no such image."""


class EngineUnavailable(EngineError):  # noqa: N818 -- the word callers decide on
    """The engine cannot be reached or failed by itself; trying again may help."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a short container ended."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Engine:
    """One engine, at `unix:///PATH` or `tcp://HOST:PORT` (plain, so on a trusted machine only).

    Use as `async with Engine(endpoint) as engine`; entering asks the engine for its API version.

    Raises:
        EngineUnavailable: nothing answers there.
        ValueError: the endpoint has another form.
    """

    def __init__(self, endpoint: str) -> None:
        scheme, _, place = endpoint.partition("://")
        if scheme not in {"unix", "tcp"} or not place:
            raise ValueError(f"{endpoint!r} is not an engine: expected unix:///PATH or tcp://HOST:PORT")
        self.endpoint = endpoint
        self._path = place if scheme == "unix" else None
        self._base = "http://engine" if scheme == "unix" else f"http://{place}"
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(self._path) if self._path else aiohttp.TCPConnector(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
            ),
        )
        try:
            async with self._open("GET", "/_ping", what="the engine") as answer:
                served = tuple(int(part) for part in answer.headers.get("Api-Version", "1.41").split("."))
        except BaseException:
            await self._session.close()
            raise
        self._base += "/v" + ".".join(map(str, min(served, _NEWEST_API)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def keeps_layers_by_chain(self) -> bool:
        """Tell whether images are kept by a graph driver, which finds the layers that it has by chain id.

        An engine with the containerd image store does not: it refuses a load that lacks the base's blobs.
        """
        info = await self._json("GET", "/info", what="the engine")
        status = {str(pair[0]): str(pair[1]) for pair in info.get("DriverStatus") or [] if len(pair) > 1}
        return not status.get("driver-type", "").startswith("io.containerd.snapshotter")

    async def platform(self) -> str:
        """Return what the engine builds and runs by itself, as `linux/amd64`."""
        version = await self._json("GET", "/version", what="the engine")
        return f"{version['Os']}/{version['Arch']}"

    async def inspect_image(self, image: str) -> dict[str, Any]:
        """Return the engine's description of an image; raises ImageNotFound."""
        document: dict[str, Any] = await self._json(
            "GET", f"/images/{_path(image)}/json", what=f"image {image}"
        )
        return document

    async def image_history(self, image: str) -> list[dict[str, Any]]:
        """Return how an image came to be, newest step first; raises ImageNotFound."""
        steps: list[dict[str, Any]] = await self._json(
            "GET", f"/images/{_path(image)}/history", what=f"image {image}"
        )
        return steps

    async def load(self, archive: bytes) -> None:
        """Take images from an archive as `docker save` writes it."""
        headers = {"Content-Type": "application/x-tar"}
        async with self._open(
            "POST",
            "/images/load",
            params={"quiet": "1"},
            headers=headers,
            data=archive,
            what="an image archive",
        ) as answer:
            await _follow(answer, "loading an image")

    async def import_tar(
        self, archive: bytes, *, repository: str, tag: str, labels: Mapping[str, str] | None = None
    ) -> None:
        """Make an image of one layer from a tar."""
        changes = [
            ("changes", f"LABEL {json.dumps(name)}={json.dumps(value)}")
            for name, value in (labels or {}).items()
        ]
        query = [("fromSrc", "-"), ("repo", repository), ("tag", tag), *changes]
        async with self._open("POST", "/images/create", params=query, data=archive, what="a tar") as answer:
            await _follow(answer, f"importing {repository}:{tag}")

    async def tag(self, image: str, *, repository: str, tag: str) -> None:
        """Let `repository:tag` point to an image; raises ImageNotFound."""
        query = {"repo": repository, "tag": tag}
        async with self._open("POST", f"/images/{_path(image)}/tag", params=query, what=f"image {image}"):
            return

    async def untag(self, image: str) -> None:
        """Remove a tag, and the image when it was the last and nothing uses it; an absent one is fine."""
        with contextlib.suppress(ImageNotFound):
            async with self._open("DELETE", f"/images/{_path(image)}", what=f"image {image}"):
                return

    async def pull(self, image: str, *, credential: Credential | None = None, platform: str = "") -> None:
        """Fetch an image (`repository:tag` or `repository@digest`) from its registry."""
        async with self._open(
            "POST",
            "/images/create",
            params={"fromImage": image} | ({"platform": platform} if platform else {}),
            headers=_auth(credential),
            what=f"image {image}",
        ) as answer:
            await _follow(answer, f"pulling {image}")

    async def push(self, repository: str, tag: str, *, credential: Credential | None = None) -> None:
        """Send an image to its registry."""
        async with self._open(
            "POST", f"/images/{_path(repository)}/push", params={"tag": tag}, headers=_auth(credential),
            what=f"image {repository}:{tag}",
        ) as answer:  # fmt: skip
            await _follow(answer, f"pushing {repository}:{tag}")

    async def run(
        self,
        image: str,
        command: Sequence[str],
        *,
        files: bytes | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a command instead of an image's entrypoint, without network, and remove the container.

        `files` is a tar laid over its file system; without it that is read-only.

        Raises:
            ImageNotFound: no such image.
            EngineError: it could not start, or did not end in `RUN_SECONDS`.
        """
        body = {
            "Image": image,
            "Entrypoint": [command[0]],
            "Cmd": list(command[1:]),
            "Env": [f"{name}={value}" for name, value in (environment or {}).items()],
            "NetworkDisabled": True,
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {"NetworkMode": "none", "ReadonlyRootfs": files is None},
        }
        name = f"wsr-builder-{uuid.uuid4().hex[:12]}"
        created = await self._json(
            "POST", "/containers/create", params={"name": name}, json=body, what=f"image {image}"
        )
        container = f"/containers/{created['Id']}"
        try:
            if files is not None:
                async with self._open(
                    "PUT", f"{container}/archive", params={"path": "/"}, data=files, what=name
                ):
                    pass
            async with self._open("POST", f"{container}/start", what=f"a container of {image}"):
                pass
            async with asyncio.timeout(RUN_SECONDS):
                ended = await self._json("POST", f"{container}/wait", what=name)
            query = {"stdout": "1", "stderr": "1"}
            async with self._open("GET", f"{container}/logs", params=query, what=name) as answer:
                stdout, stderr = _streams(await answer.read())
            return Finished(int(ended["StatusCode"]), stdout, stderr)
        except TimeoutError as error:
            raise EngineError(
                f"{command[0]} in {image} did not end in {RUN_SECONDS} s and was removed."
            ) from error
        finally:
            async with self._open("DELETE", container, params={"force": "1", "v": "1"}, what=name):
                pass

    async def _json(self, method: str, path: str, *, what: str, **options: Any) -> Any:  # noqa: ANN401 -- the engine's JSON
        async with self._open(method, path, what=what, **options) as answer:
            return await answer.json()

    @contextlib.asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        *,
        what: str,
        **options: Any,  # noqa: ANN401 -- passed on to aiohttp
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(method, self._base + path, **options) as answer:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise await _problem(answer, what, self.endpoint)
                yield answer
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnavailable(
                f"The Docker Engine at {self.endpoint} does not answer: {error!r}. Start it, or name another one."
            ) from error


def _path(image: str) -> str:
    return quote(image, safe="/:@")


def _auth(credential: Credential | None) -> dict[str, str]:
    """Return the header in which the engine takes credentials (API reference, Authentication)."""
    fields = {"username": "", "password": ""}
    if credential:
        fields = {"username": credential.username, "password": credential.password}
        if credential.identity_token:
            fields = {"identitytoken": credential.identity_token}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}


async def _problem(answer: aiohttp.ClientResponse, what: str, endpoint: str) -> EngineError:
    said = await answer.text()
    with contextlib.suppress(ValueError, LookupError, TypeError):
        said = json.loads(said)["message"]
    text = f"The Docker Engine at {endpoint} answered {answer.status} for {what}: {said.strip()}"
    if answer.status == HTTPStatus.NOT_FOUND and "no such image" in said.lower():
        return ImageNotFound(text)
    return EngineUnavailable(text) if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else EngineError(text)


async def _follow(answer: aiohttp.ClientResponse, doing: str) -> None:
    """Read a stream of progress to its end: errors come inside it, after a status of 200."""
    text = (await answer.read()).decode(errors="replace")
    decoder, position = json.JSONDecoder(), 0
    while (position := len(text) - len(text[position:].lstrip())) < len(text):
        try:
            line, position = decoder.raw_decode(text, position)
        except ValueError as error:
            raise EngineUnavailable(
                f"The engine's answer broke off while {doing}: {text[position:][:200]!r}."
            ) from error
        if "error" in line:
            raise EngineError(f"The engine failed while {doing}: {str(line['error']).strip()}")


def _streams(logs: bytes) -> tuple[bytes, bytes]:
    """Take apart the frames of a container's output (API reference, Stream format)."""
    parts: dict[int, list[bytes]] = {1: [], 2: []}
    position = 0
    while position + 8 <= len(logs):
        size = int.from_bytes(logs[position + 4 : position + 8], "big")
        parts.setdefault(logs[position], []).append(logs[position + 8 : position + 8 + size])
        position += 8 + size
    return b"".join(parts[1]), b"".join(parts[2])
