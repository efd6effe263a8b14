"""Whoever knows the token has a workspace on an old image recreated, and hears when it was."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.e2e.scene import Scene

TOKEN = "a word that nobody guesses"  # noqa: S105 -- of this test
OTHER = "another word that nobody guesses"
"""That of the hooks."""


def test_a_refresh_recreates_what_runs_an_old_image_through_the_loop_that_runs(
    rollout: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSR_ADMIN_TOKEN", TOKEN)
    desk = rollout.desk
    desk.write_secret("hooks", token=OTHER)
    desk.bump("0.1.1")
    running = desk.start("run", "--listen", "0")
    url = "http://" + running.until(r"Listening for hooks at http://").rpartition("http://")[2].strip()

    def refresh(query: str = "", token: str = TOKEN) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(  # noqa: S310 -- loopback
            f"{url}/admin/workspace-images/refresh{query}",
            method="POST",
            headers={"Authorization": f"Bearer {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 -- the same
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, {}

    running.until("UpToDate")
    assert refresh(token=OTHER)[0] == 403
    workspace = rollout.fleet.add("plain-1", rollout.images["0.1.0"]["plain"])
    status, told = refresh("?runtime=plain")
    assert (status, told["pulled"], told["failed"], told["errors"]) == (200, ["plain"], [], {})
    assert told["recreated"] == [f"docker/local/{workspace.name}"]
    assert rollout.fleet.versions() == {workspace.name: "0.1.1"}
    assert refresh()[1] | {"errors": {}} == {
        "pulled": ["plain", "polite"],
        "failed": [],
        "recreated": [],
        "busy": [],
        "skipped": [],
        "errors": {},
    }
