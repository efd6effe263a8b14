"""What the stand-in says: it lets a tool return a word that nobody else knows, and hears whether the word comes back.

The word travels from the model through the agent's tool into the conversation, and from there, one turn later, back to
the model. Whoever answers without asking a model, without running a tool, or without the conversation, does not have it.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from controller.model_server.conversation import Json, Reply, Request, Text
from controller.model_server.schemas import value_for
from controller.model_server.tools import call_that_returns, call_with_answer

NOTHING_KNOWN: Final = "I do not find it in our conversation."
NO_TOOL: Final = "I was offered no tool that gives a word back."
_QUOTED: Final = 2_000


@dataclass(slots=True)
class Script:
    """One probe's model. `turn` is set by whoever asks the agent; `tools` says whether the agent must run one."""

    tools: bool = True
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    turn: int = 1
    calls: Counter[int] = field(default_factory=Counter)
    """How many calls the model got, by turn."""
    tool_results: int = 0
    """How many of them brought the nonce back from a tool."""
    recalled: bool = False
    """Whether the second turn brought the conversation along."""
    offered: set[str] = field(default_factory=set)
    """The names of all tools that were offered."""
    key_refused: bool = False
    """Whether a call came without the right key."""
    refused: list[str] = field(default_factory=list)
    """Calls that were answered with an error, each in one line."""

    def seen(self) -> dict[str, object]:
        """Return as JSON what it was asked and said, but for the nonce; `see` reads it."""
        return {
            "calls": {str(turn): count for turn, count in self.calls.items()},
            "toolResults": self.tool_results,
            "recalled": self.recalled,
            "offered": sorted(self.offered),
            "keyRefused": self.key_refused,
            "refused": self.refused,
        }

    def see(self, seen: Json) -> None:
        """Know what another one with this nonce was asked and said. Raises KeyError or ValueError when that is no `seen`."""
        self.calls = Counter({int(turn): int(count) for turn, count in seen["calls"].items()})
        self.tool_results = int(seen["toolResults"])
        self.recalled = bool(seen["recalled"])
        self.offered = {str(name) for name in seen["offered"]}
        self.key_refused = bool(seen["keyRefused"])
        self.refused = [str(line) for line in seen["refused"]]

    def reply(self, request: Request) -> Reply:
        """Answer one call of the model, from nothing but what it was sent."""
        self.calls[self.turn] += 1
        tools = request.tools if request.choice.allowed else ()
        self.offered |= {tool.name for tool in tools}
        returned = self._returned(request)
        self.tool_results += returned is not None
        named = [tool for tool in tools if tool.name == request.choice.name]
        if self.turn == 1 and self.tools and returned is None:
            tried = {call.name for call in request.calls if self.nonce in json.dumps(call.arguments)}
            if (call := call_that_returns(self.nonce, named or tools, tried=tried)) is not None:
                return call
        answer = self._answer(request)
        if request.choice.required and tools:
            return call_with_answer(answer, named or tools)
        if request.schema is not None:
            answer = json.dumps(value_for(request.schema, answer) if request.schema else {"answer": answer})
        return Text(answer)

    def _answer(self, request: Request) -> str:
        if self.turn == 1 and not self.tools:
            return f"My word is {self.nonce}."
        if self.turn == 1:
            returned = self._returned(request)
            return NO_TOOL if returned is None else f"The tool returned: {self._around(returned)}"
        known = any(self.nonce in message.text for message in request.messages)
        self.recalled |= known
        return f"It was {self.nonce}." if known else NOTHING_KNOWN

    def _around(self, text: str) -> str:
        begin = max(0, text.index(self.nonce) - _QUOTED // 2)
        return text[begin : begin + _QUOTED]

    def _returned(self, request: Request) -> str | None:
        """Return what the tool said that gave the nonce back."""
        results = (message.text for message in request.messages if message.role == "tool")
        return next((text for text in results if self.nonce in text), None)
