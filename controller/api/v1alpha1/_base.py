"""The base of all parts of the document, and what more than one of them is made of: names, addresses, versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from controller.api.field_error import FieldError
from controller.api.patterns import (
    NAME_PATTERN,
    PLATFORM_PATTERN,
    SUBDOMAIN_PATTERN,
    TAG_PATTERN,
    URL_PATTERN,
)
from controller.api.version import checked_version

RENAMED: Final[Mapping[str, str]] = {
    "readOnlyRoot": "securityContext.readOnlyRootFilesystem",
    "memoryMegabytes": 'resources.limits.memory, as in "512Mi"',
}
"""Fields of earlier releases, with what to write instead."""

REPOSITORY: Final = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
)
"""An image repository without tag or digest (OCI distribution specification, `name`)."""
_LIKE_A_VERSION: Final = (
    r"([1-9][0-9]*!)?(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*((a|b|rc)(0|[1-9][0-9]*))?"
    r"(\.post(0|[1-9][0-9]*))?(\.dev(0|[1-9][0-9]*))?(\+[a-z0-9]+(\.[a-z0-9]+)*)?"
)
"""The normalised form of PEP 440, as far as a pattern can tell it; `checked_version` decides."""
_VERSION_OF_AN_IMAGE: Final = re.compile(r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?")


Entry = TypeVar("Entry")


class Document(BaseModel):
    """Base of all parts of the document: camelCase outside, unknown fields refused, values never coerced."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=True,
        serialize_by_alias=True,
        validate_by_name=False,
        use_attribute_docstrings=True,
    )


def _repository(value: str) -> str:
    if REPOSITORY.fullmatch(value) is None:
        raise ValueError(
            f"{value!r} is not an image repository; write it without a tag or digest, as in registry.example/team/name"
        )
    return value


def _image(value: str) -> str:
    found = REPOSITORY.match(value)
    rest = value[found.end() :] if found else value
    if not rest or _VERSION_OF_AN_IMAGE.fullmatch(rest) is None:
        raise ValueError(
            f"{value!r} is not the name of an image; write it with a tag or digest, as in registry.example/team/name:tag"
        )
    return value


def _distinct(values: list[Entry]) -> list[Entry]:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise FieldError(f"{value!r} stands twice; keep one", number)
    return values


def matched(pattern: str) -> dict[str, JsonValue]:
    """Return what tells editors and API servers the pattern of a value whose refusal is worded by code.

    NOTE: Groups lose their names, which ECMAScript writes in another way.
    """
    unnamed = re.sub(r"\?P<[a-z]+>", "", pattern)
    return {"pattern": f"^({unnamed})$"}


Distinct = AfterValidator(_distinct)
"""Refuses a list that names something twice: a cluster keeps such lists as sets."""
Name = Annotated[str, Field(min_length=1, max_length=63, pattern=NAME_PATTERN)]
PackageVersion = Annotated[
    str,
    Field(max_length=64, json_schema_extra=matched(_LIKE_A_VERSION)),
    AfterValidator(checked_version),
]
ImageRepository = Annotated[
    str,
    Field(max_length=255, json_schema_extra=matched(REPOSITORY.pattern)),
    AfterValidator(_repository),
]
ImageName = Annotated[
    str,
    Field(max_length=512, json_schema_extra=matched(REPOSITORY.pattern + _VERSION_OF_AN_IMAGE.pattern)),
    AfterValidator(_image),
]
Tag = Annotated[str, Field(max_length=128, pattern=TAG_PATTERN)]
Platform = Annotated[str, Field(max_length=64, pattern=PLATFORM_PATTERN)]
Url = Annotated[str, Field(max_length=2048, pattern=URL_PATTERN)]
SecretName = Annotated[str, Field(max_length=253, pattern=SUBDOMAIN_PATTERN)]
ConfigMapName = SecretName
Labels = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=20)]
