"""Eight small templates, each laid out as its own repository would be: what benchmarks of the whole chain build.

They differ in one small dependency and in what their adapter does with it; the Dockerfile is one for all, in the form
that installs everything in a single RUN. Generated, so that eight are as easy to change as one.
"""

from collections.abc import Mapping
from pathlib import Path

DEPENDENCIES: Mapping[str, tuple[str, str]] = {
    "counting": ("humanize>=4", "humanize.ordinal(len(turn.history) + 1)"),
    "framing": ("tabulate>=0.9", "tabulate.tabulate([[turn.text]])"),
    "naming": ("python-slugify>=8", "slugify.slugify(turn.text)"),
    "reading": ("tomlkit>=0.13", "str(tomlkit.item(turn.text))"),
    "seeking": ("jmespath>=1", "str(jmespath.search('text', {'text': turn.text}))"),
    "sorting": ("sortedcontainers>=2.4", "str(sortedcontainers.SortedList(turn.text.split())[0])"),
    "titling": ("inflection>=0.5", "inflection.titleize(turn.text)"),
    "weighing": ("wcwidth>=0.2", "str(wcwidth.wcswidth(turn.text))"),
}
"""By template: a requirement of its own, and what its adapter makes of a turn with it."""

_MODULES = {"python-slugify": "slugify"}
_DOCKERFILE = """\
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

RUN useradd --create-home --uid 1000 agent \\
    && install --directory --owner=agent --group=agent /app /configs /workspace /run/runtime
WORKDIR /app

COPY requirements.txt ./
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
# Empty: the newest runtime that requirements.txt allows. Otherwise exactly this one.
ARG RUNTIME_VERSION=
RUN pip install --no-cache-dir -r requirements.txt \\
    "molecule-ai-workspace-runtime${RUNTIME_VERSION:+==${RUNTIME_VERSION}}"

COPY --chown=agent:agent config.yaml /configs/
COPY adapter.py model.py ./

ENV ADAPTER_MODULE=adapter
USER agent
EXPOSE 8000
ENTRYPOINT ["molecule-runtime"]
"""
_MODEL = '''\
"""Lets a model answer a conversation, with one tool that it may call; on the standard library alone."""

import http.client
import json
import os
from urllib.parse import urlsplit

PARAMETERS = {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]}
REMEMBER = {"name": "remember", "description": "Remembers a note.", "parameters": PARAMETERS}


def answer(history, text):
    """Return what the model says after it has called all tools that it wants."""
    messages = []
    for exchange in history:
        messages.append({"role": "user", "content": exchange.user})
        messages.append({"role": "assistant", "content": exchange.agent})
    messages.append({"role": "user", "content": text})
    while calls := (message := _next(messages)).get("tool_calls"):
        messages.append(message)
        for call in calls:
            note = json.loads(call["function"]["arguments"])["note"]
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"I remember: {note}"})
    return message["content"]


def _next(messages):
    place = urlsplit(os.environ["OPENAI_BASE_URL"])
    body = {"model": "any", "messages": messages, "tools": [{"type": "function", "function": REMEMBER}]}
    connection = http.client.HTTPConnection(place.netloc, timeout=30)
    try:
        key = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
        connection.request("POST", place.path + "/chat/completions", json.dumps(body), key)
        return json.load(connection.getresponse())["choices"][0]["message"]
    finally:
        connection.close()
'''
_ADAPTER = '''\
"""A template with a dependency of its own, which its turns need, and a model where the environment names one."""

import asyncio
import os
from collections.abc import AsyncIterator

from molecule_runtime.adapters import BaseAdapter
from molecule_runtime.adapters.base import Turn


class {title}Adapter(BaseAdapter):
    """Answers with what {module} makes of the question."""

    name = "{name}"

    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message."""
        import {module}

        yield {expression} + ": "
        if "OPENAI_BASE_URL" in os.environ:
            import model

            yield await asyncio.to_thread(model.answer, turn.history, turn.text)
        else:
            yield turn.text


Adapter = {title}Adapter
'''


def write_templates(folder: Path) -> tuple[str, ...]:
    """Write all eight under `folder`, a folder each, and return their names."""
    for name, (requirement, expression) in DEPENDENCIES.items():
        project = requirement.partition(">")[0]
        module = _MODULES.get(project, project)
        adapter = _ADAPTER.format(name=name, title=name.title(), module=module, expression=expression)
        files = {
            "Dockerfile": _DOCKERFILE,
            "requirements.txt": f"{requirement}\nmolecule-ai-workspace-runtime>=0.1.0\n",
            "adapter.py": adapter,
            "model.py": _MODEL,
            "config.yaml": f"name: {name}\nruntime: {name}\n",
        }
        for path, text in files.items():
            file = folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return tuple(DEPENDENCIES)
