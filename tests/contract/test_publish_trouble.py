"""Publication to an index in trouble: what is behind is healthy, and what is answered in its place is not."""

import asyncio
import secrets
from pathlib import Path

import pytest
from aiohttp import web

from builder.contract import Outcome, PublishRun
from builder.problems import Refused, TryAgain
from builder.verbs.publish import publish
from tests.contract.publishing import (
    Fault,
    Made,
    credentials_of,
    given,
    make_release,
    on_page,
    on_upload,
    proxy_before,
)
from tests.parts.index import Index


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_release(tmp_path / "dist", f"wsr-trouble-{secrets.token_hex(4)}")


@pytest.fixture
def credentials(tmp_path: Path, index: Index) -> Path:
    return credentials_of(tmp_path / "credentials", index.username, index.password)


@pytest.fixture
def index(pypiserver: Index) -> Index:
    return pypiserver


async def refused(run: PublishRun) -> Refused:
    with pytest.raises(Refused) as caught:
        await publish(run)
    return caught.value


async def put_off(run: PublishRun) -> TryAgain:
    with pytest.raises(TryAgain) as caught:
        await publish(run)
    return caught.value


@pytest.mark.parametrize("status", [429, 503])
async def test_an_upload_is_tried_again_when_the_index_says(
    made: Made, index: Index, credentials: Path, status: int
) -> None:
    async with proxy_before(index) as proxy:
        proxy.faults.append(
            on_upload(lambda: web.Response(status=status, headers={"Retry-After": "17"}, text="busy"))
        )
        problem = await put_off(given(made, proxy.index, credentials))
    assert (problem.reason, problem.retry_after) == ("IndexUnavailable", 17.0)
    assert (
        problem.message
        == f"{proxy.index.upload_url} answered {status} (busy) to the upload of {made.wheel.name}."
    )
    assert proxy.uploads == 1


async def test_an_error_page_is_told_without_its_markup(made: Made, index: Index, credentials: Path) -> None:
    page = "<html><head><title>t</title><style>b{}</style></head><body><h1>No &amp; never</h1></body></html>"
    async with proxy_before(index) as proxy:
        proxy.faults.append(on_upload(lambda: web.Response(status=422, text=page, content_type="text/html")))
        refusal = await refused(given(made, proxy.index, credentials))
    assert refusal.reason == "UploadRefused"
    assert refusal.message == (
        f"{proxy.index.upload_url} answered 422 (No & never) to the upload of {made.wheel.name}. "
        "Check the upload URL and the package."
    )


async def test_an_upload_is_not_sent_on_to_where_a_redirect_points(
    made: Made, index: Index, credentials: Path
) -> None:
    async with proxy_before(index) as proxy:
        proxy.faults.append(
            on_upload(lambda: web.Response(status=308, headers={"Location": "http://elsewhere.example/"}))
        )
        refusal = await refused(given(made, proxy.index, credentials))
    assert refusal.reason == "UploadRedirected"
    assert (
        "It points to http://elsewhere.example/. Name the final address as the upload URL." in refusal.message
    )


async def test_a_name_that_the_index_has_and_never_shows_is_waited_for_until_the_deadline(
    made: Made, index: Index, credentials: Path
) -> None:
    async with proxy_before(index) as proxy:
        proxy.faults += [
            on_upload(lambda: web.Response(status=409)),
            on_page(lambda: web.Response(status=404)),
        ]
        problem = await put_off(given(made, proxy.index, credentials, deadline=0.5))
    assert problem.reason == "IndexNotVisible"
    assert problem.message == (
        f"After 0.5 s the index does not serve all of {made.project} 0.1.0: {made.wheel.name} not listed yet. "
        "Run again to go on waiting."
    )


async def test_bytes_that_differ_from_what_is_listed_are_not_taken_for_published(
    made: Made, index: Index, credentials: Path
) -> None:
    async def spoil(request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(0)
        return web.Response(body=b"cut") if request.path.endswith(made.wheel.name) else None

    async with proxy_before(index) as proxy:
        proxy.faults.append(spoil)
        problem = await put_off(given(made, proxy.index, credentials, deadline=0.5))
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
    made: Made, index: Index, fault: Fault, reason: str, text: str
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


async def test_an_answer_that_breaks_off_is_tried_again(made: Made, index: Index, credentials: Path) -> None:
    async def cut(request: web.Request) -> web.StreamResponse | None:
        answer = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "text/html"})
        await answer.prepare(request)
        await answer.write(b"<html>")
        assert request.transport
        request.transport.close()
        return answer

    async with proxy_before(index) as proxy:
        proxy.faults.append(cut)
        problem = await put_off(given(made, proxy.index, credentials))
    assert problem.reason == "IndexUnavailable"


async def test_an_index_that_is_down_is_tried_again(made: Made, index: Index, credentials: Path) -> None:
    async with proxy_before(index) as proxy:
        pass
    problem = await put_off(given(made, proxy.index, credentials))
    assert problem.reason == "IndexUnavailable"
    assert problem.message == (
        f"{proxy.index.simple_url}{made.project}/ cannot be reached: Connection refused."
    )


async def test_html_is_taken_from_an_index_that_has_no_json(made: Made, devpi: Index, tmp_path: Path) -> None:
    async def html_only(request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(0)
        return web.Response(status=406) if "json" in request.headers.get("Accept", "") else None

    credentials = credentials_of(tmp_path / "credentials", devpi.username, devpi.password)
    async with proxy_before(devpi) as proxy:
        proxy.faults.append(html_only)
        report = await publish(given(made, proxy.index, credentials))
    assert report.outcome is Outcome.DONE


async def test_a_digest_that_the_index_does_not_show_is_taken_from_the_bytes(
    made: Made, index: Index, credentials: Path, tmp_path: Path
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
        refusal = await refused(given(other, proxy.index, credentials))
    assert refusal.reason == "OtherBytes"
