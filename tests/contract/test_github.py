"""The client of the GitHub API: what it asks for, in which pages, and what it makes of each refusal."""

import time
from collections.abc import Iterator, Mapping

import pytest

from controller.clients.github import GitHub
from controller.model.errors import Problem, Terminal, Transient
from controller.model.release import Change, PullRequest
from tests.parts.github_api import GitHubApi, running_github_api

ONE, TWO = Change("1" * 40, "One"), Change("2" * 40, "Two")


@pytest.fixture
def api() -> Iterator[GitHubApi]:
    with running_github_api() as running:
        yield running


async def pull_requests(api: GitHubApi, *changes: Change, token: str | None = None) -> tuple[Change, ...]:
    async with GitHub(api.url, "team/runtime", token=token) as github:
        return await github.with_pull_requests(changes)


async def refused(api: GitHubApi, token: str | None = None) -> Problem:
    with pytest.raises(Problem) as caught:
        await pull_requests(api, ONE, token=token)
    return caught.value


async def test_changes_get_their_merged_pull_requests_in_order(api: GitHubApi) -> None:
    api.token = "t" * 20
    api.merged(ONE.commit, "release:minor", "bug", title="First", number=3)
    api.merged(TWO.commit, number=4)
    api.pull_requests[TWO.commit].append(
        {"number": 5, "title": "Open still", "merged_at": None, "labels": [{"name": "release:major"}]}
    )
    one, two = await pull_requests(api, ONE, TWO, token=api.token)
    assert one.pull_requests == (PullRequest(3, "First", ("release:minor", "bug")),)
    assert two.pull_requests == (PullRequest(4, "A title", ()),)


async def test_every_page_is_read(api: GitHubApi) -> None:
    api.page_size = 2
    for number in range(5):
        api.merged(ONE.commit, f"label-{number}", number=number)
    (one,) = await pull_requests(api, ONE)
    assert one.labels == tuple(f"label-{number}" for number in range(5))
    assert api.seen == [
        f"/repos/team/runtime/commits/{ONE.commit}/pulls?per_page=100{more}"
        for more in ("", "&page=2", "&page=3")
    ]


async def test_a_next_page_elsewhere_does_not_get_the_token(api: GitHubApi) -> None:
    with running_github_api() as other:
        api.refusal = (200, {"Link": f'<{other.url}/page2>; rel="next"'}, "[]")
        problem = await refused(api, "t" * 20)
        assert str(problem) == (
            f"{api.url}/repos/team/runtime/commits/{ONE.commit}/pulls goes on at {other.url}. Check GITHUB_API_URL."
        )
        assert other.seen == []


@pytest.mark.parametrize(
    ("answer", "token", "kind", "words"),
    [
        ((401, {}, "{}"), "t", Terminal, "GitHub does not know the token (401, {url}). Give a valid one."),
        ((403, {}, "{}"), "t", Terminal, "The token may not read pull requests of team/runtime (403). Grant it `pull-requests: read` and `contents: read`."),
        ((404, {}, "{}"), "t", Terminal, "GitHub has no repository team/runtime that this token may see (404). Check the name, and that the token reads it; or give the labels with --label."),
        ((404, {}, "{}"), None, Terminal, "GitHub has no repository team/runtime that is public (404). Check the name, and that the token reads it; or give the labels with --label."),
        ((422, {}, "{}"), "t", Terminal, "team/runtime has no commit 1111111 (422). Push it first, or give the labels with --label."),
        ((301, {"Location": "/elsewhere"}, "{}"), "t", Terminal, "{url} answered 301. Check GITHUB_API_URL and the repository."),
        ((429, {"Retry-After": "17"}, "{}"), "t", Transient, "GitHub limits the requests for now (429); try again in 17 s."),
        ((403, {"Retry-After": "17"}, "{}"), None, Transient, "GitHub limits the requests for now (403); try again in 17 s, or give a token: GITHUB_TOKEN."),
        ((429, {}, "{}"), "t", Transient, "GitHub limits the requests for now (429); try again in 60 s."),
        ((502, {}, "{}"), "t", Transient, "{url} answered 502."),
    ],
)  # fmt: skip
async def test_each_refusal_is_told_in_our_words(
    api: GitHubApi, answer: tuple[int, Mapping[str, str], str], token: str | None, kind: type, words: str
) -> None:
    api.refusal = answer
    with pytest.raises(kind) as caught:
        await pull_requests(api, ONE, token=token)
    url = f"{api.url}/repos/team/runtime/commits/{ONE.commit}/pulls"
    assert str(caught.value) == words.format(url=url)


