"""Small files in volumes of a real engine."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from controller.clients import _docker_files
from controller.clients.docker import DockerEngine
from controller.model.errors import NotFound


@pytest_asyncio.fixture
async def host(engine: str) -> AsyncIterator[DockerEngine]:
    async with DockerEngine(engine) as opened:
        yield opened


@pytest.fixture
def volume(docker_prefix: str) -> str:
    return f"{docker_prefix}volume"


async def test_files_are_read_as_they_were_written(host: DockerEngine, volume: str) -> None:
    files = {"a/b/c.json": b"{}", "a/d": b"", "e": bytes(range(256)) * 4096, "a-2/f": b"x"}
    await host.files.write(volume, files)
    assert await host.files.read(volume) == files
    assert await host.files.read(volume, "a/") == {
        path: data for path, data in files.items() if path.startswith("a/")
    }
    assert await host.files.read(volume, "a") == {
        path: data for path, data in files.items() if path.startswith("a")
    }
    assert await host.files.read(volume, "a/b/c") == {"a/b/c.json": b"{}"}
    assert await host.files.read(volume, "no/such/") == {}
    assert await host.files.read(volume, "none") == {}


async def test_a_file_is_replaced_and_the_others_stay(host: DockerEngine, volume: str) -> None:
    await host.files.write(volume, {"a": b"1", "b/c": b"2"})
    await host.files.write(volume, {"b/c": b"3", "b/d": b"4"})
    assert await host.files.read(volume) == {"a": b"1", "b/c": b"3", "b/d": b"4"}


async def test_an_absent_volume_is_absent_and_not_made_by_reading(host: DockerEngine, volume: str) -> None:
    with pytest.raises(NotFound):
        await host.files.read(volume)
    assert not await host.volume_exists(volume)


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../up", ".incoming/x", "a//b", "./a"])
async def test_paths_that_leave_the_volume_are_refused(host: DockerEngine, volume: str, path: str) -> None:
    with pytest.raises(ValueError, match="not a plain relative path"):
        await host.files.write(volume, {path: b""})


async def test_nothing_but_the_volume_is_left(host: DockerEngine, volume: str) -> None:
    await host.files.write(volume, {"a": b"1"})
    await host.files.read(volume)
    assert not [one for one in await host.containers() if volume in one.mounts]


async def test_a_writer_that_dies_in_the_middle_leaves_the_old_content(
    engine: str, host: DockerEngine, volume: str
) -> None:
    old, new = b"old" * 1000, b"new" * 100_000
    await host.files.write(volume, {"a": old})
    archive = _docker_files._pack({"a": new})  # noqa: SLF001 -- the archive as a dying writer would send it
    async with host.files._access(volume) as container:  # noqa: SLF001 -- same reason
        for sent in (700, 5_000, 200_000):
            await asyncio.to_thread(_send_part, engine.removeprefix("unix://"), container, archive, sent)
            assert await host.files.read(volume) == {"a": old}
    await host.files.write(volume, {"a": new})
    assert await host.files.read(volume) == {"a": new}


def _send_part(path: str, container: str, archive: bytes, sent: int) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        head = (
            f"PUT /v1.41/containers/{container}/archive?path=/volume HTTP/1.1\r\nHost: engine\r\n"
            f"Content-Type: application/x-tar\r\nContent-Length: {len(archive)}\r\n\r\n"
        )
        connection.sendall(head.encode() + archive[:sent])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
