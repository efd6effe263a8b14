"""Publication to real indexes with real passwords: what they serve afterwards is what was given, byte for byte."""

import asyncio
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from builder.contract import Outcome, Report
from builder.index import Index as Reader
from builder.problems import Refused
from builder.verbs.publish import publish
from tests.contract.publishing import (
    Made,
    credentials_of,
    given,
    make_release,
    on_page,
    proxy_before,
)
from tests.parts.index import Index


@pytest.fixture(params=["pypiserver", "devpi"])
def index(request: pytest.FixtureRequest) -> Index:
    found: Index = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_release(tmp_path / "dist", f"wsr-publish-{secrets.token_hex(4)}")


@pytest.fixture
def credentials(tmp_path: Path, index: Index) -> Path:
    return credentials_of(tmp_path / "credentials", index.username, index.password)


def states(report: Report) -> dict[str, str]:
    return {name: str(entry["state"]) for name, entry in report.facts["files"].items()}


async def test_wheel_and_sdist_are_served_as_they_were_given(
    made: Made, index: Index, credentials: Path
) -> None:
    report = await publish(given(made, index, credentials))
    assert report.outcome is Outcome.DONE
    assert report.facts["alreadyThere"] is False
    assert states(report) == dict.fromkeys(made.sha256, "Uploaded")
    assert index.files(made.project) == made.sha256
    async with Reader(index.simple_url) as reader:
        for file in await reader.files(made.project):
            assert await reader.fetch(file) == (made.folder / file.filename).read_bytes()


async def test_running_again_uploads_nothing_and_says_so(made: Made, index: Index, credentials: Path) -> None:
    await publish(given(made, index, credentials))
    async with proxy_before(index) as proxy:
        report = await publish(given(made, proxy.index, credentials))
    assert proxy.uploads == 0
    assert report.facts["alreadyThere"] is True
    assert states(report) == dict.fromkeys(made.sha256, "AlreadyThere")


async def test_other_bytes_under_a_published_version_are_refused_with_both_digests(
    made: Made, index: Index, credentials: Path, tmp_path: Path
) -> None:
    await publish(given(made, index, credentials))
    other = make_release(tmp_path / "other", made.project, salt="other")
    with pytest.raises(Refused) as caught:
        await publish(given(other, index, credentials))
    assert caught.value.reason == "OtherBytes"
    assert caught.value.complaints == tuple(
        f"The index serves {name} with sha256 {digest}, and ours has {other.sha256[name]}. "
        "A published version never changes: choose a new version."
        for name, digest in made.sha256.items()
    )
    assert index.files(made.project) == made.sha256


async def test_nothing_is_added_to_a_version_that_somebody_else_began(
    made: Made, index: Index, credentials: Path, tmp_path: Path
) -> None:
    await publish(replace(given(made, index, credentials), files=(made.wheel,)))
    other = make_release(tmp_path / "other", made.project, salt="other")
    with pytest.raises(Refused) as caught:
        await publish(given(other, index, credentials))
    assert caught.value.reason == "OtherBytes"
    assert list(index.files(made.project)) == [made.wheel.name]


