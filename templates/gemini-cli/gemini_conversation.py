"""Keeps what was said in each conversation, in the form in which the CLI takes a session from a file.

The CLI can resume sessions of its own, but version 0.61 then sends every tool's answer twice, which the model endpoint
refuses, and it keeps them where a replaced container loses them.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from molecule_runtime.adapters.base import Turn
from molecule_runtime.adapters.conversation_files import ConversationFiles

MAX_MESSAGES = 200
"""How much of a conversation the model is shown again."""

Message = dict[str, Any]


class Conversation:
    """One conversation in its file; `messages` are what was said so far, oldest first."""

    def __init__(self, files: ConversationFiles, turn: Turn) -> None:
        """Read it; one that is not there, or cannot be read, begins with what the runtime remembers of it."""
        self._files, self._context_id = files, turn.context_id
        self.messages: Sequence[Message] = files.read(turn.context_id).get("messages") or [
            message
            for exchange in turn.history
            for message in (spoken("user", exchange.user), spoken("gemini", exchange.agent))
        ]

    def document(self) -> dict[str, Any]:
        """Return it as the CLI takes it."""
        now = _now()
        return {
            "sessionId": str(uuid.uuid5(uuid.NAMESPACE_URL, self._context_id)),
            "projectHash": "",
            "startTime": now,
            "lastUpdated": now,
            "messages": self.messages,
        }

    def add(self, messages: Iterable[Message]) -> None:
        """Keep a finished turn; the oldest turns go when there are too many messages.

        Raises:
            OSError: the file cannot be written.
        """
        kept = [*self.messages, *messages][-MAX_MESSAGES:]
        while kept and kept[0]["type"] != "user":
            del kept[0]
        self.messages = kept
        self._files.write(self._context_id, self.document())


class Recorder:
    """Turns the CLI's events of one turn into messages.

    `spoke` is True once the model has said anything, `warning` what went wrong on the way, `result` how it ended.
    """

    def __init__(self, text: str) -> None:
        self._messages = [spoken("user", text)]
        self._text = ""
        self.spoke = False
        self.warning = "it does not say why"
        self.result: Mapping[str, Any] = {}
        self._calls: dict[str, Message] = {}

    def said(self, text: str) -> bool:
        """Take a piece of the model's words; return whether it begins a new message after others."""
        begins = self.spoke and bool(self._calls)
        if self._calls:
            self._flush()
        self._text += text
        self.spoke = True
        return begins

    def take(self, event: Mapping[str, Any]) -> None:
        """Take any other event."""
        match event.get("type"):
            case "tool_use":
                self._called(event)
            case "tool_result":
                self._returned(event)
            case "error":
                self.warning = str(event.get("message"))
            case "result":
                self.result = event

    def messages(self) -> list[Message]:
        """Return the whole turn."""
        self._flush()
        return self._messages

    def _called(self, event: Mapping[str, Any]) -> None:
        self._calls[event["tool_id"]] = {
            "id": event["tool_id"],
            "name": event["tool_name"],
            "args": event.get("parameters") or {},
            "status": "cancelled",
            "timestamp": _now(),
        }

    def _returned(self, event: Mapping[str, Any]) -> None:
        if (call := self._calls.get(event["tool_id"])) is None:
            return
        failed = event.get("status") == "error"
        said = event.get("output") or (event.get("error") or {}).get("message") or ""
        response = {
            "id": call["id"],
            "name": call["name"],
            "response": {"error" if failed else "output": said},
        }
        call |= {"status": "error" if failed else "success", "result": [{"functionResponse": response}]}

    def _flush(self) -> None:
        answered = [call for call in self._calls.values() if "result" in call]
        if self._text or answered:
            message = spoken("gemini", self._text)
            self._messages.append({**message, "toolCalls": answered} if answered else message)
        self._text, self._calls = "", {}


def spoken(by: str, text: str) -> Message:
    """Return a message of `user` or `gemini`."""
    content: object = [{"text": text}] if by == "user" else text
    return {"id": str(uuid.uuid4()), "timestamp": _now(), "type": by, "content": content}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
