"""What a workspace says about itself."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import httpx
from live_workspace import CARD, Workspace


def content_sha256(folder: Path) -> str:
    """Compute the digest as `/runtime` promises it, by other means than the runtime's."""
    lines = []
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder.parent).as_posix()):
        if path.is_file() and not path.name.endswith(".pyc"):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f"{digest} {path.relative_to(folder.parent).as_posix()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_runtime_has_exactly_the_documented_fields(served: Workspace) -> None:
    response = served.get("/runtime")
    status = response.json()
    assert list(status) == [
        "package",
        "version",
        "contentSha256",
        "commit",
        "adapter",
        "state",
        "activeTasks",
        "queuedTasks",
        "oldestTaskSeconds",
        "startedAt",
        "drainSignal",
    ]
    assert status["package"] == "molecule-ai-workspace-runtime"
    assert list(status["adapter"]) == ["module", "name", "contentSha256"]
    assert status["adapter"]["name"] == "echo"
    assert status["adapter"]["module"] == served.environ["ADAPTER_MODULE"]
    assert status["state"] == "serving"
    started = datetime.fromisoformat(status["startedAt"])
    assert timedelta() < datetime.now(UTC) - started < timedelta(minutes=5)
    assert response.headers["cache-control"] == "no-store"


def test_the_content_digest_is_that_of_the_files_on_disk(
    load: Callable[[str], ModuleType],
    package_folder: Path,
    served: Workspace,
    installed: bool,
    tmp_path: Path,
) -> None:
    folder = package_folder
    if not installed:  # the source tree's tools keep their caches in it, and write them while these tests run
        unwritten = shutil.ignore_patterns(".*", "__pycache__")
        folder = shutil.copytree(package_folder, tmp_path / package_folder.name, ignore=unwritten)
    digest = load("identity").folder_sha256(folder)
    assert digest == content_sha256(folder)
    if installed:
        assert served.status()["contentSha256"] == digest


def test_the_content_digest_follows_names_and_bytes_but_not_byte_code(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    package = tmp_path / "package"
    (package / "deep" / "__pycache__").mkdir(parents=True)
    (package / "a.py").write_bytes(b"a = 1\r\n")
    (package / "deep" / "data.bin").write_bytes(b"\x00\xff")
    before = load("identity").folder_sha256(package)
    assert before == content_sha256(package)

    (package / "deep" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"code")
    assert load("identity").folder_sha256(package) == before
    (package / "a.py").rename(package / "b.py")
    assert load("identity").folder_sha256(package) != before


def test_version_and_commit_come_from_the_installed_distribution(served: Workspace, installed: bool) -> None:
    status = served.status()
    if installed:
        assert status["version"] != "0+source"
        assert status["version"][0].isdigit()
    else:
        assert (status["version"], status["commit"]) == ("0+source", None)


def test_the_card_offers_both_protocol_versions_at_the_url_of_the_caller(served: Workspace) -> None:
    port = served.environ["PORT"]
    card = served.get(CARD).json()
    assert [(face["protocolVersion"], face["url"]) for face in card["supportedInterfaces"]] == [
        ("1.0", f"http://127.0.0.1:{port}/"),
        ("0.3", f"http://127.0.0.1:{port}/"),
    ]
    assert card["url"] == f"http://127.0.0.1:{port}/"
    assert card["name"] == "tester"
    assert card["skills"] == [
        {"id": "greeting", "name": "Greeting", "description": "Says hello", "tags": ["social"]}
    ]


def test_answers_on_a_kept_connection_are_not_held_back(served: Workspace) -> None:
    seconds = []
    with httpx.Client() as client:
        for _ in range(20):
            begun = time.monotonic()
            client.get(f"{served.url}/runtime")
            seconds.append(time.monotonic() - begun)
    # The kernel sends the first answers of a connection at once in any case.
    assert min(seconds[5:]) < 0.02


def test_ctl_status_prints_the_same_document_as_http(served: Workspace) -> None:

    assert json.loads(served.ctl("status").stdout) == served.status()
