"""A refresh brings workspaces on an old image to the current one: by the loop that runs, or by one of its own."""

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.demo.client import Workspace
from tests.e2e.scene import Scene

SCRIPT = Path(__file__).parents[2] / "scripts" / "refresh-workspace-images.sh"

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
    nothing_left = {
        "pulled": ["plain", "polite"],
        "failed": [],
        "recreated": [],
        "busy": [],
        "skipped": [],
        "errors": {},
    }
    assert refresh() == (200, nothing_left)
    assert desk.facts("refresh") == nothing_left, "the one that runs was not asked"


def test_by_itself_it_replaces_idle_ones_alone_unless_told_otherwise_and_makes_nothing(
    rollout: Scene,
) -> None:
    desk, fleet = rollout.desk, rollout.fleet
    with desk.editing() as spec:
        spec["rollout"]["drain"]["timeoutSeconds"] = 2
    idle, busy, other = rollout.populate("0.1.0", "plain-1", "plain-2", "polite-1")
    working = threading.Thread(target=lambda: cut.append(_ends_well(busy, "work until /workspace/go: done")))
    cut: list[bool] = []
    working.start()
    deadline = time.monotonic() + 30
    while busy.runtime()["activeTasks"] != 1:
        assert time.monotonic() < deadline, "it got no work"
        time.sleep(0.05)
    unknown = desk.wsr("refresh", "--runtime", "rude")
    assert (unknown.code, unknown.log) == (
        2,
        f"{desk.document} lists no template 'rude'.\nIt lists: plain, polite.",
    )
    assert desk.facts("refresh", "--no-recreate")["pulled"] == ["plain", "polite"]
    assert set(fleet.versions().values()) == {"0.1.0"}

    ended = desk.wsr("refresh", "--runtime", "plain", "-o", "json")
    told, name = json.loads(ended.out), f"docker/local/{busy.name}"
    assert (ended.code, told["recreated"], told["busy"]) == (3, [f"docker/local/{idle.name}"], [name])
    assert told["errors"][name] == "work in progress did not end within 2 s"
    assert fleet.versions() == {idle.name: "0.1.1", busy.name: "0.1.0", other.name: "0.1.0"}

    options = desk.arguments("refresh", "--force")[1:]
    forced = subprocess.run([str(SCRIPT), *options], capture_output=True, text=True, check=False)
    assert forced.returncode == 0, forced.stderr
    rows = [line.split() for line in forced.stdout.splitlines()]
    assert rows == [
        ["RESULT", "NAME", "WHY"],
        ["pulled", "plain"],
        ["pulled", "polite"],
        ["recreated", name],
        ["recreated", f"docker/local/{other.name}"],
    ]
    working.join()
    assert cut == [False]
    rollout.assert_all_run("0.1.1")
    desk.bump("0.1.2")
    assert desk.facts("refresh")["pulled"] == ["plain", "polite"]
    assert rollout.published() == ["0.1.0", "0.1.1"]


def _ends_well(workspace: Workspace, text: str) -> bool:
    try:
        workspace.ask(text)
    except (OSError, RuntimeError):
        return False
    return True
