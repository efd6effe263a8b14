"""The built-in tools over MCP, with the official client, over stdio and HTTP."""

import json
from typing import Any

import pytest
from live_workspace import HTTP, Launcher, Workspace, command
from mcp import Client, StdioServerParameters

MCP_HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def client(workspace: Workspace, way: str) -> Client:
    if way == "http":
        return Client(f"{workspace.url}/mcp")
    return Client(stdio(workspace.environ))


def stdio(environ: dict[str, str]) -> StdioServerParameters:
    program, *arguments = [*command(), "mcp"]
    return StdioServerParameters(command=program, args=arguments, env=environ)


def said(result: Any) -> str:
    return "".join(block.text for block in result.content)


@pytest.mark.parametrize("way", ["stdio", "http"])
async def test_an_mcp_client_lists_and_calls_the_tools(served: Workspace, way: str) -> None:
    async with client(served, way) as tools:
        listed = {tool.name: tool for tool in (await tools.list_tools()).tools}
        assert {"remember", "recall"} <= set(listed)
        assert listed["remember"].input_schema["required"] == ["text"]
        assert listed["remember"].description

        kept = await tools.call_tool("remember", {"text": f"the {way} is open"})
        assert not kept.is_error
        assert f"the {way} is open" in said(await tools.call_tool("recall", {}))
    assert f"the {way} is open" in (served.folder / "configs" / "memory.jsonl").read_text()


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("fly", {}, "There is no tool 'fly'; there are remember"),
        ("remember", {}, "remember needs text"),
        ("remember", {"text": 7}, "text of remember must be a text"),
        ("remember", {"text": "a", "mood": "good"}, "remember takes no mood"),
    ],
)
async def test_a_call_that_cannot_work_tells_the_model_why(
    served: Workspace, name: str, arguments: dict[str, Any], says: str
) -> None:
    async with client(served, "http") as tools:
        result = await tools.call_tool(name, arguments)
    assert result.is_error
    assert says in said(result)


async def test_a_tool_that_fails_is_told_and_the_next_call_works(launch: Launcher) -> None:
    environ = launch.environ(launch.root / "w")
    memory = launch.root / "w" / "configs" / "memory.jsonl"
    memory.mkdir()
    async with Client(stdio(environ)) as tools:
        result = await tools.call_tool("recall", {})
        assert result.is_error
        assert "IsADirectoryError" in said(result)
        memory.rmdir()
        assert said(await tools.call_tool("recall", {})) == "Nothing is remembered yet"


def test_mcp_is_for_programs_in_the_container_only(served: Workspace) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}})
    outside = {**MCP_HEADERS, "X-Forwarded-For": "203.0.113.7"}
    refused = HTTP.post(f"{served.url}/mcp", content=body, headers=outside)
    assert refused.status_code == 403
    assert "molecule-runtime mcp" in refused.json()["error"]
    rebound = HTTP.post(f"{served.url}/mcp", content=body, headers={**MCP_HEADERS, "Host": "evil.example"})
    assert rebound.status_code in {403, 421}


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"jsonrpc": "2.0"}', '{"jsonrpc": "2.0", "id": 1, "method": 7}']
)
def test_what_is_no_mcp_is_refused_and_the_workspace_goes_on(served: Workspace, body: str) -> None:
    answer = HTTP.post(f"{served.url}/mcp", content=body, headers=MCP_HEADERS)
    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text
    assert served.status()["state"] == "serving"


def test_a_message_that_is_too_large_is_refused(served: Workspace) -> None:
    answer = HTTP.post(f"{served.url}/mcp", content=b" " * 100_000, headers=MCP_HEADERS)
    assert answer.status_code == 413
