"""What an index serves, read from real indexes; and an index in trouble, which is unknown and never empty."""

import asyncio
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import encode_basic_auth, web

from controller.clients.index import PackageIndex
from controller.model.errors import Terminal, Transient
from controller.model.observed import Known, Unknown
from controller.model.package import ServedPackage
from controller.observe.index import read_package
from controller.secret_files import BasicCredentials
from tests.parts.index import Index

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def wheel(folder: Path, name: str, version: str) -> Path:
    """The smallest wheel that an index takes; equal arguments give equal bytes."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    parts = {"METADATA": metadata, "WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n", "RECORD": ""}
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(zipfile.ZipInfo(f"{about}/{part}", ZIP_EPOCH), content)
    return path


@dataclass(frozen=True)
class Filled:
    """An index, and the files uploaded to it for one project."""

    index: Index
    project: str
    sha256: dict[str, str]


@pytest.fixture(scope="module", params=["pypiserver", "devpi"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    index: Index = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("wheels")
    files = [wheel(folder, "wsr_observed", version) for version in ("0.1.0", "0.1.1rc1", "0.1.0.post1")]
    command = [sys.executable, "-m", "twine", "upload", "--disable-progress-bar", "--non-interactive"]
    command += ["--repository-url", index.upload_url, "-u", index.username, "-p", index.password]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Filled(
        index, "wsr-observed", {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    )


async def test_every_version_is_known_with_files_and_digests(filled: Filled) -> None:
    async with PackageIndex(filled.index.simple_url) as index:
        observed = await read_package(index, filled.project, now=NOW)
    assert isinstance(observed, Known)
    served = observed.value
    assert set(served.releases) == {"0.1.0", "0.1.1rc1", "0.1.0.post1"}
    assert (served.newest, served.newest_final) == ("0.1.1rc1", "0.1.0.post1")
    found = {file.name: file.sha256 for release in served.releases.values() for file in release.files}
    assert found == filled.sha256


async def test_a_served_version_is_known_and_its_wheel_has_the_uploaded_bytes(filled: Filled) -> None:
    async with PackageIndex(filled.index.simple_url) as index:
        release = await index.release(filled.project, "0.1.0")
        assert release is not None
        assert release.wheel is not None
        content = await index.download(release.wheel)
    assert hashlib.sha256(content).hexdigest() == filled.sha256["wsr_observed-0.1.0-py3-none-any.whl"]


async def test_an_absent_version_and_an_absent_package_are_known_to_be_absent(filled: Filled) -> None:
    async with PackageIndex(filled.index.simple_url) as index:
        assert await index.release(filled.project, "9.9.9") is None
        absent = "wsr-of-which-nobody-heard-7c1e"
        assert await read_package(index, absent, now=NOW) == Known(ServedPackage(absent, {}))


async def test_the_name_is_found_however_it_is_written(filled: Filled) -> None:
    async with PackageIndex(filled.index.simple_url.rstrip("/")) as index:
        assert await index.release("WSR.Observed", "0.1.0") is not None


async def test_bytes_other_than_the_index_names_are_refused(filled: Filled) -> None:
    async with PackageIndex(filled.index.simple_url) as index:
        release = await index.release(filled.project, "0.1.0")
        assert release is not None
        assert release.wheel is not None
        with pytest.raises(Terminal) as caught:
            await index.download(replace(release.wheel, sha256="0" * 64))
        assert caught.value.reason == "IndexCorrupt"
        with pytest.raises(Terminal, match=r"names no SHA-256 for wsr_observed-0\.1\.0"):
            await index.download(replace(release.wheel, sha256=None))


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """The address of a server in the index's place that answers as told."""
    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/simple"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[PackageIndex]:
    """A client of such a server."""
    async with (
        serving(answer) as url,
        PackageIndex(url, credentials=lambda: BasicCredentials("me", "hush")) as index,
    ):
        yield index


