"""What all protocols carry: a conversation with tools going in, one reply coming out."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = Mapping[str, Any]
Role = Literal["system", "user", "assistant", "tool"]


class Malformed(Exception):  # noqa: N818 -- what a client did, as the protocols call it: a bad request
    """The request is not what its protocol asks for; the text says where."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, with its text alone; `tool` is what a tool returned."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call of one offered tool."""

    name: str
    arguments: Json
    id: str = field(default_factory=lambda: f"call_{secrets.token_hex(8)}")


@dataclass(frozen=True, slots=True)
class Text:
    """An answer in words."""

    text: str


Reply = Text | Call


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the agent offers; `parameters` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: Json


@dataclass(frozen=True, slots=True)
class Choice:
    """What the agent leaves to the model: whether it may call tools, must, and which one."""

    allowed: bool = True
    required: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the model. `schema` is set where the answer must be JSON: its schema, {} for any object."""

    model: str
    messages: Sequence[Message]
    calls: Sequence[Call] = ()
    """The model's own earlier calls, as the agent sent them back."""
    tools: Sequence[Tool] = ()
    choice: Choice = Choice()
    schema: Json | None = None
    stream: bool = False


def as_text(content: object) -> str:
    """Return the words of a message's content: a string, a list of parts with a `text`, or any JSON value.

    What a tool returned may be structured; its JSON is its text then.
    """
    match content:
        case None:
            return ""
        case str():
            return content
        case list():
            return "\n".join(filter(None, map(_part, content)))
        case _:
            return json.dumps(content, ensure_ascii=False)


def _part(part: object) -> str:
    if isinstance(part, Mapping):
        if isinstance(text := part.get("text"), str):
            return text
        if part.get("type") == "tool_result" or "content" in part:
            return as_text(part.get("content"))
        return ""  # an image, a file
    return as_text(part)


def as_object(value: object, where: str) -> Json:
    """Return a JSON object, as it is or from its text; an empty text is an empty object."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except ValueError as error:
            raise Malformed(f"{where} is not JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise Malformed(f"{where} must be an object")
    return value


def as_objects(value: object, where: str) -> list[Json]:
    """Return a list of JSON objects; None is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"{where} must be a list")
    return [as_object(each, f"{where}[{number}]") for number, each in enumerate(value)]


def as_name(value: object, where: str) -> str:
    """Return a text that must not be empty."""
    if not isinstance(value, str) or not value:
        raise Malformed(f"{where} must be a text")
    return value


def pieces(text: str) -> list[str]:
    """Return a text in a few parts, as a stream brings it: what reads one must join them."""
    third = max(1, -(-len(text) // 3))
    return [text[at : at + third] for at in range(0, len(text), third)] or [""]


def tokens(text: str) -> int:
    """Return about how many tokens a text has."""
    return max(1, len(text) // 4)
