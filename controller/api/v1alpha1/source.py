"""Where the runtime's source is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from controller.api.v1alpha1._base import Document


class Source(Document):
    """Where the source of the runtime package is."""

    directory: Annotated[str, Field(min_length=1, max_length=4096)]
    """The folder of the runtime's source, absolute or relative to the document; standalone only."""
