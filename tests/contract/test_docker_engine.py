"""The client of the Docker Engine against a real one."""

import asyncio
import io
import secrets
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest
import pytest_asyncio

from controller.clients.docker import Conflict, DockerEngine
from controller.model.container import ContainerState, EngineEvent, EngineEventKind
from controller.model.errors import NotFound, Terminal, Transient
from tests.parts.faulty_engine import Fault, faulty_engine
from tests.parts.registry import running_registry


@pytest_asyncio.fixture
async def host(engine: str) -> AsyncIterator[DockerEngine]:
    async with DockerEngine(engine, host="here") as opened:
        yield opened


@pytest.fixture
def client(engine: str) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine)
    yield client
    client.close()


async def sleeper(host: DockerEngine, name: str, base_image: str, **more: object) -> str:
    body = {"Image": base_image, "Cmd": ["sleep", "600"], "HostConfig": {"Init": True}}
    container = await host.create_container(name, body | more)
    await host.start(container)
    return container


async def test_one_list_shows_every_container_with_what_a_pass_needs(
    host: DockerEngine, base_image: str, docker_prefix: str
) -> None:
    running = await sleeper(
        host,
        f"{docker_prefix}a",
        base_image,
        Labels={"ring": "canary"},
        ExposedPorts={"8000/tcp": {}},
        HostConfig={
            "Binds": [f"{docker_prefix}v:/v"],
            "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
        },
    )
    sharing = {"Image": base_image, "Cmd": ["x"], "HostConfig": {"NetworkMode": f"container:{running}"}}
    linked = {"Image": base_image, "Cmd": ["x"], "HostConfig": {"Links": [f"{docker_prefix}a:it"]}}
    await host.create_container(f"{docker_prefix}b", sharing)
    await host.create_container(f"{docker_prefix}c", linked)
    found = {one.name: one for one in await host.containers() if one.name.startswith(docker_prefix)}
    first = found[f"{docker_prefix}a"]
    assert sorted(found) == [f"{docker_prefix}{letter}" for letter in "abc"]
    assert (first.id, first.image, first.state) == (running, base_image, ContainerState.RUNNING)
    assert first.image_id == (await host.inspect_image(base_image))["Id"]
    assert first.labels["ring"] == "canary"
    assert first.mounts == (f"{docker_prefix}v",)
    assert first.addresses["bridge"].count(".") == 3
    assert [(port.container_port, port.host_ip) for port in first.ports] == [(8000, "127.0.0.1")]
    assert first.ports[0].host_port
    assert first.link_consumers == (f"{docker_prefix}c",)
    assert found[f"{docker_prefix}b"].network_of == running
    assert found[f"{docker_prefix}c"].state is ContainerState.CREATED


async def test_a_container_that_nothing_happens_to_is_listed_the_same_each_time(
    host: DockerEngine, base_image: str, docker_prefix: str
) -> None:
    volumes = [f"{docker_prefix}v{number}:/v{number}" for number in range(4)]
    ports: dict[str, dict[str, str]] = {f"{8000 + number}/tcp": {} for number in range(4)}
    name = f"{docker_prefix}a"
    await sleeper(host, name, base_image, ExposedPorts=ports, HostConfig={"Binds": volumes})
    looks = [[one for one in await host.containers() if one.name == name] for _ in range(25)]
    assert all(look == looks[0] for look in looks)


