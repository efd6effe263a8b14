"""Which version comes next, and why: from the tags, the index and what was merged since.

Version authority is one: the newest `runtime-v*` tag and the newest version on the index must be the same release, so that a
stray upload or a stray tag is never counted on from.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.version import InvalidVersion, Version

from controller.model.errors import Terminal
from controller.model.release import Change

TAG_PREFIX: Final = "runtime-v"
"""What the tag of a release is called before its version."""
INPUTS: Final = ("workspace", "builder")
"""The folders whose changes make another package; no other change asks for a release."""
FIRST: Final = Version("0.1.0")
_SKIP: Final = re.compile(r"\[(?:skip|no)-release\]", re.IGNORECASE)
_SEGMENTS: Final = 3


class Size(enum.IntEnum):
    """Which part of a version grows; the value is its place."""

    MAJOR = 0
    MINOR = 1
    PATCH = 2

    @property
    def label(self) -> str:
        """The label of a pull request that asks for it."""
        return f"release:{self.name.lower()}"


@dataclass(frozen=True, slots=True)
class Next:
    """The version that comes next."""

    version: str
    size: Size
    reason: str

    @property
    def tag(self) -> str:
        """The tag of its release."""
        return TAG_PREFIX + self.version


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to release."""

    reason: str


def newest_tag(tags: Iterable[str]) -> str | None:
    """Return the tag with the highest version by PEP 440 order; tags of other names or of no version do not count."""
    return max((tag for tag in tags if _of_tag(tag)), key=lambda tag: _of_tag(tag) or FIRST, default=None)


def decide_release(  # noqa: PLR0913 -- one for each source that has a say
    tags: Collection[str],
    *,
    served: Collection[str] | None,
    yanked: Collection[str] = (),
    changes: Sequence[Change] | None,
    labels: Collection[str] = (),
    ceiling: str | None = None,
) -> Next | Nothing:
    """Return what to release next.

    Args:
        tags: names of all tags.
        served: the versions that the index serves and nobody has yanked; None when none was asked.
        yanked: those that it holds and that were yanked: they count for nothing, and no index takes them twice.
        changes: what changed under `INPUTS` since the newest tag, newest first; None when unknown, which counts as changed.
        labels: labels beside those of the changes.
        ceiling: the version that the next one must stay below.

    Raises:
        Terminal: VersionsDisagree (tags and index name different releases), AboveCeiling.
    """
    tag = newest_tag(tags)
    base = _of_tag(tag) if tag else None
    on_index = None if served is None else _newest_release(served)
    released = _newest_release(text for each in tags if (text := _text_of_tag(each)))
    if on_index and (released is None or _final(on_index) > _final(released)):
        raise _index_ahead(on_index, released)
    if idle := _why_nothing(tag, changes):
        return Nothing(idle)
    if served is not None and released and (on_index is None or _final(released) > _final(on_index)):
        raise _tag_ahead(on_index, released)
    asked = {*labels, *(label for change in changes or () for label in change.labels)}
    size = next((size for size in (Size.MAJOR, Size.MINOR) if size.label in asked), Size.PATCH)
    version = _free(_grown(base, size) if base else _first(size), yanked)
    if ceiling is not None and version >= Version(ceiling):
        raise Terminal(
            "AboveCeiling",
            f"The next version would be {version}, at or above package.versionCeiling {ceiling}.",
            fix="Raise the ceiling in the document, or take the release label off the pull request.",
        )
    return Next(str(version), size, _reason(tag, size, changes))


def _why_nothing(tag: str | None, changes: Sequence[Change] | None) -> str | None:
    if changes is None:
        return None
    if not changes:
        folders = " or ".join(f"{folder}/" for folder in INPUTS)
        return f"nothing under {folders} changed since {tag}" if tag else f"there is nothing under {folders}"
    # The newest decides, as the marker in a merge commit says that this merge makes no release; a later one may.
    newest = changes[0]
    marker = next((found for text in newest.texts if (found := _SKIP.search(text))), None)
    return f"{newest.short}, the newest change, says {marker[0]}" if marker else None


def _reason(tag: str | None, size: Size, changes: Sequence[Change] | None) -> str:
    since = f"since {tag}" if tag else "and no release yet"
    many = "" if changes is None else f"{len(changes)} change{'s' if len(changes) != 1 else ''} {since}; "
    asked = "no release label" if size is Size.PATCH else f"label {size.label}"
    return f"{many}{asked}"


def _first(size: Size) -> Version:
    return Version("1.0.0") if size is Size.MAJOR else FIRST


def _free(version: Version, yanked: Collection[str]) -> Version:
    """Return the first version from `version` on that nobody has used up."""
    used = {_parsed(text) for text in yanked}
    while version in used:
        version = _grown(version, Size.PATCH)
    return version


def _grown(base: Version, size: Size) -> Version:
    """Return the release after `base`; a pre-release is followed by the release that it prepares, if that is big enough."""
    parts = [*base.release, 0, 0][:_SEGMENTS]
    prepared = _version(base.epoch, parts)
    if prepared > base and not any(parts[size + 1 :]):
        return prepared
    return _version(base.epoch, [*parts[:size], parts[size] + 1, *[0] * (_SEGMENTS - 1 - size)])


def _version(epoch: int, parts: Iterable[int]) -> Version:
    return Version(f"{epoch}!{'.'.join(map(str, parts))}")


def _newest_release(versions: Iterable[str]) -> Version | None:
    """Return the highest version that is no pre-release: those are published by hand, without a tag."""
    found = [_parsed(text) for text in versions]
    return max((each for each in found if each is not None and not each.is_prerelease), default=None)


def _final(version: Version) -> Version:
    """Return the release that a version belongs to: a post-release is published by hand and changes none."""
    return Version(version.base_version)


def _text_of_tag(tag: str) -> str | None:
    return tag.removeprefix(TAG_PREFIX) if tag.startswith(TAG_PREFIX) else None


def _of_tag(tag: str) -> Version | None:
    text = _text_of_tag(tag)
    return None if text is None else _parsed(text)


def _parsed(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _index_ahead(on_index: Version, released: Version | None) -> Terminal:
    named = f"the newest tag is {TAG_PREFIX}{released}" if released else f"there is no {TAG_PREFIX}* tag"
    return Terminal(
        "VersionsDisagree",
        f"The index serves {on_index}, but {named}.",
        fix=f"If {on_index} was a release, tag its commit: git tag -a {TAG_PREFIX}{on_index} COMMIT && git push origin "
        f"{TAG_PREFIX}{on_index}. If it was a stray upload, delete or yank it there.",
    )


def _tag_ahead(on_index: Version | None, released: Version) -> Terminal:
    named = f"the newest version on the index is {on_index}" if on_index else "the index serves no release"
    return Terminal(
        "VersionsDisagree",
        f"The newest tag is {TAG_PREFIX}{released}, but {named}.",
        fix=f"Publish {released} first. If it was stopped and will never be, delete its tag: "
        f"git push origin :refs/tags/{TAG_PREFIX}{released}",
    )
