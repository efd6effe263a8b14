"""Memory that others share and work that is given to peers, with a stand-in for the platform and real peers."""

import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
    workspace = asker(launch, platform)
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


async def test_what_a_peer_answers_survives_restarts_of_both(launch: Launcher, platform: Platform) -> None:
    peer, workspace = launch(), asker(launch, platform)
    platform.addresses["echo-1"] = peer.url
    assert await use(workspace, "list_peers") == "echo-1 · Echo · helper"
    assert await use(workspace, "delegate_task", workspace_id="echo-1", task="dig") == "echo: dig"
    long = await use(workspace, "delegate_task_async", workspace_id="echo-1", task="sleep 600: never")
    assert "is not finished" in await use(workspace, "check_delegation", delegation_id=long.split()[1])
    begun = await use(workspace, "delegate_task_async", workspace_id="echo-1", task="sleep 0.3: dug")
    delegation = begun.split()[1]

    workspace.stop(signal.SIGKILL)
    peer.until(lambda: peer.status()["activeTasks"] == 1)
    peer.stop(signal.SIGKILL)
    moved = launch(folder=peer.folder)
    platform.addresses["echo-1"] = moved.url
    workspace = asker(launch, platform)

    assert await use(workspace, "check_delegation", delegation_id=delegation) == "echo: dug"
    moved.stop()
    assert await use(workspace, "check_delegation", delegation_id=delegation) == "echo: dug"
    assert "there is no delegation 'x'; there are " in await use(
        workspace, "check_delegation", delegation_id="x"
    )


async def test_without_a_platform_the_agent_is_told_what_is_missing(served: Workspace) -> None:
    assert "PLATFORM_URL or WORKSPACE_ID is not set" in await use(served, "list_peers")
    said = await use(served, "commit_memory", content="a", scope="TEAM")
    assert "scope TEAM needs the platform" in said
