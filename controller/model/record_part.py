"""What all parts of a release record have in common, kept apart so that each of them can stand in a file of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


def utc(moment: datetime) -> datetime:
    """Return the same moment (aware) in UTC."""
    return moment.astimezone(UTC)


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 as 64 lower-case hex digits."""
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A digest as registries and engines write it."""
Moment = Annotated[AwareDatetime, AfterValidator(utc)]
"""A time in UTC; a time without zone is refused."""


class RecordPart(BaseModel):
    """Base of all parts of a record: camelCase outside, frozen, unknown fields kept as they are."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="allow",
        frozen=True,
        populate_by_name=True,
        serialize_by_alias=True,
    )


class Artifact(RecordPart):
    """One file whose bytes are kept beside the records: a wheel, an sdist, an inventory. `size` is in bytes."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$")]
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]
