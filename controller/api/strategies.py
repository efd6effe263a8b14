"""Which fields go with which build strategy: a field that nobody would look at is refused, never ignored."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

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
}
"""Fields of `build` that go with some strategies only."""
_NEEDS: Final = {
    "Append": ("directory", "name the template's folder there"),
    "Dockerfile": ("directory", "name the template's folder there"),
    "Dispatch": ("dispatch", "name there the repository to tell, as in dispatch: {repository: OWNER/NAME}"),
}


def check_build(strategy: Strategy, given: Collection[str]) -> None:
    """Check which fields of `build` are given (by their names) for a strategy.

    Raises:
        ValueError: one is missing, or is one that the strategy has no use for; what to do.
    """
    for field, takers in _TAKES.items():
        if field in given and strategy not in takers:
            raise ValueError(
                f"strategy {strategy} takes no {field}: {_WHY[strategy]}; remove it, or use strategy {' or '.join(takers)}"
            )
    needed, cure = _NEEDS.get(strategy, ("", ""))
    if needed and needed not in given:
        raise ValueError(f"strategy {strategy} needs {needed}; {cure}")


def check_template(strategy: Strategy, *, gate: Gate, promote: bool, tags: Collection[str]) -> None:
    """Check what else a template asks for against its strategy.

    Raises:
        ValueError: it asks for what the strategy cannot do; what to do.
    """
    if strategy in OURS:
        if gate == "AllowUntested":
            raise ValueError(
                f"gate AllowUntested is for strategies Dispatch and Follow; with strategy {strategy} every image is tested, "
                "so use Required or AllowFailure"
            )
        return
    if promote:
        raise ValueError(
            f"promote: true goes with images that are built here; with strategy {strategy} the moving tags are moved by "
            "whoever builds them, so remove it"
        )
    if not tags:
        raise ValueError(
            f"strategy {strategy} watches the moving tags and tries new versions on the image under the first of them; "
            "name at least one in tags"
        )
