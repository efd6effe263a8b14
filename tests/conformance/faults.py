"""Small faults of an answer: each statement's check must notice one of them."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.conformance.agent import Answer, Fault


def without(path: str) -> Fault:
    """The member at a dotted path is missing wherever it would be; `*` stands for every item of a list."""
    return _changed(path, lambda holder, key: holder.pop(key))


def saying(path: str, value: object) -> Fault:
    """The member at a path has another value."""

    def change(holder: Any, key: Any) -> None:  # noqa: ANN401 - JSON
        holder[key] = value

    return _changed(path, change)


def besides(name: str, value: object) -> Fault:
    """A member comes besides those of the answer."""
    return lambda answer: replace(
        answer, documents=tuple({**document, name: value} for document in answer.documents)
    )


def wrong_code(answer: Answer) -> Answer:
    """An error has another code."""
    return saying("error.code", -32000)(answer)


def status(code: int) -> Fault:
    """The HTTP status is another one."""
    return lambda answer: replace(answer, status=code)


def header(name: str, value: str = "") -> Fault:
    """A header has another value, or none."""
    return lambda answer: replace(answer, headers={**dict(answer.headers), name: value})


def first_lost(answer: Answer) -> Answer:
    """A stream lacks its first event."""
    return replace(answer, documents=answer.documents[1:] if len(answer.documents) > 1 else answer.documents)


def last_lost(answer: Answer) -> Answer:
    """A stream lacks its last event."""
    return replace(answer, documents=answer.documents[:-1] if len(answer.documents) > 1 else answer.documents)


def turned_round(answer: Answer) -> Answer:
    """A stream, or a list of tasks, is the wrong way round."""
    documents = [copy.deepcopy(document) for document in reversed(answer.documents)]
    for document in documents:
        result = document.get("result")
        if isinstance(result, dict) and "tasks" in result:
            result["tasks"].reverse()
    return replace(answer, documents=tuple(documents))


def _changed(path: str, change: Callable[[Any, Any], object]) -> Fault:
    *way, last = path.split(".")

    def fault(answer: Answer) -> Answer:
        documents = copy.deepcopy(answer.documents)
        for document in documents:
            for holder in _holders(document, way):
                if isinstance(holder, list):
                    for index in range(len(holder)):
                        change(holder, index)
                elif isinstance(holder, dict) and last in holder:
                    change(holder, last)
        return replace(answer, documents=documents)

    return fault


def _holders(value: Any, way: list[str]) -> list[Any]:  # noqa: ANN401 - JSON
    if not way:
        return [value]
    key, *rest = way
    if key == "*" and isinstance(value, list):
        return [holder for item in value for holder in _holders(item, rest)]
    if isinstance(value, dict) and key in value:
        return _holders(value[key], rest)
    return []
