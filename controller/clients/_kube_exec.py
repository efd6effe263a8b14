"""Runs a command in a container of a pod, over a WebSocket of the API server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.stream import WsApiClient

from controller.clients.executed import ExecResult
from controller.model.errors import Transient

_HEARTBEAT_SECONDS: Final = 10.0
_OUTPUT_LIMIT_BYTES: Final = 1024 * 1024
_STDOUT, _STDERR, _OUTCOME = 1, 2, 3
"""Channels of `v4.channel.k8s.io`; the last one tells how the command ended."""
_NOT_STARTED: Final = 126


async def execute(
    configuration: Configuration, path: str, container: str, command: Sequence[str], *, doing: str
) -> ExecResult:
    """Run `command` and return how it ended; `path` is that of the pod's subresource ``exec``.

    Raises:
        Transient: the connection ended before the command did.
    """
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query += [("command", each) for each in command]
    output = {_STDOUT: bytearray(), _STDERR: bytearray(), _OUTCOME: bytearray()}
    async with WsApiClient(configuration, heartbeat=_HEARTBEAT_SECONDS) as client:  # type: ignore[no-untyped-call]  # the library types its models and not its connection
        method, url, headers, _, _ = await client.param_serialize(
            "GET", path, query_params=query, auth_settings=["BearerToken"]
        )
        answer = await client.call_api(method, url, headers, _preload_content=False)
        async with answer.response as socket:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                    continue
                channel = output.get(message.data[0])
                if channel is not None and len(channel) < _OUTPUT_LIMIT_BYTES:
                    channel += message.data[1:]
    if not output[_OUTCOME]:
        raise Transient(f"Could not {doing}: the connection ended before the command did")
    code = _exit_code(output[_OUTCOME])
    return ExecResult(code, bytes(output[_STDOUT] + (output[_STDERR] if code else b"")))


def _exit_code(outcome: bytes | bytearray) -> int:
    """Return the exit code in a Status object; 126 when the command could not be started."""
    status = json.loads(outcome)
    if status.get("status") == "Success":
        return 0
    with suppress(KeyError, IndexError, ValueError, TypeError):
        return int(status["details"]["causes"][0]["message"])
    return _NOT_STARTED
