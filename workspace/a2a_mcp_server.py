"""Offer the built-in tools over MCP, so that agents that are programs of their own can use them, too.

Over stdio for the program that starts us (`molecule-runtime mcp`), and over HTTP at `/mcp` for programs in the same
container: there is no token for it, so it answers nobody who comes from elsewhere.
"""

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from builtin_tools import Tool

logger = logging.getLogger(__name__)


def make_server(tools: Sequence[Tool], *, version: str) -> Server[Any]:
    """Make an MCP server of tools; `version` is the runtime's."""
    by_name = {tool.name: tool for tool in tools}
    listed = [
        types.Tool(name=tool.name, description=tool.description, input_schema=tool.schema()) for tool in tools
    ]

    async def list_tools(_context: object, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(_context: object, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = by_name.get(params.name)
        if tool is None:
            return _result(f"There is no tool {params.name!r}; there are {', '.join(by_name)}", failed=True)
        return await _run(tool, params.arguments or {})

    return Server("molecule-runtime", version=version, on_list_tools=list_tools, on_call_tool=call_tool)


async def serve_stdio(tools: Sequence[Tool], *, version: str) -> None:
    """Serve whoever started this process, until it closes our input."""
    server = make_server(tools, version=version)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


async def _run(tool: Tool, arguments: Mapping[str, Any]) -> types.CallToolResult:
    """Run a tool; what is wrong is told to the model, which may do better the next time."""
    if (problem := tool.problem(arguments)) is not None:
        return _result(problem, failed=True)
    try:
        return _result(await asyncio.to_thread(tool.run, **arguments))
    except Exception as error:
        logger.exception("Telling the agent that tool %s failed", tool.name)
        return _result(f"{tool.name} failed: {type(error).__name__}: {error}", failed=True)


def _result(text: str, *, failed: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=failed)


def main() -> int:
    """Serve the tools of this workspace over stdio: `molecule-runtime mcp`."""
    import os  # noqa: PLC0415 - beside its only use

    from builtin_tools import builtin_tools  # noqa: PLC0415 - as above
    from builtin_tools.security import Scrubber  # noqa: PLC0415 - as above
    from identity import read_identity  # noqa: PLC0415 - as above
    from platform_client import connect  # noqa: PLC0415 - as above
    from preflight import StartError, read_settings  # noqa: PLC0415 - as above

    try:
        settings = read_settings(os.environ)
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    environment = settings.environment
    platform = connect(environment, settings.config, environment.port or settings.config.a2a.port)
    tools = builtin_tools(environment.config_folder, platform=platform, scrub=Scrubber().scrub)
    asyncio.run(serve_stdio(tools, version=read_identity().version))
    return 0
