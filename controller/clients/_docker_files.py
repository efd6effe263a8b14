"""Small files in named volumes, read and written through the engine's archive calls alone.

A container that is created and never started gives the engine a mount to copy through; its image is empty and made
on the spot, so this needs no registry, runs no process and works the same on a remote engine.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import secrets
import tarfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from controller.api.names import GROUP
from controller.model.errors import NotFound

if TYPE_CHECKING:
    from docker import APIClient

    from controller.clients.docker import DockerEngine

_IMAGE: Final = "wsr-empty"
_IMAGE_TAG: Final = "1"
_LABEL: Final = f"{GROUP}/volume-access"
_MOUNT: Final = "/volume"
_STAGING: Final = ".incoming"
_ABANDONED_SECONDS: Final = 600


class VolumeFiles:
    """The files of an engine's named volumes, as bytes by relative POSIX path."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    async def write(self, volume: str, files: Mapping[str, bytes]) -> None:
        """Write `files`, folders made on demand, each one whole or not at all; the volume is made when it is absent.

        A file's bytes arrive under a staging name first and its own name becomes a link to them when they are
        complete: a caller that dies in the middle leaves the old content, never half of the new one.
        """
        archive = _pack(files)
        await self._engine.create_volume(volume)
        async with self._access(volume) as container:
            await self._engine.call(
                f"write {len(files)} files to volume {volume}",
                lambda client: client.put_archive(container, _MOUNT, archive),
            )

    async def read(self, volume: str, prefix: str = "") -> dict[str, bytes]:
        """Return all files whose path starts with `prefix`.

        Raises:
            NotFound: there is no such volume.
        """
        await self._engine.inspect_volume(volume)  # creating a container would make the volume
        folder = posixpath.dirname(prefix)
        async with self._access(volume) as container:
            try:
                raw = await self._engine.call(
                    f"read {prefix or 'all files'} of volume {volume}",
                    lambda client: _download(client, container, posixpath.join(_MOUNT, folder)),
                )
            except NotFound:
                return {}
        return {path: data for path, data in _unpack(raw, folder).items() if path.startswith(prefix)}

    @asynccontextmanager
    async def _access(self, volume: str) -> AsyncIterator[str]:
        """Give a created container with the volume at `_MOUNT`; removed afterwards, by a later access if we die."""
        await self._remove_abandoned()
        body = {
            "Image": f"{_IMAGE}:{_IMAGE_TAG}",
            "Cmd": ["never-started"],
            "Labels": {_LABEL: volume},
            "HostConfig": {"Binds": [f"{volume}:{_MOUNT}"], "NetworkMode": "none"},
        }
        name = f"wsr-files-{secrets.token_hex(4)}"
        try:
            container = await self._engine.create_container(name, body)
        except NotFound:
            await self._engine.call("import an empty image", _import_empty_image)
            container = await self._engine.create_container(name, body)
        try:
            yield container
        finally:
            with suppress(NotFound):
                await self._engine.remove(container)

    async def _remove_abandoned(self) -> None:
        rows: list[dict[str, Any]] = await self._engine.call(
            "list what earlier accesses left",
            lambda client: client.containers(all=True, filters={"label": _LABEL}),
        )
        for row in rows:
            if time.time() - row["Created"] > _ABANDONED_SECONDS:
                with suppress(NotFound):
                    await self._engine.remove(row["Id"])


def _import_empty_image(client: APIClient) -> None:
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w"):
        pass
    client.import_image_from_data(empty.getvalue(), repository=_IMAGE, tag=_IMAGE_TAG)


def _download(client: APIClient, container: str, path: str) -> bytes:
    chunks, _ = client.get_archive(container, path)
    return b"".join(chunks)


def _pack(files: Mapping[str, bytes]) -> bytes:
    """Return a tar that the engine unpacks in order: each file's bytes, then its name as a link to them.

    The engine unlinks what is in the way and never writes into it, so the staging name can be the same every time
    (and the volume does not grow) while the file's own name still holds the old bytes.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        folders = {folder for path in files for folder in _folders_of(path)} | {_STAGING}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, data in files.items():
            staged = tarfile.TarInfo(f"{_STAGING}/{hashlib.sha256(path.encode()).hexdigest()}")
            staged.size, staged.mode, staged.mtime = len(data), 0o644, int(time.time())
            tar.addfile(staged, io.BytesIO(data))
            link = tarfile.TarInfo(path)
            link.type, link.linkname = tarfile.LNKTYPE, staged.name
            tar.addfile(link)
    return packed.getvalue()


def _folders_of(path: str) -> tuple[str, ...]:
    if path != posixpath.normpath(path) or path.startswith(("/", "..", f"{_STAGING}/")):
        raise ValueError(f"{path!r} is not a plain relative path")
    parts = path.split("/")[:-1]
    return tuple("/".join(parts[: depth + 1]) for depth in range(len(parts)))


def _unpack(raw: bytes, folder: str) -> dict[str, bytes]:
    """Return the files of an archive of `folder` by their path in the volume; the top folder is renamed by the engine."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        for entry in tar:
            inside = entry.name.partition("/")[2]
            path = posixpath.join(folder, inside)
            source = tar.extractfile(entry)
            if source is not None and not path.startswith(f"{_STAGING}/"):
                found[path] = source.read()
    return found
