"""Manifests, descriptors and media types: the nouns of the OCI image specification that we read and write."""

from __future__ import annotations

import enum
import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from builder.oci.errors import Corrupt


class MediaType(enum.StrEnum):
    """Media types of both families; images keep the family of their base."""

    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
    OCI_INDEX = "application/vnd.oci.image.index.v1+json"
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
    OCI_EMPTY = "application/vnd.oci.empty.v1+json"


MANIFEST_TYPES: Final = (
    MediaType.OCI_INDEX,
    MediaType.DOCKER_LIST,
    MediaType.OCI_MANIFEST,
    MediaType.DOCKER_MANIFEST,
)
"""What we accept; without all four, registry 2.8 converts to schema 1 and answers a different digest."""


def sha256_digest(data: bytes) -> str:
    """Return the digest of bytes as registries write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def expect_digest(what: str, wanted: str | None, found: str) -> None:
    """Raise Corrupt when a digest that was asked for or announced is not the one of the bytes."""
    if wanted and wanted != found:
        raise Corrupt(
            f"{what} should have digest {wanted} and has {found}. Its bytes were changed; it is not used."
        )


_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""What images and clusters call what the kernel calls otherwise."""


def canonical_json(document: object) -> bytes:
    """Return JSON whose bytes depend on the content only, so that equal documents have equal digests."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Platform:
    """Operating system and processor of an image, as `linux/arm64` or `linux/arm/v7`."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `OS/ARCHITECTURE[/VARIANT]`; raises ValueError for anything else."""
        match text.split("/"):
            case [os, architecture] if os and architecture:
                return cls(os, architecture)
            case [os, architecture, variant] if os and architecture and variant:
                return cls(os, architecture, variant)
        raise ValueError(f"{text!r} is not a platform: expected for example linux/amd64")

    @classmethod
    def here(cls) -> Self:
        """Return that of the programs that run here."""
        machine = platform.machine()
        return cls("linux", _ARCHITECTURES.get(machine, machine))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read the platform of an image's configuration or of an index's entry; what is not said is empty."""
        return cls(*(str(document.get(key) or "") for key in ("os", "architecture", "variant")))

    def takes(self, other: Platform) -> bool:
        """Tell whether an image for `other` is one for this platform; without a variant, any is."""
        return (self.os, self.architecture) == (other.os, other.architecture) and self._variant in {
            "",
            other._variant,
        }

    @property
    def _variant(self) -> str:
        """The variant, but for the one of arm64 that goes without saying."""
        return "" if (self.architecture, self.variant) == ("arm64", "v8") else self.variant

    def to_document(self) -> dict[str, str]:
        """Return the platform as it stands in an index."""
        document = {"os": self.os, "architecture": self.architecture}
        return document | ({"variant": self.variant} if self.variant else {})

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to bytes in a registry: what they are, their digest and their size in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, media_type: str, data: bytes, annotations: Mapping[str, str] | None = None) -> Self:
        """Return the descriptor of bytes at hand."""
        return cls(media_type, sha256_digest(data), len(data), annotations or {})

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read the descriptor inside a manifest; raises KeyError or TypeError when it is none."""
        return cls(
            str(document["mediaType"]),
            str(document["digest"]),
            int(document["size"]),
            dict(document.get("annotations") or {}),
        )

    def to_document(self) -> dict[str, Any]:
        """Return the descriptor as it stands in a manifest."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return document | ({"annotations": dict(self.annotations)} if self.annotations else {})


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes to store in an artifact, with their media type and annotations (such as a file name)."""

    media_type: str
    data: bytes = field(repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """Return the pointer to these bytes."""
        return Descriptor.of(self.media_type, self.data, self.annotations)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest exactly as the registry keeps it: `digest` is that of `raw`, which was checked."""

    raw: bytes = field(repr=False)
    media_type: str
    digest: str
    document: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes, media_type: str, *, where: str) -> Self:
        """Read a manifest.

        Raises:
            Corrupt: the bytes are no manifest of a type we know (an HTML error page, schema 1), naming `where`.
        """
        try:
            document = json.loads(raw)
            media_type = str(document.get("mediaType") or media_type)
        except (ValueError, AttributeError) as error:
            raise Corrupt(
                f"{where} answered {media_type or 'bytes'} that are no manifest: {raw[:80]!r}. "
                "Check that the address is a registry and not a proxy's error page."
            ) from error
        if "manifests" in document and "layers" in document:
            # read as an index by one program and as an image by another (CVE-2021-41190)
            raise Corrupt(
                f"{where} answered a manifest that is an image and an index in one. It is not used."
            )
        if media_type not in MANIFEST_TYPES:
            raise Corrupt(
                f"{where} answered a manifest of type {media_type!r}, which is neither Docker v2 nor OCI. "
                "Push the image again with a current tool."
            )
        return cls(raw, media_type, sha256_digest(raw), document)

    @classmethod
    def index_of(cls, images: Mapping[Platform, Manifest]) -> Self:
        """Make the index of one image per platform, in the family of the images; OCI where they are of both.

        Equal images give equal bytes, in whatever order they come.
        """
        docker = {image.media_type for image in images.values()} == {MediaType.DOCKER_MANIFEST}
        media_type = MediaType.DOCKER_LIST if docker else MediaType.OCI_INDEX
        entries = [
            Descriptor(image.media_type, image.digest, len(image.raw)).to_document()
            | {"platform": platform.to_document()}
            for platform, image in sorted(images.items(), key=lambda item: str(item[0]))
        ]
        raw = canonical_json({"schemaVersion": 2, "mediaType": media_type, "manifests": entries})
        return cls.from_bytes(raw, media_type, where="the new index")

    @property
    def is_index(self) -> bool:
        """Tell whether this lists one manifest per platform instead of layers."""
        return self.media_type in {MediaType.OCI_INDEX, MediaType.DOCKER_LIST}

    @property
    def artifact_type(self) -> str:
        """Return what kind of artifact this is; empty for a plain image."""
        return str(self.document.get("artifactType") or "")

    @property
    def annotations(self) -> Mapping[str, str]:
        """Return the manifest's own annotations."""
        return dict(self.document.get("annotations") or {})

    @property
    def config(self) -> Descriptor:
        """Return the pointer to the image configuration; raises Corrupt when there is none."""
        return self._descriptors([self.document.get("config")])[0]

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """Return the pointers to the layers, lowest first; raises Corrupt when they are malformed."""
        return self._descriptors(self.document.get("layers") or [])

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """Return the pointers of an index to its manifests, none of an image; raises Corrupt when they are malformed."""
        return self._descriptors(self.document.get("manifests") or [])

    def for_platform(self, platform: Platform) -> Descriptor | None:
        """Return the entry of an index for a platform, or None; a platform without variant takes any."""
        for entry in self.document.get("manifests") or []:
            if platform.takes(Platform.of(entry.get("platform") or {})):
                return self._descriptors([entry])[0]
        return None

    def _descriptors(self, documents: list[Any]) -> tuple[Descriptor, ...]:
        try:
            return tuple(Descriptor.from_document(document) for document in documents)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Corrupt(f"The manifest {self.digest} has a malformed descriptor: {error!r}.") from error