def with_status(status: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    return answer


async def page_for_people(_: web.Request) -> web.Response:
    return web.Response(
        text="<html><body><form><input name=user></form></body></html>", content_type="text/html"
    )


async def half_a_page(_: web.Request) -> web.Response:
    return web.Response(text='<html><body><a href="x-0.1.0-py3-none-any.whl">', content_type="text/html")


async def broken_json(_: web.Request) -> web.Response:
    return web.Response(text='{"files": [', content_type="application/vnd.pypi.simple.v1+json")


async def in_circles(request: web.Request) -> web.Response:
    raise web.HTTPFound(request.path + "?again")


@pytest.mark.parametrize(
    "answer",
    [
        with_status(500),
        with_status(503),
        with_status(429),
        with_status(401),
        with_status(403),
        with_status(400),
        page_for_people,
        half_a_page,
        broken_json,
        in_circles,
    ],
)
async def test_an_index_in_trouble_is_unknown_and_never_empty(answer: Answer) -> None:
    async with answering(answer) as index:
        observed = await read_package(index, "x", now=NOW)
    assert isinstance(observed, Unknown)
    assert observed.since == NOW
    assert "\n" not in observed.reason
    assert "hush" not in observed.reason


async def test_a_silent_index_is_unknown_after_the_time_given() -> None:
    async def silence(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with answering(silence) as index:
        observed = await read_package(index, "x", now=NOW, timeout_seconds=0.2)
    assert observed == Unknown("The index did not answer for x within 0.2 s", NOW)


async def test_an_index_that_is_down_is_unknown() -> None:
    async with PackageIndex("http://127.0.0.1:9/simple") as index:
        observed = await read_package(index, "x", now=NOW)
    assert observed == Unknown("http://127.0.0.1:9/simple/x/ cannot be reached: Connection refused.", NOW)


async def test_the_time_an_index_asks_for_is_passed_on() -> None:
    async with answering(with_status(429, Retry_After="17")) as index:
        with pytest.raises(Transient) as caught:
            await index.served("x")
    assert caught.value.retry_after == 17


async def test_credentials_that_are_renewed_after_a_refusal_are_used_without_a_restart() -> None:
    words = ["old", "old", "new"]
    seen: list[int] = []

    async def guarded(request: web.Request) -> web.Response:
        seen.append(len(words))
        if request.headers.get("Authorization") != encode_basic_auth("me", "new"):
            return web.Response(status=401)
        return web.Response(text="<!DOCTYPE html><html></html>", content_type="text/html")

    async with serving(guarded) as url:
        index = PackageIndex(url, credentials=lambda: BasicCredentials("me", words.pop(0)))
        async with index:
            refused = await read_package(index, "x", now=NOW)
            assert isinstance(refused, Unknown)
            assert refused.stalled == "CredentialsMissing"
            assert await read_package(index, "x", now=NOW) == Known(ServedPackage("x", {}))
    assert len(seen) == 3, "the same credentials are not shown twice in one call"


async def test_refused_access_says_what_to_give() -> None:
    async with answering(with_status(403)) as index:
        with pytest.raises(Terminal) as caught:
            await index.served("x")
    assert caught.value.reason == "CredentialsMissing"
    assert caught.value.fix == (
        "Name a Secret that may read this index in package.index.credentialsSecretName."
    )


async def test_a_ca_file_that_holds_no_certificates_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_text("nothing")
    with pytest.raises(Terminal) as caught:
        async with PackageIndex("https://127.0.0.1:9/simple", ca_file=file):
            pass
    assert str(file) in caught.value.message


async def test_files_of_another_package_or_of_no_kind_are_left_out() -> None:
    names = [
        "x-0.1.0-py3-none-any.whl",
        "x-0.1.0.tar.gz",
        "y-0.2.0-py3-none-any.whl",
        "x-oops.whl",
        "x-0.3.0.exe",
    ]
    page = "".join(f'<a href="/files/{name}#sha256={"a" * 64}">{name}</a>' for name in names)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=f"<html><body>{page}</body></html>", content_type="text/html")

    async with answering(answer) as index:
        served = await index.served("X")
    assert {version: [file.name for file in found.files] for version, found in served.releases.items()} == {
        "0.1.0": ["x-0.1.0-py3-none-any.whl", "x-0.1.0.tar.gz"]
    }
