"""What a cascade makes and what it makes it on: the nouns that it and its report share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from builder.cascade_inputs import Why
from builder.inventory import Inventory
from builder.oci import Platform
from builder.stores import StoredImage

BASE_NAME_LABEL: Final = "org.opencontainers.image.base.name"
BASE_DIGEST_LABEL: Final = "org.opencontainers.image.base.digest"


@dataclass(frozen=True, slots=True)
class Base:
    """A full build that has what the wheel needs, the file that its inventory is kept in, and why there is work on it.

    `bases` are the digests that it started from, by name; None for one that was known.
    """

    image: StoredImage
    inventory: Inventory
    file: Path
    why: Why
    bases: Mapping[str, str] | None = None

    def to_document(self) -> dict[str, str]:
        """Return what finds it again."""
        return {"image": self.image.name, "digest": self.image.digest, "inventory": str(self.file)}


@dataclass(frozen=True, slots=True)
class Child:
    """The image of one platform in an index, and what it stands on. `compiled` tells whether its layer has byte code."""

    image: StoredImage
    base: Base
    compiled: bool

    def to_document(self) -> dict[str, Any]:
        """Return all facts of it."""
        return {
            "digest": self.image.digest,
            "imageId": self.image.image_id,
            "fullBuild": self.base.to_document(),
            "byteCode": self.compiled,
        }


@dataclass(frozen=True, slots=True)
class Made:
    """A candidate and where it comes from. `built` is how the image came to be.

    With `children`, by platform, the candidate is their index; `base` is then that of the engine's own platform.
    """

    candidate: StoredImage
    base: Base
    built: str
    seconds: float
    children: Mapping[str, Child] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Return all facts of one template."""
        document: dict[str, Any] = {
            "candidate": self.candidate.name,
            "digest": self.candidate.digest,
            "imageId": self.candidate.image_id,
            "fullBuild": self.base.to_document(),
            "baseDigest": self.candidate.labels.get(BASE_DIGEST_LABEL, ""),
            "bases": None if self.base.bases is None else dict(self.base.bases),
            "reason": self.base.why.reason,
            "before": self.base.why.before,
            "after": self.base.why.after,
            "built": self.built,
            "seconds": round(self.seconds, 3),
        }
        if self.children:
            document["platforms"] = {name: child.to_document() for name, child in self.children.items()}
        return document

    def essentials(self) -> dict[str, Any]:
        """Return what a report of a whole cascade has room for."""
        facts = self.to_document()
        bare = sorted(name for name, child in self.children.items() if not child.compiled)
        chosen = {key: facts[key] for key in ("candidate", "digest", "built", "reason", "seconds")}
        return chosen | ({"withoutByteCode": bare} if bare else {})


@dataclass(frozen=True, slots=True)
class Failure:
    """A template without a candidate. `transient` means that the same run may succeed later."""

    reason: str
    message: str
    transient: bool = False
    retry_after: float | None = None

    def to_document(self) -> dict[str, Any]:
        """Return all facts of one template."""
        wait = {} if self.retry_after is None else {"retryAfterSeconds": self.retry_after}
        return {
            "error": {"reason": self.reason, "message": self.message, "transient": self.transient, **wait}
        }


def platform_of(image: StoredImage) -> str:
    """Return the platform that an image says it is for."""
    return str(Platform.of(image.config))
