"""Records in a real registry: what every store promises, and what only a registry can get wrong."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controller.clients.record_reader import RECORD_TYPE
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import FILE_TYPE, RegistryRecords
from controller.model.errors import NotFound, Terminal, Transient
from tests.contract.record_promises import StorePromises, record
from tests.parts.registry import running_registry


@asynccontextmanager
async def opened(
    access: RegistryAccess, repository: str = "team/artifacts"
) -> AsyncIterator[RegistryRecords]:
    async with Registry(access) as registry:
        yield RegistryRecords(registry, f"{access.host}/{repository}")


@pytest.fixture
def access(registry: str) -> RegistryAccess:
    return RegistryAccess(registry, insecure=True)


@pytest.fixture
def repository() -> str:
    return f"t{secrets.token_hex(4)}/artifacts"


@pytest.fixture
async def store(access: RegistryAccess, repository: str) -> AsyncIterator[RegistryRecords]:
    async with opened(access, repository) as records:
        yield records


class TestRegistryRecords(StorePromises):
    """The promises of `RecordStore`, kept by a registry."""


async def test_a_local_version_and_an_epoch_get_tags_that_do_not_meet(store: RegistryRecords) -> None:
    for version in ("1!2.0", "1+2.0", "1.2.0"):
        await store.put(record(version))
    assert await store.versions() == {"1!2.0", "1+2.0", "1.2.0"}
    assert set(await store.records()) == {"1!2.0", "1+2.0", "1.2.0"}


async def test_another_process_reads_what_was_written(
    access: RegistryAccess, repository: str, store: RegistryRecords
) -> None:
    await store.put(record("0.1.1"))
    async with opened(access, repository) as other:
        assert await other.get("0.1.1") == record("0.1.1")


async def test_a_change_by_another_process_is_seen(
    access: RegistryAccess, repository: str, store: RegistryRecords
) -> None:
    await store.put(record("0.1.1"))
    assert not (await store.get("0.1.1")).promoted
    async with opened(access, repository) as other:
        await other.put(record("0.1.1", promoted=True))
    assert (await store.get("0.1.1")).promoted


async def test_an_image_under_a_version_is_not_taken_for_a_record(
    access: RegistryAccess, repository: str, store: RegistryRecords
) -> None:
    name = f"{access.host}/{repository}"
    async with Registry(access) as registry:
        await registry.put_artifact(f"{name}:0.1.1", b"{}", kind=FILE_TYPE, file="x")
    with pytest.raises(Terminal) as caught:
        await store.get("0.1.1")
    assert str(caught.value) == (
        f"{name}:0.1.1 is no release record, but {FILE_TYPE}. "
        "Name a repository of its own in registry.artifacts, or delete that tag."
    )


async def test_a_record_that_cannot_be_read_is_neither_absent_nor_written_over(
    access: RegistryAccess, repository: str, store: RegistryRecords
) -> None:
    name = f"{access.host}/{repository}:0.1.1"
    async with Registry(access) as registry:
        before = await registry.put_artifact(
            name, b'{"version": "0.1.1"', kind=RECORD_TYPE, file="record.json"
        )
        for attempt in (store.get("0.1.1"), store.records(), store.put(record("0.1.1"))):
            with pytest.raises(Terminal) as caught:
                await attempt
            assert caught.value.reason == "RecordCorrupt"
            assert name in caught.value.message
        assert await registry.digest(name) == before


async def test_a_record_copied_to_another_version_is_refused(
    access: RegistryAccess, repository: str, store: RegistryRecords
) -> None:
    name = f"{access.host}/{repository}:0.1.2"
    async with Registry(access) as registry:
        await registry.put_artifact(name, record("0.1.1").to_json(), kind=RECORD_TYPE, file="record.json")
    with pytest.raises(Terminal, match=r"0\.1\.2 is that of version 0\.1\.1"):
        await store.get("0.1.2")


async def test_files_survive_the_registrys_garbage_collection_by_a_tag_of_their_own(
    access: RegistryAccess, repository: str, store: RegistryRecords
) -> None:
    kept = await store.put_blob("x.whl", b"wheel")
    async with Registry(access) as registry:
        assert f"file-{kept.sha256}" in await registry.tags(f"{access.host}/{repository}")
    assert await store.versions() == frozenset()


async def test_a_cached_file_is_read_without_the_registry_and_a_changed_one_is_not_used(
    access: RegistryAccess, repository: str, tmp_path: Path
) -> None:
    async with Registry(access) as registry:
        store = RegistryRecords(registry, f"{access.host}/{repository}", cache=tmp_path)
        kept = await store.put_blob("x.whl", b"wheel")
        assert await store.get_blob(kept) == b"wheel"
        elsewhere = RegistryRecords(registry, f"{access.host}/nowhere", cache=tmp_path)
        assert await elsewhere.get_blob(kept) == b"wheel"
        (tmp_path / kept.sha256).write_bytes(b"other")
        assert await store.get_blob(kept) == b"wheel"
        (tmp_path / kept.sha256).write_bytes(b"other")
        with pytest.raises(NotFound):
            await elsewhere.get_blob(kept)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("locked"), users={"me": "hush"}) as address:
        yield address


def secret(folder: Path, files: Mapping[str, str]) -> dict[str, Path]:
    for name, content in files.items():
        (folder / name).write_text(content)
    return {name: folder / name for name in files}


async def test_user_and_password_of_a_secret_open_the_registry(locked: str, tmp_path: Path) -> None:
    files = secret(tmp_path, {"username": "me", "password": "hush"})
    async with opened(RegistryAccess(locked, insecure=True, secret=files)) as store:
        await store.put(record("0.1.1"))
        assert await store.versions() == {"0.1.1"}


async def test_a_docker_configuration_opens_the_registry(locked: str, tmp_path: Path) -> None:
    config = {"auths": {locked: {"username": "me", "password": "hush"}}}
    files = secret(tmp_path, {".dockerconfigjson": json.dumps(config)})
    async with opened(RegistryAccess(locked, insecure=True, secret=files), "c/d") as store:
        assert await store.versions() == frozenset()
    file = files[".dockerconfigjson"]
    async with opened(RegistryAccess(locked, insecure=True, docker_config=file), "c/d") as store:
        assert await store.versions() == frozenset()


async def test_credentials_of_a_secret_go_to_its_own_registry_only(
    locked: str, registry: str, tmp_path: Path
) -> None:
    files = secret(tmp_path, {"username": "me", "password": "hush"})
    async with Registry(RegistryAccess(registry, insecure=True, secret=files)) as other:
        with pytest.raises(Terminal) as caught:
            await other.tags(f"{locked}/team/artifacts")
    assert caught.value.reason == "CredentialsMissing"


@pytest.mark.parametrize("files", [{}, {"username": "me", "password": "wrong"}])
async def test_refused_access_says_which_registry_and_what_to_give(
    locked: str, tmp_path: Path, files: dict[str, str]
) -> None:
    access = RegistryAccess(locked, insecure=True, secret=secret(tmp_path, files))
    async with opened(access) as store:
        with pytest.raises(Terminal) as caught:
            await store.put(record("0.1.1"))
    assert caught.value.reason == "CredentialsMissing"
    assert locked in caught.value.message
    assert caught.value.fix == (
        "Name a Secret in registry.pushSecretName (to read: pullSecretName), or run docker login for this registry."
    )


async def test_a_registry_that_is_down_is_unknown_and_never_empty(tmp_path: Path) -> None:
    with running_registry(tmp_path) as address:
        pass
    async with opened(RegistryAccess(address, insecure=True)) as store:
        for attempt in (
            store.versions(),
            store.records(["0.1.1"]),
            store.get("0.1.1"),
            store.put(record("0.1.1")),
        ):
            with pytest.raises(Transient, match="cannot be reached"):
                await attempt


def blank_out(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


async def test_bytes_changed_in_the_registrys_storage_are_refused(tmp_path: Path) -> None:
    with running_registry(tmp_path) as address:
        async with opened(RegistryAccess(address, insecure=True)) as store:
            kept = await store.put_blob("x.whl", b"wheel")
            await store.put(record("0.1.1"))
        for digest in (kept.sha256, hashlib.sha256(record("0.1.1").to_json()).hexdigest()):
            blank_out(tmp_path / "data/docker/registry/v2/blobs/sha256" / digest[:2] / digest / "data")
        async with opened(RegistryAccess(address, insecure=True)) as store:
            for attempt in (store.get("0.1.1"), store.get_blob(kept), store.put(record("0.1.1"))):
                with pytest.raises(Terminal, match="not used"):
                    await attempt


async def test_what_is_known_is_not_read_again(
    store: RegistryRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [f"0.1.{number}" for number in range(10)]
    await asyncio.gather(*(store.put(record(version)) for version in versions))
    await store.records()
    read: list[str] = []
    fetch = Registry.artifact

    async def counted(registry: Registry, reference: str) -> tuple[str, bytes]:
        read.append(reference)
        return await fetch(registry, reference)

    monkeypatch.setattr(Registry, "artifact", counted)
    assert set(await store.records(versions)) == set(versions)
    assert read == []
    await store.put(record("0.1.3", promoted=True))
    assert (await store.records(versions))["0.1.3"].promoted
    assert read == []
    await RegistryRecords(store.registry, store.repository).put(record("0.1.4", promoted=True))
    assert len(read) == 1
    assert (await store.records(versions))["0.1.4"].promoted
    assert len(read) == 2
