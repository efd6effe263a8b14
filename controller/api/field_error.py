"""A refusal that knows which field it is about, so that a message points at that field's own line."""

from __future__ import annotations


class FieldError(ValueError):
    """What is wrong with one field; `path` leads to it from the part of the document whose check raises this."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path
