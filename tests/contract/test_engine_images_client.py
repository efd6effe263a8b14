"""The engine client against the real Docker Engine."""

import asyncio
import io
import json
import tarfile
from collections.abc import AsyncIterator

import pytest

from builder.engine import Engine, EngineError, EngineUnavailable, ImageNotFound
from builder.loading import Loadable, Loading
from builder.oci import canonical_json, sha256_digest
from builder.stages.layer import Layer
from builder.stores import EngineStore


@pytest.fixture
async def client(engine: str) -> AsyncIterator[Engine]:
    async with Engine(engine) as client:
        yield client


def _layer(text: str) -> Layer:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("opt/text")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    data = archive.getvalue()
    return Layer(data, b"", sha256_digest(data), sha256_digest(data))


async def _loadable(client: Engine, base: str, name: str, text: str) -> Loadable:
    found = await EngineStore(client).find(base)
    assert found is not None
    layer, below = _layer(text), found.config["rootfs"]["diff_ids"]
    root = {"type": "layers", "diff_ids": [*below, layer.diff_id]}
    config = canonical_json({**found.config, "rootfs": root, "history": []})
    return Loadable(name, config, layer, len(below))


async def test_an_archive_with_only_the_new_layer_makes_a_whole_image(
    client: Engine, base_image: str, docker_prefix: str
) -> None:
    image = await _loadable(client, base_image, f"{docker_prefix}one:1", "hello")
    await Loading(client).add(image)
    assert (await client.inspect_image(image.name))["Id"] == sha256_digest(image.config)
    finished = await client.run(image.name, ["cat", "/opt/text"])
    assert (finished.exit_code, finished.stdout, finished.stderr) == (0, b"hello", b"")


async def test_one_image_that_cannot_be_loaded_does_not_fail_the_others(
    client: Engine, base_image: str, docker_prefix: str
) -> None:
    good = [
        await _loadable(client, base_image, f"{docker_prefix}good:{number}", str(number))
        for number in range(4)
    ]
    bad = Loadable(
        f"{docker_prefix}bad:1", b'{"rootfs": {"type": "layers", "diff_ids": ["sha256:0"]}}', _layer("x"), 3
    )
    loading = Loading(client)
    results = await asyncio.gather(*(loading.add(image) for image in (*good, bad)), return_exceptions=True)
    assert [result for result in results[:4] if result] == []
    assert isinstance(results[4], EngineError)
    for image in good:
        assert (await client.inspect_image(image.name))["Id"] == sha256_digest(image.config)


async def test_an_absent_image_is_not_found_and_nothing_else(client: Engine) -> None:
    with pytest.raises(ImageNotFound, match="No such image: absent:1"):
        await client.inspect_image("absent:1")
    with pytest.raises(ImageNotFound):
        await client.run("absent:1", ["true"])
    await client.untag("absent:1")
    assert await EngineStore(client).find("absent:1") is None


async def test_a_container_has_no_network_and_a_read_only_file_system_and_is_gone_afterwards(
    client: Engine, base_image: str
) -> None:
    script = "touch /x; ls /sys/class/net; echo $MODE >&2; exit 3"
    finished = await client.run(base_image, ["sh", "-c", script], environment={"MODE": "set"})
    assert finished.exit_code == 3
    assert finished.stdout == b"lo\n"
    assert b"Read-only file system" in finished.stderr
    assert finished.stderr.endswith(b"set\n")


async def test_files_are_laid_over_the_image(client: Engine, base_image: str) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("given.json")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"{}"))
    finished = await client.run(base_image, ["cat", "/given.json"], files=archive.getvalue())
    assert json.loads(finished.stdout) == {}


async def test_a_program_that_is_absent_is_named(client: Engine, base_image: str) -> None:
    with pytest.raises(EngineError, match="executable file not found"):
        await client.run(base_image, ["no-such-program"])


async def test_a_pull_that_fails_says_why(client: Engine) -> None:
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:1"):
        await client.pull("127.0.0.1:1/absent:1")


async def test_an_engine_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(
        EngineUnavailable, match=r"unix:///nowhere does not answer.*Start it, or name another one"
    ):
        async with Engine("unix:///nowhere"):
            pass


@pytest.mark.parametrize("endpoint", ["/var/run/docker.sock", "ssh://host", "unix://"])
def test_an_endpoint_of_another_form_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="expected unix:///PATH or tcp://HOST:PORT"):
        Engine(endpoint)


async def test_the_engine_tells_its_platform_and_its_store(client: Engine) -> None:
    assert (await client.platform()).startswith("linux/")
    assert await client.keeps_layers_by_chain()