async def test_a_command_gives_its_output_and_its_exit_code(
    host: DockerEngine, base_image: str, docker_prefix: str
) -> None:
    container = await sleeper(host, f"{docker_prefix}a", base_image)
    spoken = await host.execute(container, ("sh", "-c", "echo out; echo err >&2"))
    assert (spoken.exit_code, spoken.output) == (0, b"out\n")
    failed = await host.execute(container, ("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (failed.exit_code, failed.output) == (3, b"out\nerr\n")
    long = await host.execute(container, ("sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x"))
    assert len(long.output) == 200_000
    absent = await host.execute(container, ("no-such-program",))
    assert absent.exit_code in {126, 127}


async def test_a_command_that_says_nothing_is_not_waited_for_longer_than_asked(
    host: DockerEngine, base_image: str, docker_prefix: str
) -> None:
    container = await sleeper(host, f"{docker_prefix}a", base_image)
    with pytest.raises(Transient, match="Could not run sleep"):
        await asyncio.wait_for(host.execute(container, ("sleep", "60"), timeout_seconds=0.5), 5)


async def test_absence_conflict_refusal_and_outage_are_told_apart(
    host: DockerEngine, engine: str, base_image: str, docker_prefix: str, tmp_path: Path
) -> None:
    container = await sleeper(host, f"{docker_prefix}a", base_image)
    with pytest.raises(NotFound, match="No such container"):
        await host.inspect_container("no-such-container")
    with pytest.raises(NotFound, match=r"(?i)no such image"):
        await host.inspect_image("no-such-image:1")
    with pytest.raises(Conflict, match="already in use"):
        await host.create_container(f"{docker_prefix}a", {"Image": base_image, "Cmd": ["x"]})
    await host.pause(container)
    with pytest.raises(Conflict, match="is paused"):
        await host.execute(container, ("true",))
    with pytest.raises(Terminal, match="400") as refused:
        await host.create_container(
            f"{docker_prefix}b", {"Image": base_image, "Cmd": ["x"], "HostConfig": {"NanoCpus": 10**15}}
        )
    assert refused.value.reason == "EngineRefused"
    with faulty_engine(engine, tmp_path) as faulty:
        async with DockerEngine(faulty.endpoint) as through:
            await through.ping()
            faulty.faults.append(Fault(rf"^GET .*/containers/{container}/json"))
            with pytest.raises(Transient, match="500: out of order"):
                await through.inspect_container(container)
            faulty.loss = True
            with pytest.raises(Transient, match="did not answer"):
                await through.containers()
    async with DockerEngine(f"unix://{tmp_path}/nobody.sock") as nowhere:
        with pytest.raises(
            Transient,
            match=r"^Could not reach the engine at unix://.*nobody\.sock: No such file or directory$",
        ):
            await nowhere.ping()


async def test_an_image_is_listed_by_its_id_also_when_it_has_lost_every_tag(
    host: DockerEngine, client: docker.DockerClient, base_image: str, docker_prefix: str
) -> None:
    name = f"{docker_prefix}tagged:1"
    made, _ = client.images.build(fileobj=io.BytesIO(f"FROM {base_image}\nENV A=B\n".encode()), tag=name)
    assert (await host.images())[name] == made.id
    client.images.get(base_image).tag(name)
    left = await host.images()
    assert left[name] != made.id
    assert left[str(made.id)] == made.id
    client.images.remove(str(made.id))


async def test_a_restart_policy_is_changed_in_every_state(
    host: DockerEngine, base_image: str, docker_prefix: str
) -> None:
    made = await host.create_container(f"{docker_prefix}a", {"Image": base_image, "Cmd": ["sleep", "600"]})
    policies = iter(["always", "no", "unless-stopped", "no"])

    async def change() -> None:
        policy = {"Name": next(policies), "MaximumRetryCount": 0}
        await host.set_restart_policy(made, policy)
        assert (await host.inspect_container(made))["HostConfig"]["RestartPolicy"] == policy

    await change()
    await host.start(made)
    await change()
    await change()
    await host.stop(made, grace_seconds=0)
    await change()


async def test_carried_volumes_survive_a_removal_that_takes_the_unnamed_ones(
    host: DockerEngine, base_image: str, docker_prefix: str
) -> None:
    body = {
        "Image": base_image,
        "Cmd": ["x"],
        "Volumes": {"/unnamed": {}},
        "HostConfig": {"Binds": [f"{docker_prefix}v:/v", f"{docker_prefix}w:/w:rw,nocopy"]},
    }
    made = await host.create_container(f"{docker_prefix}a", body)
    mounts = {mount["Destination"]: mount["Name"] for mount in (await host.inspect_container(made))["Mounts"]}
    await host.remove(made, anonymous_volumes=True)
    assert await host.volume_exists(mounts["/v"])
    assert await host.volume_exists(mounts["/w"])
    assert not await host.volume_exists(mounts["/unnamed"])


async def test_networks_are_joined_and_left_before_the_first_start(
    host: DockerEngine, client: docker.DockerClient, base_image: str, docker_prefix: str
) -> None:
    client.networks.create(f"{docker_prefix}n")
    made = await host.create_container(f"{docker_prefix}a", {"Image": base_image, "Cmd": ["sleep", "600"]})
    await host.connect(made, f"{docker_prefix}n", {"Aliases": ["it"]})
    await host.disconnect(made, "bridge")
    await host.start(made)
    networks = (await host.inspect_container(made))["NetworkSettings"]["Networks"]
    assert list(networks) == [f"{docker_prefix}n"]
    assert "it" in networks[f"{docker_prefix}n"]["Aliases"]


async def test_events_tell_what_happens_to_containers_and_to_the_engine(
    engine: str, host: DockerEngine, base_image: str, docker_prefix: str, tmp_path: Path
) -> None:
    heard: list[EngineEvent] = []

    async def listen(through: DockerEngine) -> None:
        async for event in through.events():
            if event.name.startswith(docker_prefix) or not event.name:
                heard.append(event)  # noqa: PERF401 -- read while the listening goes on

    async def heard_of(kind: EngineEventKind, times: int = 1) -> None:
        for _ in range(200):
            if [event.kind for event in heard].count(kind) >= times:
                return
            await asyncio.sleep(0.05)
        pytest.fail(f"heard only of {heard}")

    with faulty_engine(engine, tmp_path) as faulty:
        async with DockerEngine(faulty.endpoint) as through:
            task = asyncio.create_task(listen(through))
            await heard_of(EngineEventKind.CONNECTED)
            made = await sleeper(host, f"{docker_prefix}a", base_image, Labels={"ring": "canary"})
            await host.rename(made, f"{docker_prefix}b")
            await host.stop(made, grace_seconds=0)
            await host.remove(made)
            await heard_of(EngineEventKind.DESTROY)
            kinds = [event.kind for event in heard]
            assert kinds == ["connected", "start", "rename", "die", "destroy"]
            assert (heard[1].container_id, heard[1].name, heard[1].labels["ring"]) == (
                made,
                f"{docker_prefix}a",
                "canary",
            )
            assert heard[4].name == f"{docker_prefix}b"
            faulty.lose()
            await heard_of(EngineEventKind.LOST)
            faulty.loss = False
            await heard_of(EngineEventKind.CONNECTED, times=2)
            assert [event.kind for event in heard].count(EngineEventKind.LOST) == 1
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_an_image_is_pulled_and_an_error_inside_the_stream_is_an_error(
    host: DockerEngine, client: docker.DockerClient, registry: str, docker_prefix: str
) -> None:
    reference = f"{registry}/{docker_prefix}small:1"
    client.api.import_image_from_data(_tar(), repository=f"{docker_prefix}small", tag="1")
    small = (await host.inspect_image(f"{docker_prefix}small:1"))["Id"]
    await host.tag_image(small, reference)
    assert "error" not in client.images.push(reference)
    await host.remove_image(reference)
    assert await host.pull(reference) == small
    digest = (await host.inspect_image(reference))["RepoDigests"][0]
    await host.remove_image(reference)
    assert await host.pull(digest) == small
    with pytest.raises(NotFound, match=r"manifest unknown|not found"):
        await host.pull(f"{registry}/{docker_prefix}small:absent")


async def test_a_pull_that_fails_after_it_began_is_not_a_success(
    host: DockerEngine, client: docker.DockerClient, docker_prefix: str, tmp_path: Path
) -> None:
    with running_registry(tmp_path) as address:
        reference = f"{address}/{docker_prefix}broken:1"
        client.api.import_image_from_data(_tar(), repository=reference.removesuffix(":1"), tag="1")
        client.images.push(reference)
        await host.remove_image(reference)
        _spoil_layers(tmp_path)
        with pytest.raises(Transient, match=f"Could not pull {reference}: .*verif"):
            await host.pull(reference)


def _spoil_layers(folder: Path) -> None:
    for blob in folder.glob("data/docker/registry/v2/blobs/sha256/*/*/data"):
        if blob.read_bytes()[:2] == b"\x1f\x8b":
            blob.write_bytes(b"not what was pushed")


def _tar() -> bytes:
    """A file system with one file of a content that no other test has."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 16
        tar.addfile(entry, io.BytesIO(secrets.token_bytes(16)))
    return packed.getvalue()


async def test_many_questions_at_once_share_the_connections(
    host: DockerEngine, base_image: str, docker_prefix: str
) -> None:
    made = await host.create_container(f"{docker_prefix}a", {"Image": base_image, "Cmd": ["x"]})
    answers = await asyncio.gather(*(host.inspect_container(made) for _ in range(100)))
    assert {answer["Id"] for answer in answers} == {made}
