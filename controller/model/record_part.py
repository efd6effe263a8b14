"""What all parts of a release record have in common, kept apart so that each of them can stand in a file of its own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class RecordPart(BaseModel):
    """Base of all parts of a record: camelCase outside, frozen, unknown fields kept as they are."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="allow",
        frozen=True,
        populate_by_name=True,
        serialize_by_alias=True,
    )