async def test_a_wrong_password_is_refused_and_appears_nowhere(
    made: Made, index: Index, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = credentials_of(tmp_path / "wrong", index.username, "not-the-password-1f9c")
    with pytest.raises(Refused) as caught:
        await publish(given(made, index, wrong))
    assert caught.value.reason == "CredentialsRejected"
    assert caught.value.message.startswith(f"{index.upload_url} answered 40")
    assert caught.value.message.endswith(
        "The credentials are missing, wrong or not allowed to upload this project."
    )
    assert "not-the-password-1f9c" not in str(caught.value) + "".join(capfd.readouterr())
    assert index.files(made.project) == {}


async def test_without_credentials_an_index_that_asks_for_them_takes_nothing(
    made: Made, index: Index
) -> None:
    with pytest.raises(Refused) as caught:
        await publish(given(made, index, None))
    assert caught.value.reason == "CredentialsRejected"
    assert index.files(made.project) == {}


async def test_two_publications_at_once_of_the_same_bytes_both_succeed(
    made: Made, index: Index, credentials: Path
) -> None:
    reports = await asyncio.gather(*(publish(given(made, index, credentials)) for _ in range(2)))
    assert {report.outcome for report in reports} == {Outcome.DONE}
    assert index.files(made.project) == made.sha256


async def test_a_publisher_whose_wheel_came_second_adds_no_sdist_to_the_first_one_s(
    made: Made, index: Index, credentials: Path, tmp_path: Path
) -> None:
    """Both looked and saw nothing; the other one is faster by a moment, and is not through with its sdist yet."""
    other = make_release(tmp_path / "other", made.project, salt="other")

    async def let_pass(request: web.Request) -> web.StreamResponse | None:
        if request.method == "POST" and not index.files(made.project):
            await publish(replace(given(other, index, credentials), files=(other.wheel,)))
        return None

    async with proxy_before(index) as proxy:
        proxy.faults.append(let_pass)
        with pytest.raises(Refused) as caught:
            await publish(given(made, proxy.index, credentials))
    assert (caught.value.reason, caught.value.message) == (
        "OtherBytes",
        (
            f"The index serves {made.wheel.name} with sha256 {other.sha256[made.wheel.name]}, and ours has "
            f"{made.sha256[made.wheel.name]}. A published version never changes: choose a new version."
        ),
    )
    assert proxy.uploads == 1
    assert index.files(made.project) == {other.wheel.name: other.sha256[other.wheel.name]}


async def test_two_publications_at_once_of_other_bytes_end_with_one_whole_release_and_one_refusal(
    made: Made, devpi: Index, tmp_path: Path
) -> None:
    credentials = credentials_of(tmp_path / "of-devpi", devpi.username, devpi.password)
    other = make_release(tmp_path / "other", made.project, salt="other")
    ended = await asyncio.gather(
        *(publish(given(each, devpi, credentials)) for each in (made, other)), return_exceptions=True
    )
    refused = [each.reason for each in ended if isinstance(each, Refused)]
    assert refused == ["OtherBytes"]
    assert devpi.files(made.project) in (made.sha256, other.sha256)


async def test_killed_between_wheel_and_sdist_the_next_run_uploads_only_the_sdist(
    made: Made, index: Index, credentials: Path
) -> None:
    arrived, killed = asyncio.Event(), asyncio.Event()

    async def hold_sdist(request: web.Request) -> web.StreamResponse | None:
        if request.method == "POST" and made.sdist.name.encode() in await request.read():
            arrived.set()
            await killed.wait()
            return web.Response(status=500)
        return None

    async with proxy_before(index) as proxy:
        proxy.faults.append(hold_sdist)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "builder", "publish", *given(made, proxy.index, credentials).arguments()
        )
        await asyncio.wait_for(arrived.wait(), 30)
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
        killed.set()
        assert list(index.files(made.project)) == [made.wheel.name]
        proxy.faults.clear()
        proxy.seen.clear()
        report = await publish(given(made, proxy.index, credentials))
    assert proxy.uploads == 1
    assert states(report) == {made.wheel.name: "AlreadyThere", made.sdist.name: "Uploaded"}
    assert index.files(made.project) == made.sha256


async def test_an_index_that_shows_files_late_is_waited_for(
    made: Made, index: Index, credentials: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with proxy_before(index) as proxy:
        proxy.faults.append(on_page(lambda: web.Response(status=404), times=4))
        report = await publish(given(made, proxy.index, credentials))
    assert report.outcome is Outcome.DONE
    names = ", ".join(made.sha256)
    assert f"Waiting for the index: {names} not listed yet\n" in capfd.readouterr().err


async def test_a_run_ends_with_its_report_alone_on_stdout_and_no_credential_on_its_command_line(
    made: Made, index: Index, credentials: Path
) -> None:
    arguments = given(made, index, credentials).arguments()
    assert index.password not in " ".join(arguments)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "builder", "publish", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, log = await child.communicate()
    assert child.returncode == Outcome.DONE
    assert Report.from_line(out.decode()).facts["version"] == "0.1.0"
    assert json.loads(out)["verb"] == "publish"
    assert index.password.encode() not in out + log


async def test_nothing_is_uploaded_when_one_of_the_files_cannot_be(
    made: Made, index: Index, credentials: Path
) -> None:
    made.sdist.write_bytes(b"not an archive")
    with pytest.raises(Refused) as caught:
        await publish(given(made, index, credentials))
    assert (caught.value.reason, caught.value.message) == (
        "UploadRefused",
        "This cannot be uploaded: not a gzip file",
    )
    assert index.files(made.project) == {}


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for loopback; return its file, and the server side of TLS with it."""
    certificate, key = folder / "ca.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=index"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    return certificate, tls


async def test_a_private_authority_is_trusted_when_named_whatever_the_environment_says(
    made: Made, pypiserver: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, tls = self_signed(tmp_path)
    credentials = credentials_of(tmp_path / "credentials", pypiserver.username, pypiserver.password)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    async with proxy_before(pypiserver, tls=tls) as proxy:
        run = given(made, proxy.index, credentials)
        with pytest.raises(Refused, match=r"The certificate of 127\.0\.0\.1 is not trusted"):
            await publish(run)
        report = await publish(replace(run, ca=certificate))
    assert report.outcome is Outcome.DONE
    assert proxy.uploads == 2


async def test_credentials_do_not_go_to_a_simple_index_of_another_origin(
    made: Made, pypiserver: Index, tmp_path: Path
) -> None:
    credentials = credentials_of(tmp_path / "credentials", pypiserver.username, pypiserver.password)
    authorized: list[bool] = []

    async def note(request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(0)
        authorized.append("Authorization" in request.headers)
        return None

    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(note)
        await publish(replace(given(made, proxy.index, credentials), upload_url=pypiserver.upload_url))
        assert authorized
        assert not any(authorized)
        authorized.clear()
        await publish(given(made, proxy.index, credentials))
        assert all(authorized)
