"""Where the runtime's source is."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, model_validator

from controller.api.v1alpha1._base import Document
from controller.api.v1alpha1.git import SourceGit

NO_SOURCE: Final = "names no source; name git or directory"
TWO_SOURCES: Final = "names git and directory, which exclude each other; keep one"


class Source(Document):
    """Where the source of the runtime package is: exactly one of `git` and `directory`."""

    git: SourceGit | None = None
    """A folder of a git repository, read at the commit that its `ref` stands for."""
    directory: Annotated[str, Field(max_length=4096)] = ""
    """The folder of the runtime's source, absolute or relative to the document; standalone only."""

    @model_validator(mode="after")
    def _one(self) -> Source:
        if self.git is None and not self.directory:
            raise ValueError(NO_SOURCE)
        if self.git is not None and self.directory:
            raise ValueError(TWO_SOURCES)
        return self
