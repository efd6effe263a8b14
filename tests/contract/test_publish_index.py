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

from builder.contract import Outcome, PublishRun, Report
from builder.index import Index as Reader
from builder.problems import Refused, TryAgain
from builder.verbs.publish import publish
from tests.contract.publishing import Fault, Made, make_release, on_page, on_upload, proxy_before
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


def credentials_of(folder: Path, username: str, password: str) -> Path:
    folder.mkdir()
    (folder / "username").write_text(username + "\n")
    (folder / "password").write_text(password + "\n")
    return folder


def given(made: Made, index: Index, credentials: Path | None, *, deadline: float = 20.0) -> PublishRun:
    return PublishRun(
        files=(made.folder,),
        upload_url=index.upload_url,
        simple_url=index.simple_url,
        deadline_seconds=deadline,
        credentials=credentials,
    )


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


class TestAnIndexInTrouble:
    """The index behind is healthy; what is answered in its place is the trouble."""

    @pytest.fixture
    def index(self, pypiserver: Index) -> Index:
        return pypiserver

    async def refusal(self, run: PublishRun) -> Refused:
        with pytest.raises(Refused) as caught:
            await publish(run)
        return caught.value

    async def retry(self, run: PublishRun) -> TryAgain:
        with pytest.raises(TryAgain) as caught:
            await publish(run)
        return caught.value

    @pytest.mark.parametrize("status", [429, 503])
    async def test_an_upload_is_tried_again_when_the_index_says(
        self, made: Made, index: Index, credentials: Path, status: int
    ) -> None:
        async with proxy_before(index) as proxy:
            proxy.faults.append(
                on_upload(lambda: web.Response(status=status, headers={"Retry-After": "17"}, text="busy"))
            )
            problem = await self.retry(given(made, proxy.index, credentials))
        assert (problem.reason, problem.retry_after) == ("IndexUnavailable", 17.0)
        assert (
            problem.message
            == f"{proxy.index.upload_url} answered {status} (busy) to the upload of {made.wheel.name}."
        )
        assert proxy.uploads == 1

    async def test_an_error_page_is_told_without_its_markup(
        self, made: Made, index: Index, credentials: Path
    ) -> None:
        page = (
            "<html><head><title>t</title><style>b{}</style></head><body><h1>No &amp; never</h1></body></html>"
        )
        async with proxy_before(index) as proxy:
            proxy.faults.append(
                on_upload(lambda: web.Response(status=422, text=page, content_type="text/html"))
            )
            refusal = await self.refusal(given(made, proxy.index, credentials))
        assert refusal.reason == "UploadRefused"
        assert refusal.message == (
            f"{proxy.index.upload_url} answered 422 (No & never) to the upload of {made.wheel.name}. "
            "Check the upload URL and the package."
        )

    async def test_an_upload_is_not_sent_on_to_where_a_redirect_points(
        self, made: Made, index: Index, credentials: Path
    ) -> None:
        async with proxy_before(index) as proxy:
            proxy.faults.append(
                on_upload(lambda: web.Response(status=308, headers={"Location": "http://elsewhere.example/"}))
            )
            refusal = await self.refusal(given(made, proxy.index, credentials))
        assert refusal.reason == "UploadRedirected"
        assert (
            "It points to http://elsewhere.example/. Name the final address as the upload URL."
            in refusal.message
        )

    async def test_a_name_that_the_index_has_and_never_shows_is_waited_for_until_the_deadline(
        self, made: Made, index: Index, credentials: Path
    ) -> None:
        async with proxy_before(index) as proxy:
            proxy.faults += [
                on_upload(lambda: web.Response(status=409)),
                on_page(lambda: web.Response(status=404)),
            ]
            problem = await self.retry(given(made, proxy.index, credentials, deadline=0.5))
        assert problem.reason == "IndexNotVisible"
        assert problem.message == (
            f"After 0.5 s the index does not serve all of {made.project} 0.1.0: {made.wheel.name} not listed yet. "
            "Run again to go on waiting."
        )

    async def test_bytes_that_differ_from_what_is_listed_are_not_taken_for_published(
        self, made: Made, index: Index, credentials: Path
    ) -> None:
        async def spoil(request: web.Request) -> web.StreamResponse | None:
            await asyncio.sleep(0)
            return web.Response(body=b"cut") if request.path.endswith(made.wheel.name) else None

        async with proxy_before(index) as proxy:
            proxy.faults.append(spoil)
            problem = await self.retry(given(made, proxy.index, credentials, deadline=0.5))
        assert problem.reason == "IndexNotVisible"
        assert f"but the index shows {made.sha256[made.wheel.name]} for it" in problem.message

    @pytest.mark.parametrize(
        ("fault", "reason", "text"),
        [
            (
                on_page(lambda: web.Response(status=503, headers={"Retry-After": "9"})),
                "IndexUnavailable",
                "{page} answered 503.",
            ),
            (
                on_page(
                    lambda: web.Response(
                        text='{"meta": {"api', content_type="application/vnd.pypi.simple.v1+json"
                    )
                ),
                "IndexRefused",
                (
                    "{page} answered with JSON that is no project page (PEP 691): Unterminated string starting at: "
                    "line 1 column 11 (char 10). Check the simple index URL."
                ),
            ),
            (
                on_page(lambda: web.Response(text="<html><body><a href=", content_type="text/html")),
                "IndexUnavailable",
                "{page} broke off in the middle of its page.",
            ),
            (
                on_page(lambda: web.Response(text="<html><form></form></html>", content_type="text/html")),
                "IndexRefused",
                (
                    "{page} answered with a page for people (a login or an error?), not with an index page. "
                    "Check the simple index URL and the credentials."
                ),
            ),
            (
                on_page(lambda: web.Response(text="hello", content_type="text/plain")),
                "IndexRefused",
                "{page} answered with type text/plain, which is no index page. Check the simple index URL.",
            ),
            (
                on_page(lambda: web.Response(status=302, headers={"Location": "?"})),
                "IndexRefused",
                "{page} redirects more than 10 times, in a loop. Check the index URL.",
            ),
            (
                on_page(lambda: web.Response(status=403)),
                "CredentialsRejected",
                "{page} answered 403: the credentials are missing, wrong or not allowed to read.",
            ),
            (
                on_page(lambda: web.Response(status=410)),
                "IndexRefused",
                "{page} answered 410 Gone. Check the index URL.",
            ),
        ],
        ids=["503", "truncated-json", "truncated-html", "login", "text", "redirect-loop", "403", "410"],
    )
    async def test_nothing_is_uploaded_while_the_index_cannot_be_asked(
        self, made: Made, index: Index, fault: Fault, reason: str, text: str
    ) -> None:
        async with proxy_before(index) as proxy:
            proxy.faults.append(fault)
            told: tuple[str, str] | None = None
            try:
                await publish(given(made, proxy.index, None))
            except (Refused, TryAgain) as problem:
                told = (problem.reason, problem.message)
        page = f"{proxy.index.simple_url}{made.project}/"
        assert told == (reason, text.format(page=page))
        assert proxy.uploads == 0

    async def test_an_answer_that_breaks_off_is_tried_again(
        self, made: Made, index: Index, credentials: Path
    ) -> None:
        async def cut(request: web.Request) -> web.StreamResponse | None:
            answer = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "text/html"})
            await answer.prepare(request)
            await answer.write(b"<html>")
            assert request.transport
            request.transport.close()
            return answer

        async with proxy_before(index) as proxy:
            proxy.faults.append(cut)
            problem = await self.retry(given(made, proxy.index, credentials))
        assert problem.reason == "IndexUnavailable"

    async def test_an_index_that_is_down_is_tried_again(
        self, made: Made, index: Index, credentials: Path
    ) -> None:
        async with proxy_before(index) as proxy:
            pass
        problem = await self.retry(given(made, proxy.index, credentials))
        assert problem.reason == "IndexUnavailable"
        assert problem.message == (
            f"{proxy.index.simple_url}{made.project}/ cannot be reached: Connection refused."
        )

    async def test_html_is_taken_from_an_index_that_has_no_json(
        self, made: Made, devpi: Index, tmp_path: Path
    ) -> None:
        async def html_only(request: web.Request) -> web.StreamResponse | None:
            await asyncio.sleep(0)
            return web.Response(status=406) if "json" in request.headers.get("Accept", "") else None

        credentials = credentials_of(tmp_path / "credentials", devpi.username, devpi.password)
        async with proxy_before(devpi) as proxy:
            proxy.faults.append(html_only)
            report = await publish(given(made, proxy.index, credentials))
        assert report.outcome is Outcome.DONE

    async def test_a_digest_that_the_index_does_not_show_is_taken_from_the_bytes(
        self, made: Made, index: Index, credentials: Path, tmp_path: Path
    ) -> None:
        async def without_digests(request: web.Request) -> web.StreamResponse | None:
            await asyncio.sleep(0)
            if not request.path.endswith(f"/simple/{made.project}/") or not index.files(made.project):
                return None
            base = index.simple_url.removesuffix("simple/")
            links = "".join(f'<a href="{base}packages/{name}">{name}</a>' for name in made.sha256)
            return web.Response(text=f"<html>{links}</html>", content_type="text/html")

        async with proxy_before(index) as proxy:
            proxy.faults.append(without_digests)
            await publish(given(made, proxy.index, credentials))
            again = await publish(given(made, proxy.index, credentials))
            assert again.facts["alreadyThere"] is True
            other = make_release(tmp_path / "other", made.project, salt="other")
            refusal = await self.refusal(given(other, proxy.index, credentials))
        assert refusal.reason == "OtherBytes"


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
