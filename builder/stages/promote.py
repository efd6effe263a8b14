"""Lets tags stand for proven images: all are looked at first, so that a refusal leaves every tag as it was.

Who owns a moving tag stands beside it, as `<tag>.owner` in the same repository: whoever can see the tag can see whose
it is, on whatever machine and with whatever release records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from builder.engine import Engine, ImageNotFound
from builder.naming import TAG_LIMIT
from builder.oci import Client, NotFound, Reference

OWNER: Final = "ai.molecule.runtime.owner"
CLAIM_TYPE: Final = "application/vnd.molecule.workspace-runtime.claim.v1"
_CLAIM_SUFFIX: Final = ".owner"
_EMPTY_TAR: Final = bytes(1024)
"""Two blocks of zeros: the end of an archive (POSIX ustar)."""


class Refusal(Exception):  # noqa: N818 -- a decision, not an accident
    """Tags were left as they are; `reason` is TagTaken, TagMoved, PublisherConflict or ImageMissing, `str()` says why."""

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

    async def owner(self, target: str) -> str:
        """Return who owns a moving tag; empty when nobody has claimed it."""

    async def claim(self, target: str, owner: str) -> None:
        """Note who owns a moving tag."""


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

    async def owner(self, target: str) -> str:
        """See `Tags`; a label of an image that holds nothing."""
        try:
            seen = await self._engine.inspect_image(_claim(target))
        except ImageNotFound:
            return ""
        return str(((seen.get("Config") or {}).get("Labels") or {}).get(OWNER, ""))

    async def claim(self, target: str, owner: str) -> None:
        """See `Tags`."""
        repository, _, tag = _claim(target).rpartition(":")
        labels = {OWNER: owner}
        await self._engine.import_tar(_EMPTY_TAR, repository=repository, tag=tag, labels=labels)


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

    async def owner(self, target: str) -> str:
        """See `Tags`; an annotation of an artifact without content."""
        try:
            manifest = await self._client.manifest(Reference.parse(_claim(target)))
        except NotFound:
            return ""
        return manifest.annotations.get(OWNER, "")

    async def claim(self, target: str, owner: str) -> None:
        """See `Tags`."""
        reference, annotations = Reference.parse(_claim(target)), {OWNER: owner}
        await self._client.put_artifact(reference, [], artifact_type=CLAIM_TYPE, annotations=annotations)


async def promote(place: Tags, tags: Sequence[Tag], owners: Sequence[str] = ()) -> list[Outcome]:
    """Set tags. Moving ones become those of the first of `owners`, if they are nobody's or one of the others'.

    Raises:
        Refusal: an image is missing, an immutable tag is taken by another image, a moving tag was moved by somebody
            else meanwhile, or belongs to another owner; nothing was changed.
    """
    wanted = await asyncio.gather(*(place.digest(tag.source) for tag in tags))
    present = await asyncio.gather(*(place.digest(tag.target) for tag in tags))
    outcomes = [
        _decided(tag, digest, before) for tag, digest, before in zip(tags, wanted, present, strict=True)
    ]
    if owners:
        await _own(place, [tag.target for tag in tags if tag.move], owners)
    await asyncio.gather(
        *(place.set(done.tag.source, done.tag.target) for done in outcomes if done.state != "AlreadyThere")
    )
    return outcomes


async def _own(place: Tags, targets: Sequence[str], owners: Sequence[str]) -> None:
    """Claim what is ours or nobody's; of two who claim a tag at once, the one that is read back has it."""
    found = await asyncio.gather(*(place.owner(target) for target in targets))
    _refuse_foreign(targets, found, owners)
    new = [target for target, owner in zip(targets, found, strict=True) if owner != owners[0]]
    await asyncio.gather(*(place.claim(target, owners[0]) for target in new))
    _refuse_foreign(new, await asyncio.gather(*(place.owner(target) for target in new)), owners[:1])


def _refuse_foreign(targets: Sequence[str], found: Sequence[str], owners: Sequence[str]) -> None:
    for target, owner in zip(targets, found, strict=True):
        if owner and owner not in owners:
            raise Refusal(
                "PublisherConflict",
                f"{target} belongs to {owner}, as {_claim(target)} says. Set promote to false for its template in one of"
                f" the two objects; or, if {owner} is no more, delete {_claim(target)}.",
            )


def _claim(target: str) -> str:
    """Return the name beside a moving tag under which its owner stands."""
    repository, _, tag = target.rpartition(":")
    return f"{repository}:{tag[: TAG_LIMIT - len(_CLAIM_SUFFIX)]}{_CLAIM_SUFFIX}"


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
