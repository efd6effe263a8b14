"""Every fault of an index, each once between a real index and the builder: the exact words, and nothing half-believed."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from builder.contract import Outcome, PublishRun, Report
from builder.problems import Refused, TryAgain
from builder.verbs.publish import publish
from tests.contract import publishing
from tests.contract.publishing import (
    Fault,
    Made,
    Proxy,
    credentials_of,
    make_release,
    on_page,
    on_upload,
    proxy_before,
)
from tests.parts.index import Index

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
given = partial(publishing.given, deadline=5.0)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_release(tmp_path / "dist", f"wsr-faults-{secrets.token_hex(4)}")


@pytest.fixture
def credentials(tmp_path: Path, pypiserver: Index) -> Path:
    return credentials_of(tmp_path / "credentials", pypiserver.username, pypiserver.password)


async def told(run: PublishRun) -> tuple[str, str, float | None]:
    """Reason and words of the failure, and when the index wants to be asked again."""
    with pytest.raises((Refused, TryAgain)) as caught:
        await publish(run)
    problem = caught.value
    assert isinstance(problem, Refused | TryAgain)
    return problem.reason, problem.message, getattr(problem, "retry_after", None)


def on_file(name: str, respond: Callable[[web.Request], web.StreamResponse]) -> Fault:
    """Answer reads of one file with this instead."""

    async def fault(request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(0)
        wanted = request.method == "GET" and request.path.endswith(f"/{name}")
        return respond(request) if wanted else None

    return fault


async def cut_off(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": str(len(body) + 9), "Content-Type": content_type})
    await answer.prepare(request)
    await answer.write(body)
    assert request.transport is not None
    request.transport.close()
    return answer


@pytest.mark.parametrize(
    ("respond", "expected"),
    [
        (
            lambda: web.Response(status=401),
            (
                "CredentialsRejected",
                "{page} answered 401: the credentials are missing, wrong or not allowed to read.",
                None,
            ),
        ),
        (
            lambda: web.Response(status=429, headers={"Retry-After": "17"}),
            ("IndexUnavailable", "{page} answered 429.", 17.0),
        ),
        (lambda: web.Response(status=408), ("IndexUnavailable", "{page} answered 408.", None)),
        (
            lambda: web.Response(status=409),
            ("IndexRefused", "{page} answered 409 Conflict. Check the index URL.", None),
        ),
        (lambda: web.Response(status=500), ("IndexUnavailable", "{page} answered 500.", None)),
        (lambda: web.Response(status=502), ("IndexUnavailable", "{page} answered 502.", None)),
        (
            lambda: web.Response(text="<html><h1>Hello</h1></html>", content_type=JSON_PAGE),
            (
                "IndexRefused",
                (
                    "{page} answered with JSON that is no project page (PEP 691): Expecting value: line 1 column 1 "
                    "(char 0). Check the simple index URL."
                ),
                None,
            ),
        ),
        (
            lambda: web.Response(
                text='{"meta": {"api-version": "2.0"}, "files": []}', content_type=JSON_PAGE
            ),
            (
                "IndexRefused",
                "{page} speaks version 2.0 of the simple API; this tool reads version 1.",
                None,
            ),
        ),
    ],
    ids=["401", "429", "408", "409", "500", "502", "html as json", "version 2"],
)
async def test_a_page_in_trouble_is_told_and_nothing_is_uploaded(
    made: Made,
    pypiserver: Index,
    credentials: Path,
    respond: Callable[[], web.Response],
    expected: tuple[str, str, float | None],
) -> None:
    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(on_page(respond))
        page = f"{proxy.index.simple_url}{made.project}/"
        reason, text, retry_after = expected
        found = await told(given(made, proxy.index, credentials))
    assert found == (reason, text.format(page=page), retry_after)
    assert proxy.uploads == 0


async def test_a_truncated_page_is_told_and_nothing_is_uploaded(
    made: Made, pypiserver: Index, credentials: Path
) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        return await cut_off(request, b'{"meta":', JSON_PAGE)

    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(fault)
        page = f"{proxy.index.simple_url}{made.project}/"
        text = f"{page} broke off in the middle of its answer."
        assert await told(given(made, proxy.index, credentials)) == ("IndexUnavailable", text, None)
    assert proxy.uploads == 0


def silent(kind: str) -> Fault:
    """Take a request of this method and say nothing for longer than anybody waits here."""

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if request.method != kind:
            return None
        await request.read()
        await asyncio.sleep(2)
        return web.Response(status=500)

    return fault


async def test_a_page_that_does_not_come_is_told(
    made: Made, pypiserver: Index, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.index.client.SILENCE_SECONDS", 0.3)
    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(silent("GET"))
        page = f"{proxy.index.simple_url}{made.project}/"
        text = f"{page} cannot be reached: it does not answer in time."
        assert await told(given(made, proxy.index, credentials)) == ("IndexUnavailable", text, None)


async def test_an_upload_that_is_not_answered_is_told(
    made: Made, pypiserver: Index, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builder.stages._upload.SILENCE_SECONDS", 0.3)
    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(silent("POST"))
        text = f"{proxy.index.upload_url} cannot be reached to upload {made.wheel.name}: it does not answer in time."
        assert await told(given(made, proxy.index, credentials)) == ("IndexUnavailable", text, None)
    assert proxy.uploads == 1


REJECTED = (
    "CredentialsRejected",
    " The credentials are missing, wrong or not allowed to upload this project.",
)
REFUSED = ("UploadRefused", " Check the upload URL and the package.")
AGAIN = ("IndexUnavailable", "")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, REJECTED),
        (403, REJECTED),
        (400, REFUSED),
        (404, REFUSED),
        (413, REFUSED),
        (500, AGAIN),
        (504, AGAIN),
    ],
)
async def test_an_upload_that_is_not_taken_is_told_with_the_words_of_the_index(
    made: Made, pypiserver: Index, credentials: Path, status: int, expected: tuple[str, str]
) -> None:
    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(on_upload(lambda: web.Response(status=status, text="so it is")))
        where = f"{proxy.index.upload_url} answered {status} (so it is) to the upload of {made.wheel.name}."
        reason, cure = expected
        assert (await told(given(made, proxy.index, credentials)))[:2] == (reason, where + cure)
    assert proxy.uploads == 1
    assert pypiserver.files(made.project) == {}


async def waited_for(made: Made, proxy: Proxy, credentials: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """What is waited for in vain, after an upload that went well; the log says it too."""
    reason, text, _ = await told(given(made, proxy.index, credentials, deadline=0.6))
    assert reason == "IndexNotVisible"
    begin = f"After 0.6 s the index does not serve all of {made.project} 0.1.0: "
    end = ". Run again to go on waiting."
    assert text.startswith(begin)
    assert text.endswith(end)
    missing = text.removeprefix(begin).removesuffix(end)
    assert f"Waiting for the index: {missing}\n" in capfd.readouterr().err
    return missing


async def test_a_file_that_is_listed_and_not_there_yet_is_waited_for(
    made: Made, pypiserver: Index, credentials: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(on_file(made.sdist.name, lambda _: web.Response(status=404)))
        missing = await waited_for(made, proxy, credentials, capfd)
    assert missing.endswith(f"/packages/{made.sdist.name} is listed by the index and answers 404.")


async def test_a_file_that_breaks_off_is_waited_for(
    made: Made, pypiserver: Index, credentials: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        if not request.path.endswith(made.wheel.name):
            return None
        return await cut_off(request, made.wheel.read_bytes()[:40], "application/octet-stream")

    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(fault)
        missing = await waited_for(made, proxy, credentials, capfd)
    assert missing.endswith(f"/packages/{made.wheel.name} broke off in the middle of its answer.")


async def test_a_file_that_redirects_in_circles_is_refused(
    made: Made, pypiserver: Index, credentials: Path
) -> None:
    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(
            on_file(
                made.wheel.name, lambda request: web.Response(status=302, headers={"Location": request.path})
            )
        )
        reason, text, _ = await told(given(made, proxy.index, credentials))
    assert reason == "IndexRefused"
    assert text.endswith(
        f"/packages/{made.wheel.name} redirects more than 10 times, in a loop. Check the index URL."
    )


async def test_a_page_that_asks_for_patience_during_the_wait_gets_it(
    made: Made, pypiserver: Index, credentials: Path
) -> None:
    asked: list[float] = []

    async def busy_once(request: web.Request) -> web.StreamResponse | None:
        if request.method != "GET" or not proxy.uploads:
            return None
        asked.append(asyncio.get_running_loop().time())
        return web.Response(status=429, headers={"Retry-After": "1"}) if len(asked) == 1 else None

    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(busy_once)
        report = await publish(given(made, proxy.index, credentials))
    assert report.outcome is Outcome.DONE
    assert asked[1] - asked[0] >= 1


def page_of(made: Made, proxy: Proxy, pypiserver: Index, metadata: object, *, html: bool) -> Fault:
    """Show the project's files with core metadata of the wheel, as an index that offers it does."""
    base = proxy.index.simple_url.removesuffix("simple/") + "packages/"

    async def fault(request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(0)
        if "simple/" not in request.path or not pypiserver.files(made.project):
            return None
        shown = [
            {"filename": name, "url": base + name, "hashes": {"sha256": sha256}}
            | ({"core-metadata": metadata} if name.endswith(".whl") else {})
            for name, sha256 in made.sha256.items()
        ]
        if not html:
            return web.Response(
                text=json.dumps({"meta": {"api-version": "1.1"}, "files": shown}), content_type=JSON_PAGE
            )
        value = f"sha256={metadata['sha256']}" if isinstance(metadata, dict) else "true"
        links = [
            f'<a href="{file["url"]}#sha256={made.sha256[str(file["filename"])]}"'
            + (f' data-core-metadata="{value}">' if "core-metadata" in file else ">")
            for file in shown
        ]
        return web.Response(text=f"<html>{''.join(links)}</html>", content_type="text/html")

    return fault


METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: 0.1.0\nSummary: plain\n"


@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
@pytest.mark.parametrize("digest", [False, True], ids=["no digest", "digest"])
async def test_core_metadata_that_an_index_offers_is_read_and_compared(
    made: Made, pypiserver: Index, credentials: Path, *, digest: bool, html: bool
) -> None:
    content = METADATA.format(made.project).encode()
    offered: object = {"sha256": hashlib.sha256(content).hexdigest()} if digest else True
    async with proxy_before(pypiserver) as proxy:
        proxy.faults += [
            page_of(made, proxy, pypiserver, offered, html=html),
            on_file(f"{made.wheel.name}.metadata", lambda _: web.Response(body=content)),
        ]
        report: Report = await publish(given(made, proxy.index, credentials))
    assert report.outcome is Outcome.DONE
    assert ("GET", f"/packages/{made.wheel.name}.metadata") in proxy.seen


@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
async def test_core_metadata_of_something_else_is_not_taken_for_published(
    made: Made, pypiserver: Index, credentials: Path, capfd: pytest.CaptureFixture[str], *, html: bool
) -> None:
    async with proxy_before(pypiserver) as proxy:
        proxy.faults += [
            page_of(made, proxy, pypiserver, True, html=html),  # noqa: FBT003 -- what an index writes
            on_file(f"{made.wheel.name}.metadata", lambda _: web.Response(body=b"Name: other\n")),
        ]
        missing = await waited_for(made, proxy, credentials, capfd)
    assert missing == f"The metadata that the index serves for {made.wheel.name} is not that in the wheel."


async def test_core_metadata_that_is_not_there_yet_or_not_what_is_listed_is_waited_for(
    made: Made, pypiserver: Index, credentials: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"{made.wheel.name}.metadata"
    async with proxy_before(pypiserver) as proxy:
        proxy.faults.append(page_of(made, proxy, pypiserver, {"sha256": "a" * 64}, html=False))
        missing = await waited_for(made, proxy, credentials, capfd)
        assert missing.endswith(f"/packages/{name} is listed by the index and answers 404.")
        content = METADATA.format(made.project).encode()
        proxy.faults.append(on_file(name, lambda _: web.Response(body=content)))
        missing = await waited_for(made, proxy, credentials, capfd)
    found = hashlib.sha256(content).hexdigest()
    assert missing.startswith(f"{name} has sha256 {found}, but the index shows {'a' * 64} for it (")
