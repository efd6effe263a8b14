"""Chooses one of the tools that an agent offers, and the arguments that let it give a word back.

No agent is made for this gate, so nothing is agreed with it: a tool that echoes, remembers, evaluates or runs something
gives a word back that is put into its text argument in the right form, and most agents offer one of these.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from controller.model_server.conversation import Call, Tool
from controller.model_server.schemas import is_free_text, resolved, type_of, value_for

_GIVES_BACK: Final = (
    frozenset({"echo", "echoes", "repeat", "repeats"}),
    frozenset({"remember", "remembers", "memory", "memorize", "note", "notes", "save", "keep", "keeps"}),
    frozenset({"evaluate", "evaluates", "eval", "expression", "calculate", "calculator", "compute"}),
    frozenset({"run", "runs", "execute", "exec", "shell", "bash", "command", "terminal", "python", "code", "script"}),
)  # fmt: skip
"""Words of tools that give back what they are given, the surest first."""
_WORDS_OF_OTHERS: Final = frozenset(
    {"write", "edit", "replace", "patch", "delete", "remove", "send", "post", "fetch", "http", "web", "url", "browser"}
    | {"upload", "download", "search", "agent", "delegate", "task", "todo", "todos", "plan", "schedule", "cron", "kill"}
)  # fmt: skip
"""Words of tools that do something elsewhere, or cannot do it from here: called only when there is no other."""
_ENDS: Final = frozenset({"final", "finish", "answer", "respond", "reply", "submit", "complete", "completion", "done"})  # fmt: skip
"""Words of tools that take the answer itself."""

_COMMANDS: Final = frozenset({"command", "cmd", "shell", "script", "bash", "commands"})
_PROGRAMS: Final = frozenset({"code", "python", "program", "source", "snippet"})
_EXPRESSIONS: Final = frozenset({"expression", "expr", "formula"})
_LIKELY: Final = ("text", "note", "fact", "content", "message", "value", "input", "word", "query")
_FILLER: Final = "check"
_HERE: Final = frozenset({"path", "dir", "directory", "cwd", "workdir", "folder"})


def call_that_returns(word: str, tools: Sequence[Tool], *, tried: Collection[str]) -> Call | None:
    """Return the call of the tool that is likeliest to give `word` back; None when no tool that is left can take it."""
    for tool in sorted(tools, key=lambda each: -_likelihood(each)):
        if tool.name not in tried and (slot := _slot(tool, len(word))) is not None:
            return Call(tool.name, _arguments(tool, slot, word))
    return None


def call_with_answer(text: str, tools: Sequence[Tool]) -> Call:
    """Return a call that carries an answer, for an agent that lets its model speak through tools only."""
    tool = max(tools, key=lambda each: (bool(_ENDS & _words(each.name)), _likelihood(each)))
    value = value_for(tool.parameters, text)
    return Call(tool.name, value if isinstance(value, Mapping) else {})


def _likelihood(tool: Tool) -> int:
    name, description = _words(tool.name), _words(tool.description[:300])
    score = -8 * len(_required(tool))
    for rank, words in enumerate(_GIVES_BACK):
        if words & name:
            score += 100 - 10 * rank
            break
        if words & description:
            score += 40 - 4 * rank
            break
    return score - (70 if (_WORDS_OF_OTHERS | _ENDS) & name else 0)


def _words(text: str) -> frozenset[str]:
    """Return the words of a name or a sentence, in lower case; `camelCase` and `snake_case` are two each."""
    return frozenset(re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).lower()))


def _required(tool: Tool) -> Sequence[str]:
    return tuple(resolved(tool.parameters, tool.parameters).get("required") or ())


def _slot(tool: Tool, length: int) -> str | None:
    """Return the parameter that takes the word: a required one before an optional one, then by its name."""
    required = _required(tool)
    free = [name for name, schema in _parameters(tool) if _takes(tool, name, schema, length)]
    free.sort(key=lambda name: (name not in required, name in _HERE, _rank(name)))
    return free[0] if free else None


def _parameters(tool: Tool) -> Iterator[tuple[str, Any]]:
    yield from (resolved(tool.parameters, tool.parameters).get("properties") or {}).items()


def _takes(tool: Tool, name: str, schema: object, length: int) -> bool:
    if not isinstance(schema, Mapping):
        return False
    meant = resolved(schema, tool.parameters)
    if type_of(meant) == "array":
        return name in _COMMANDS and is_free_text(meant.get("items"), tool.parameters)
    most = meant.get("maxLength")
    return is_free_text(meant, tool.parameters) and (most is None or int(most) >= length)


def _rank(name: str) -> int:
    if name in _COMMANDS | _PROGRAMS | _EXPRESSIONS:
        return 0
    return 1 + (_LIKELY.index(name) if name in _LIKELY else len(_LIKELY))


def _arguments(tool: Tool, slot: str, word: str) -> dict[str, Any]:
    required = value_for(tool.parameters, _FILLER)
    arguments = dict(required) if isinstance(required, Mapping) else {}
    arguments |= {name: "." for name in arguments if name in _HERE and arguments[name] == _FILLER}
    schema = resolved(dict(_parameters(tool))[slot], tool.parameters)
    return arguments | {slot: _in_the_form_of(slot, tool, word, is_list=type_of(schema) == "array")}


def _in_the_form_of(slot: str, tool: Tool, word: str, *, is_list: bool) -> str | list[str]:
    """Return what makes such a parameter's tool say the word."""
    if slot in _COMMANDS:
        return ["echo", word] if is_list else f"echo {word}"
    if slot in _PROGRAMS:
        about = _words(f"{tool.name} {tool.description}")
        return f"console.log('{word}')" if about & {"javascript", "node", "js"} else f"print('{word}')"
    return f"'{word}'" if slot in _EXPRESSIONS else word
