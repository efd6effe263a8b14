"""Memory that others share and work that is given to peers, with a stand-in for the platform and real peers."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from live_workspace import Launcher, Workspace
from mcp import Client

TOKEN = "token-of-asker"  # noqa: S105 - a token of this test


class Platform:
    """Knows peers and keeps memories; refuses whoever does not show the token of the asking workspace."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.memories: list[dict[str, str]] = []
        platform = self

        class Receiver(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(*platform.get(urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.reply(*platform.post(self.path, body))

            def reply(self, status: int, answer: object) -> None:
                opened = (
                    self.path == "/registry/register" or self.headers["Authorization"] == f"Bearer {TOKEN}"
                )
                content = json.dumps(answer if opened else {"error": "unauthorized"}).encode()
                self.send_response(status if opened else 401)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def get(self, path: str, query: dict[str, list[str]]) -> tuple[int, object]:
        match path.strip("/").split("/"):
            case ["registry", "discover", peer] if peer in self.addresses:
                return 200, {"id": peer, "url": self.addresses[peer]}
            case ["registry", "asker", "peers"]:
                return 200, [{"id": peer, "name": "Echo", "role": "helper"} for peer in self.addresses]
            case ["workspaces", "asker", "memories"]:
                wanted = query.get("q", [""])[0]
                found = [item for item in self.memories if item["scope"] == query["scope"][0]]
                return 200, [item for item in found if wanted in item["content"]]
        return 404, {"error": "not found"}

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, object]:
        match path:
            case "/registry/register":
                return 200, {"auth_token": TOKEN}
            case "/workspaces/asker/memories":
                self.memories.append(body)
                return 201, {"id": str(len(self.memories))}
        return 200, {}


@pytest.fixture
def platform() -> Iterator[Platform]:
    platform = Platform()
    yield platform
    platform.server.shutdown()
    platform.server.server_close()


def asker(launch: Launcher, platform: Platform) -> Workspace:
    workspace = launch(folder=launch.root / "asker", PLATFORM_URL=platform.url, WORKSPACE_ID="asker")
    workspace.until((workspace.folder / "configs" / ".auth_token").exists)
    return workspace


async def use(workspace: Workspace, tool: str, **arguments: str) -> str:
    async with Client(f"{workspace.url}/mcp") as tools:
        result = await tools.call_tool(tool, arguments)
    return "".join(getattr(block, "text", "") for block in result.content)


async def test_memory_and_work_are_shared_with_whom_they_should_be(
    launch: Launcher, platform: Platform
) -> None:
    peer, workspace = launch(), asker(launch, platform)
    platform.addresses["echo-1"] = peer.url
    assert await use(workspace, "list_peers") == "echo-1 · Echo · helper"
    assert await use(workspace, "delegate_task", workspace_id="echo-1", task="dig") == "echo: dig"
    for scope in ("LOCAL", "team", "GLOBAL"):
        said = await use(workspace, "commit_memory", content=f"the {scope} sky is blue", scope=scope)
        assert "Remembered" in said
    assert [item["scope"] for item in platform.memories] == ["TEAM", "GLOBAL"]
    assert await use(workspace, "search_memory", query="sky", scope="TEAM") == "the team sky is blue"
    assert "the LOCAL sky is blue" in await use(workspace, "search_memory", query="SKY", scope="LOCAL")
    assert (
        await use(workspace, "search_memory", query="sea", scope="GLOBAL")
        == "Nothing is remembered about that"
    )
    assert "there is no scope 'ALL'; use LOCAL" in await use(
        workspace, "search_memory", query="", scope="ALL"
    )
    await use(workspace, "commit_memory", content="key sk-abcdefghijklmnopqrstu", scope="TEAM")
    assert platform.memories[-1]["content"] == "key [secret]"
    unknown = await use(workspace, "delegate_task", workspace_id="nobody", task="dig")
    assert "HTTP Error 404" in unknown


def test_what_a_peer_answers_survives_restarts_of_both(
    launch: Launcher, platform: Platform, load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    def delegations() -> Any:
        """What a process that has just started knows."""
        token = load("platform_auth").PlatformToken(tmp_path)
        own = load("platform_client").Registration(workspace_id="asker", url="http://asker:8000")
        client = load("platform_client").PlatformClient(platform.url, own, token)
        return load("builtin_tools.delegation").Delegations(tmp_path, client, str)

    peer = launch()
    platform.addresses["echo-1"] = peer.url
    long = delegations().begin("echo-1", "sleep 600: never").split()[1]
    assert "is not finished" in delegations().check(long)
    short = delegations().begin("echo-1", "sleep 0.3: dug").split()[1]
    peer.until(lambda: peer.status()["activeTasks"] == 1)
    peer.stop(signal.SIGKILL)
    moved = launch(folder=peer.folder)
    platform.addresses["echo-1"] = moved.url

    assert delegations().check(short) == "echo: dug"
    assert delegations().check(long).startswith("failed: The workspace stopped while this task was open")
    moved.stop()
    assert delegations().check(short) == "echo: dug"
    with pytest.raises(ValueError, match=r"there is no delegation 'x'; there are \w+"):
        delegations().check("x")
    del platform.addresses["echo-1"]
    with pytest.raises(OSError, match="404"):
        delegations().begin("echo-1", "dig")


async def test_without_a_platform_the_agent_is_told_what_is_missing(served: Workspace) -> None:
    assert "PLATFORM_URL or WORKSPACE_ID is not set" in await use(served, "list_peers")
    said = await use(served, "commit_memory", content="a", scope="TEAM")
    assert "scope TEAM needs the platform" in said
