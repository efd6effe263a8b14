"""The Gemini API's `streamGenerateContent` for `ModelServer`, as the Gemini CLI asks for it.

Besides what every endpoint answers by rule, `run COMMAND` calls the shell tool with it, `heed …` says how long it is, and
`speak N` says N lines at once.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from hashlib import shake_256
from typing import Any

from molecule_runtime.adapter_testing.model import KEY, MODEL, Asked, Call, ModelServer

SHELL = "run_shell_command"


class GeminiAPI(ModelServer):
    """See the module; `remember` is done by a command."""

    variables = ("GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY")

    def call(self, verb: str, argument: str) -> Call:
        return Call(SHELL, {"command": argument if verb == "run" else f"echo {argument}"})

    def replies(self, asked: Asked) -> Iterator[str | Call]:
        last = asked.said[-1] if asked.said else ""
        if last.startswith("heed"):
            yield f"{len(last)} characters"
        elif last.startswith("speak"):
            yield lines(int(last.split()[1]))
        else:
            yield from super().replies(asked)

    def problem(self, path: str, headers: Message, body: Mapping[str, Any]) -> tuple[int, str] | None:
        if path != f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse":
            return 404, f"no {path}"
        if headers["x-goog-api-key"] != KEY:
            return 400, "API key not valid. Please pass a valid API key."
        gap = _gap(body["contents"])
        return (400, gap) if gap else None

    def read(self, body: Mapping[str, Any]) -> Asked:
        contents = body["contents"]
        parts = [part for each in contents for part in each["parts"]]
        said = [
            part["text"]
            for each in contents
            if each["role"] == "user"
            for part in each["parts"]
            if "text" in part
        ]
        return Asked(
            # Without what the CLI tells of its surroundings.
            said=[text.strip() for text in said if not text.startswith("<session_context>")],
            answers=[
                json.dumps(part["functionResponse"]["response"])
                for part in parts
                if "functionResponse" in part
            ],
            waiting="functionResponse" in contents[-1]["parts"][-1],
            tools=[tool["name"] for each in body.get("tools") or [] for tool in each["functionDeclarations"]],
        )

    def events(self, replies: Iterator[str | Call], body: Mapping[str, Any]) -> Iterator[bytes]:
        del body
        for reply in replies:
            called = isinstance(reply, Call)
            part = (
                {"functionCall": {"name": reply.name, "args": dict(reply.arguments)}}
                if called
                else {"text": reply}
            )
            yield _event({"content": {"role": "model", "parts": [part]}, "index": 0})
        yield _event({"content": {"role": "model", "parts": []}, "index": 0, "finishReason": "STOP"})

    def whole(self, replies: Iterator[str | Call], body: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError("the CLI asks for streams only")

    def error(self, status: int, message: str) -> dict[str, Any]:
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        return {
            "error": {"code": status, "message": message, "details": details if "API key" in message else []}
        }


def lines(count: int) -> str:
    """As many lines of a thousand characters, without what the CLI takes for a loop."""
    return "".join(f"{shake_256(str(number).encode()).hexdigest(500)}\n" for number in range(count))


def _event(candidate: Mapping[str, Any]) -> bytes:
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    chunk = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL}
    return f"data: {json.dumps(chunk)}\r\n\r\n".encode()


def _gap(contents: Sequence[Mapping[str, Any]]) -> str:
    """What the endpoint refuses: other answers of tools than there were calls, right behind them."""
    for index, content in enumerate(contents):
        called = [part for part in content["parts"] if "functionCall" in part]
        following = contents[index + 1]["parts"] if index + 1 < len(contents) else []
        answered = [part for part in following if "functionResponse" in part]
        if len(called) != len(answered):
            return f"{len(called)} calls and {len(answered)} answers"
    return ""
