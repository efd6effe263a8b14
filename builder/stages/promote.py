"""Lets tags stand for proven images: all are looked at first, so that a refusal leaves every tag as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from builder.engine import Engine, ImageNotFound
from builder.oci import Client, NotFound, Reference


class Refusal(Exception):  # noqa: N818 -- a decision, not an accident
    """Tags were left as they are; `reason` is TagTaken, TagMoved or ImageMissing, `str()` says which and why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag to set: `target` (`repository:tag`) shall stand for `source` (a name with tag or digest).

    Without `move` it is immutable. `expected` is what a moving tag stood for when that was decided: a digest, or empty
    for nothing; None for whatever it is.
    """

    source: str
    target: str
    move: bool
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a tag: `state` is Set, Moved or AlreadyThere, `before` the digest it stood for."""

    tag: Tag
    digest: str
    state: str
    before: str


class Tags(Protocol):
    """A place where tags are."""

    async def digest(self, name: str) -> str:
        """Return the digest of what a name stands for; empty when there is nothing."""

    async def set(self, source: str, target: str) -> None:
        """Let a tag stand for an image of the same repository."""


class EngineTags:
    """Tags in one Docker Engine; digests are image ids."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def digest(self, name: str) -> str:
        """See `Tags`."""
        try:
            return str((await self._engine.inspect_image(name))["Id"])
        except ImageNotFound:
            return ""

    async def set(self, source: str, target: str) -> None:
        """See `Tags`."""
        repository, _, tag = target.rpartition(":")
        await self._engine.tag(source, repository=repository, tag=tag)


class RegistryTags:
    """Tags in registries; digests are those of manifests or indexes."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def digest(self, name: str) -> str:
        """See `Tags`."""
        try:
            return (await self._client.head(Reference.parse(name))).digest
        except NotFound:
            return ""

    async def set(self, source: str, target: str) -> None:
        """See `Tags`; the manifest is stored again as it is, byte for byte."""
        manifest = await self._client.manifest(Reference.parse(source))
        await self._client.put_manifest(Reference.parse(target), manifest.raw, manifest.media_type)


async def promote(place: Tags, tags: Sequence[Tag]) -> list[Outcome]:
    """Set tags.

    Raises:
        Refusal: an image is missing, an immutable tag is taken by another image, or a moving tag was moved by somebody
            else meanwhile; nothing was changed.
    """
    wanted = await asyncio.gather(*(place.digest(tag.source) for tag in tags))
    present = await asyncio.gather(*(place.digest(tag.target) for tag in tags))
    outcomes = [
        _decided(tag, digest, before) for tag, digest, before in zip(tags, wanted, present, strict=True)
    ]
    await asyncio.gather(
        *(place.set(done.tag.source, done.tag.target) for done in outcomes if done.state != "AlreadyThere")
    )
    return outcomes


def _decided(tag: Tag, digest: str, before: str) -> Outcome:
    if not digest:
        raise Refusal(
            "ImageMissing",
            f"{tag.source} does not exist, so {tag.target} cannot stand for it. Build it again.",
        )
    if before == digest:
        return Outcome(tag, digest, "AlreadyThere", before)
    if before and not tag.move:
        raise Refusal(
            "TagTaken",
            f"{tag.target} is immutable and stands for {before}, not for {digest}. "
            "Somebody else pushed it: find out who, then delete it or release another version.",
        )
    if tag.expected is not None and tag.expected != before:
        raise Refusal(
            "TagMoved",
            f"{tag.target} stood for {tag.expected or 'nothing'} and now stands for {before or 'nothing'}. "
            "Somebody else moved it: see who, and look again.",
        )
    return Outcome(tag, digest, "Moved" if before else "Set", before)
