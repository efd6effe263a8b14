"""`wsr run --listen` as callers meet it: a process of its own that a hook wakes, and that nobody else moves."""

import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.standalone.store import sole_runner
from tests.e2e.desk import Desk
from tests.e2e.wsr import Running
from tests.parts.index import Index

WORD = "a word that nobody guesses"


@pytest.fixture
def desk(engine: str, pypiserver: Index, docker_prefix: str, tmp_path: Path) -> Desk:
    made = Desk.lay_out(
        tmp_path, prefix=docker_prefix, engine=engine, index=pypiserver, base_image="not needed"
    )
    made.write_secret("hooks", token=WORD)
    with made.editing() as spec:
        # It looks once a minute and does nothing, and no container of another test wakes it.
        spec["suspend"] = True
        spec["targets"]["dockerHosts"][0]["endpoint"] = f"unix://{tmp_path}/nobody.sock"
    return made


@contextmanager
def listening(desk: Desk, at: str = "0") -> Iterator[tuple[Running, str]]:
    running = desk.start("run", "--listen", at)
    try:
        line = running.until(r"Listening for hooks at http://")
        yield running, "http://" + line.rpartition("http://")[2].strip()
    finally:
        running.interrupt()


def asked(url: str, body: bytes | None = None, word: str = WORD) -> tuple[int, str]:
    request = urllib.request.Request(url, data=body, headers={"Authorization": f"Bearer {word}"})  # noqa: S310 -- loopback
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 -- the same
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def health(url: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asked(f"{url}/readyz")[1])
    return found


def settled(url: str) -> None:
    """Wait until nothing but a hook would wake it: the first passes are behind it."""
    deadline = time.monotonic() + 30
    while (health(url)["lastPassSeconds"] or 0.0) < 2:
        assert time.monotonic() < deadline, "it does not come to rest"
        time.sleep(0.1)


def test_a_hook_wakes_a_run_at_once_and_nobody_else_does(desk: Desk) -> None:
    with listening(desk) as (_, url):
        settled(url)
        assert health(url)["ready"] is True
        assert asked(f"{url}/hooks/registry", b"{}", "another word, of some length")[0] == 403
        assert asked(f"{url}/hooks/registry", b"x" * ((1 << 20) + 1))[0] == 413
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(b"POST /hooks/registry HTTP/1.1\r\nHost: x\r\n")
            time.sleep(0.5)
            assert health(url)["lastPassSeconds"] >= 2
            assert asked(f"{url}/hooks/registry", b"{}") == (202, "The loop will look.\n")
        deadline = time.monotonic() + 2
        while health(url)["lastPassSeconds"] >= 2:
            assert time.monotonic() < deadline, "the hook woke nobody"
            time.sleep(0.05)


def test_a_run_that_cannot_see_what_its_next_step_needs_is_not_ready_and_names_it(desk: Desk) -> None:
    with desk.editing() as spec:
        spec["suspend"] = False
    with listening(desk) as (_, url):
        deadline = time.monotonic() + 30
        while "release records" not in health(url)["unreadable"]:
            assert time.monotonic() < deadline, health(url)
            time.sleep(0.1)
        status, text = asked(f"{url}/readyz")
    assert (status, json.loads(text)["ready"]) == (503, False)
    assert {"release records", "targets"} <= set(json.loads(text)["unreadable"])
    assert "nobody.sock" not in text


def test_a_secret_that_could_be_guessed_is_refused(desk: Desk) -> None:
    desk.write_secret("hooks", token="x" * 15)
    ended = desk.wsr("run", "--listen", "0")
    assert ended.code == 2
    assert ended.log == (
        "The shared secret for hooks has less than 16 characters, so it could be guessed.\n"
        "Make one with: openssl rand -hex 32"
    )


def test_whoever_listens_for_other_machines_is_told_that_it_is_plain_http(desk: Desk) -> None:
    with listening(desk, "0.0.0.0:0") as (running, _):
        running.until(
            "Hooks come in plain HTTP from other machines: the shared secret can be read on the way"
        )


def test_a_run_tells_its_metrics_and_that_nobody_may_refresh_without_a_token(desk: Desk) -> None:
    with listening(desk) as (_, url):
        settled(url)
        status, text = asked(f"{url}/metrics")
        name = f"default/{desk.name}"
        samples = {
            (sample.name, sample.labels.get("object", "")): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        refresh = f"{url}/admin/workspace-images/refresh"
        off = "The admin endpoint is off, since WSR_ADMIN_TOKEN is not set."
        assert asked(refresh, b"") == (403, f"{off}\n")
        ended = desk.wsr("refresh")
    assert (ended.code, ended.log.splitlines()[-2:]) == (
        1,
        [
            f"The wsr run that listens at {url} answered 403: {off}",
            "Set WSR_ADMIN_TOKEN to what that run was started with; name a runtime that its document lists.",
        ],
    )
    assert status == 200
    assert samples["wsr_pass_seconds_count", name] >= 1
    assert 0 < samples["wsr_pass_seconds_sum", name] < 30
    assert 1.9 <= samples["wsr_last_pass_age_seconds", name] < 60


def test_a_token_that_could_be_guessed_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSR_ADMIN_TOKEN", "x" * 15)
    ended = desk.wsr("run", "--listen", "0")
    assert (ended.code, ended.log.splitlines()[0]) == (
        2,
        "WSR_ADMIN_TOKEN has less than 16 characters, so it could be guessed.",
    )


def test_a_run_that_does_not_listen_cannot_be_asked_for_a_refresh(desk: Desk) -> None:
    with sole_runner(desk.status_file.parent):
        ended = desk.wsr("refresh")
    assert ended.code == 1
    assert ended.log == (
        f"Another wsr run (process {os.getpid()}) works on this object with state folder {desk.status_file.parent}. It does"
        " not listen, so it cannot be asked for a refresh.\n"
        "Start it with --listen PORT and WSR_ADMIN_TOKEN, or stop it and call again."
    )