async def test_a_used_up_limit_says_when_it_begins_anew(api: GitHubApi) -> None:
    reset = str(int(time.time()) + 600)
    api.refusal = (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}, "{}")
    problem = await refused(api)
    assert isinstance(problem, Transient)
    assert problem.retry_after is not None
    assert 590 < problem.retry_after <= 600


@pytest.mark.parametrize(
    ("headers", "body"),
    [({"Content-Type": "text/html"}, "<html>"), ({}, "[{]"), ({}, '{"a": 1}'), ({}, '[{"number": 1}]')],
)
async def test_an_answer_of_another_kind_is_refused(
    api: GitHubApi, headers: Mapping[str, str], body: str
) -> None:
    api.refusal = (200, headers, body)
    problem = await refused(api)
    assert isinstance(problem, Terminal)
    assert problem.message.endswith("/pulls answered with something that is no list of pull requests.")


async def test_a_github_that_is_not_there_is_tried_again_later() -> None:
    gone = GitHubApi(url="http://127.0.0.1:1")
    problem = await refused(gone)
    assert isinstance(problem, Transient)
    assert str(problem).startswith("http://127.0.0.1:1/repos/team/runtime/commits/")


async def test_one_refusal_of_many_is_the_refusal(api: GitHubApi) -> None:
    api.refusal = (502, {}, "")
    with pytest.raises(Transient, match=r"/pulls answered 502\.$"):
        await pull_requests(api, ONE, TWO)


PAYLOAD = {"runtime_version": "0.1.1", "wheel_sha256": "a" * 64, "correlation_id": "0123456789abcdef"}


async def told(api: GitHubApi, *, token: str | None = "t" * 20) -> None:
    async with GitHub(api.url, "team/runtime", token=token) as github:
        await github.dispatch("runtime-published", PAYLOAD)


async def test_a_repository_is_told_with_event_and_payload(api: GitHubApi) -> None:
    api.token = "t" * 20
    await told(api)
    assert api.seen == ["/repos/team/runtime/dispatches"]
    assert api.dispatched == [{"event_type": "runtime-published", "client_payload": PAYLOAD}]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((401, {}, "{}"), Terminal, "GitHub does not know the token (401, {url}). Give a valid one."),
        ((403, {}, "{}"), Terminal, "The token may not dispatch to team/runtime (403). Grant it `contents: write` there."),
        ((404, {}, "{}"), Terminal, "GitHub has no repository team/runtime that this token may see (404). Check build.dispatch.repository, and that the token has access to it."),
        ((422, {}, "{}"), Terminal, "{url} answered 422. Check GITHUB_API_URL and build.dispatch.repository."),
        ((307, {"Location": "/elsewhere"}, "{}"), Terminal, "{url} answered 307. Check GITHUB_API_URL and build.dispatch.repository."),
        ((200, {}, "{}"), Terminal, "{url} answered 200. Check GITHUB_API_URL and build.dispatch.repository."),
        ((403, {"Retry-After": "17"}, "{}"), Transient, "GitHub limits the requests for now (403); try again in 17 s."),
        ((503, {}, "{}"), Transient, "{url} answered 503."),
    ],
)  # fmt: skip
async def test_each_refusal_of_a_dispatch_is_told_in_our_words(
    api: GitHubApi, answer: tuple[int, Mapping[str, str], str], kind: type, words: str
) -> None:
    api.refusal = answer
    with pytest.raises(kind) as caught:
        await told(api)
    assert str(caught.value) == words.format(url=f"{api.url}/repos/team/runtime/dispatches")
    if isinstance(caught.value, Terminal):
        assert caught.value.reason == "DispatchRefused"


async def test_a_wrong_token_tells_nobody(api: GitHubApi) -> None:
    api.token = "t" * 20
    with pytest.raises(Terminal, match="does not know the token"):
        await told(api, token="u" * 20)
    assert api.dispatched == []
