"""Names that follow from inputs, so that the same work is found again instead of repeated: tags and input digests."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

SHORT_COMMIT: Final = 7
SHORT_INPUTS: Final = 8
TAG_LIMIT: Final = 128
"""The distribution specification's limit for a tag."""

_NOT_IN_A_TAG = re.compile(r"[^A-Za-z0-9_.-]")


def template_inputs_sha256(directory: Path, build_args: Mapping[str, str]) -> str:
    """Return the digest of all that a full build of a template depends on: its files and its build arguments.

    Paths, contents, link targets and execute bits count; times, owners and `.git` do not.
    """
    return inputs_sha256(tree_lines(directory), build_args)


def inputs_sha256(lines: Sequence[Sequence[str]], build_args: Mapping[str, str]) -> str:
    """Return the digest of lines as `tree_lines` gives them, and of build arguments."""
    return hashlib.sha256(json.dumps([lines, dict(sorted(build_args.items()))]).encode()).hexdigest()


def tree_lines(directory: Path) -> list[list[str]]:
    """Return path, kind and content (a SHA-256, or where a link leads) of every file of a folder, sorted."""
    return sorted(_tree_lines(directory))


def candidate_inputs(wheel_sha256: str, *full_build_digests: str) -> str:
    """Return the 8 hex digits that name what a candidate is made of: this wheel on a full build for each platform."""
    text = " ".join((wheel_sha256, *full_build_digests))
    return hashlib.sha256(text.encode()).hexdigest()[:SHORT_INPUTS]


def candidate_tag(inputs: str) -> str:
    """Return the only tag that an image carries until it is proven."""
    return f"candidate-{inputs[:SHORT_INPUTS]}"


def full_build_tag(inputs_sha256: str) -> str:
    """Return the tag under which a later run finds the full build of these template inputs."""
    return f"full-{inputs_sha256[:SHORT_INPUTS]}"


def immutable_tag(version: str, template_commit: str, inputs: str) -> str:
    """Return `<version>-<template commit 7>-<inputs 8>` in the characters that a tag may have.

    Raises:
        ValueError: longer than a tag may be, or it would begin with a character that a tag may not.
    """
    text = f"{version}-{template_commit[:SHORT_COMMIT]}-{inputs[:SHORT_INPUTS]}"
    tag = _NOT_IN_A_TAG.sub("-", text)
    if len(tag) > TAG_LIMIT or tag[0] in ".-":
        raise ValueError(
            f"{tag!r} cannot be a tag: at most {TAG_LIMIT} characters, the first a letter, digit or '_'."
        )
    return tag


def version_in_tags(version: str) -> str:
    """Return how tags write a version: in the characters that a tag may have."""
    return _NOT_IN_A_TAG.sub("-", version)


def tags_of_version(version: str, tags: Iterable[str]) -> list[str]:
    """Return those of `tags` that say that they are of `version`: the version itself, or an immutable tag of it."""
    said = version_in_tags(version)
    return sorted(tag for tag in tags if tag == said or tag.startswith(f"{said}-"))


def _tree_lines(directory: Path) -> Iterator[list[str]]:
    for where, folders, names in os.walk(directory):
        folders[:] = sorted(folder for folder in folders if folder != ".git")
        for name in (*names, *(folder for folder in folders if (Path(where) / folder).is_symlink())):
            path = Path(where) / name
            relative = path.relative_to(directory).as_posix()
            if path.is_symlink():
                yield [relative, "link", str(path.readlink())]
            elif path.is_file():
                kind = "executable" if path.stat().st_mode & 0o100 else "file"
                yield [relative, kind, hashlib.sha256(path.read_bytes()).hexdigest()]
