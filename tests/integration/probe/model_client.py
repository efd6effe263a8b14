"""What an agent with a model does, on the standard library alone: it asks, runs the tool that is asked for, and asks again."""

import http.client
import json
import os
from typing import Any
from urllib.parse import urlsplit

FAULT = os.environ.get("FAULT", "")
NOTES: list[str] = []
HISTORIES: dict[str, list[dict[str, Any]]] = {}
PARAMETERS = {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]}
REMEMBER = {"name": "remember", "description": "Remembers a note.", "parameters": PARAMETERS}


class ModelRefusedError(Exception):
    """The model answered with an error; its text is in here."""


def answer(context: str, question: str, turn: int) -> str:
    if FAULT == "asks-nobody":
        return f"turn {turn}"
    history = [] if FAULT == "starts-anew" else HISTORIES.setdefault(context, [])
    history.append({"role": "user", "content": question})
    while True:
        message = call(history)
        history.append(message)
        if not message.get("tool_calls"):
            break
        for asked in message["tool_calls"]:
            note = json.loads(asked["function"]["arguments"])["note"]
            NOTES.append(note)
            result = "ok" if FAULT == "tool-is-mute" else f"I remember: {note}"
            history.append({"role": "tool", "tool_call_id": asked["id"], "content": result})
    return "Done." if FAULT == "keeps-it-for-itself" else str(message["content"])


def call(history: list[dict[str, Any]]) -> dict[str, Any]:
    tools = [] if FAULT == "offers-no-tool" else [{"type": "function", "function": REMEMBER}]
    place = urlsplit(os.environ["OPENAI_BASE_URL"])
    key = "baked-in" if FAULT == "bakes-its-key-in" else os.environ["OPENAI_API_KEY"]
    connection = http.client.HTTPConnection(place.netloc, timeout=10)
    try:
        connection.request(
            "POST",
            f"{place.path}/chat/completions",
            json.dumps({"model": "any", "messages": history, "tools": tools}),
            {"Authorization": f"Bearer {key}"},
        )
        document: dict[str, Any] = json.load(connection.getresponse())
    finally:
        connection.close()
    if "error" in document:
        raise ModelRefusedError(document["error"]["message"])
    reply: dict[str, Any] = document["choices"][0]["message"]
    return reply
