"""Which fields go with which build strategy: a field that nobody would look at is refused, never ignored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Literal

from controller.api.field_error import FieldError

Strategy = Literal["Append", "Dockerfile", "Dispatch", "Follow"]
Gate = Literal["Required", "AllowFailure", "AllowUntested"]

OURS: Final[frozenset[str]] = frozenset({"Append", "Dockerfile"})
"""The strategies that build here; with the others somebody else builds and pushes."""
_WHY: Final = {
    "Append": "the image is built here from directory",
    "Dockerfile": "the image is built here from directory",
    "Dispatch": "its repository's own CI builds the image",
    "Follow": "somebody else builds the image",
}
_TAKES: Final = {
    "directory": ("Append", "Dockerfile"),
    "args": ("Append", "Dockerfile"),
    "dispatch": ("Dispatch",),
    "fullBuild": ("Append", "Dockerfile"),
}
"""Fields of `build` that go with some strategies only."""
_NEEDS: Final = {
    "Append": ("directory", "name the template's folder there"),
    "Dockerfile": ("directory", "name the template's folder there"),
    "Dispatch": ("dispatch", "name there the repository to tell, as in {repository: OWNER/NAME}"),
}


def check_build(
    strategy: Strategy, given: Collection[str], *, platforms: Sequence[str], rebuild_on: Sequence[str]
) -> None:
    """Check which fields of `build` are given (by their names in the document) for a strategy.

    Raises:
        FieldError: one is missing, or is or holds what the strategy has no use for; what to do.
    """
    for field, takers in _TAKES.items():
        if field in given and strategy not in takers:
            raise FieldError(
                f"nobody reads it with strategy {strategy}: {_WHY[strategy]}; remove it, or use strategy"
                f" {' or '.join(takers)}",
                field,
            )
    needed, cure = _NEEDS.get(strategy, ("", ""))
    if needed and needed not in given:
        raise FieldError(f"strategy {strategy} needs it; {cure}", needed)
    if strategy in OURS:
        return
    if len(platforms) > 1:
        raise FieldError(
            f"has {len(platforms)} entries, and with strategy {strategy} only the one that the gate boots is read:"
            f" {_WHY[strategy]}, for whichever platforms they like; keep one",
            "platforms",
        )
    if "Base" in rebuild_on:
        raise FieldError(
            f"nobody looks at the base with strategy {strategy}: {_WHY[strategy]}; remove Base",
            "rebuildOn",
            list(rebuild_on).index("Base"),
        )


def check_template(
    strategy: Strategy, *, gate: Gate, promote: bool, tags: Collection[str], pre_release_tags: Collection[str]
) -> None:
    """Check what else a template asks for against its strategy.

    Raises:
        FieldError: it asks for what the strategy cannot do; what to do.
    """
    if strategy in OURS:
        if gate == "AllowUntested":
            raise FieldError(
                f"AllowUntested is for strategies Dispatch and Follow; with strategy {strategy} every image is tested, "
                "so use Required or AllowFailure",
                "gate",
            )
        return
    if promote:
        raise FieldError(
            f"true goes with images that are built here; with strategy {strategy} the moving tags are moved by "
            "whoever builds them, so remove it",
            "promote",
        )
    if pre_release_tags:
        raise FieldError(
            f"nobody reads it with strategy {strategy}: the moving tags are moved by whoever builds the image; remove it",
            "preReleaseTags",
        )
    if not tags:
        raise FieldError(
            f"strategy {strategy} watches the moving tags and tries new versions on the image under the first of them; "
            "name at least one",
            "tags",
        )
