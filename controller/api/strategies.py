"""Which fields go with which build strategy: a field that nobody would look at is refused, never ignored."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from controller.api.field_error import FieldError

Strategy = Literal["Append", "Dockerfile", "Dispatch", "Follow"]
Gate = Literal["Required", "AllowFailure", "AllowUntested"]

OURS: Final[frozenset[str]] = frozenset({"Append", "Dockerfile"})
"""The strategies that build here; with the others somebody else builds and pushes."""
_WHY: Final = {
    "Append": "the image is built here",
    "Dockerfile": "the image is built here",
    "Dispatch": "its repository's own CI builds the image",
    "Follow": "somebody else builds the image",
}
_TAKES: Final = {
    "git": ("Append", "Dockerfile"),
    "directory": ("Append", "Dockerfile"),
    "args": ("Append", "Dockerfile"),
    "dispatch": ("Dispatch",),
    "fullBuild": ("Append", "Dockerfile"),
}
"""Fields of `build` that go with some strategies only."""
_NEEDS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "Append": (
        ("directory", "git"),
        "it or git; name the template's folder there, or its repository in git",
    ),
    "Dockerfile": (
        ("directory", "git"),
        "it or git; name the template's folder there, or its repository in git",
    ),
    "Dispatch": (("dispatch",), "it; name there the repository to tell, as in {repository: OWNER/NAME}"),
}
"""Fields of which a strategy needs one, the usual one first."""
_TWO_FOLDERS: Final = "stands beside git, and the template is one folder; keep one of the two"

_GIVEN: Final = {
    "git": "has(self.git)",
    "directory": "has(self.directory) && self.directory != ''",
    "args": "has(self.args) && size(self.args) > 0",
    "dispatch": "has(self.dispatch)",
    "fullBuild": "has(self.fullBuild)",
}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A refusal as clusters have it: the field, in CEL what must hold of the part (`self`) that it is in, and the text."""

    field: str
    cel: str
    message: str


def _unread(strategy: Strategy, field: str) -> str:
    takers = " or ".join(_TAKES[field])
    return f"nobody reads it with strategy {strategy}: {_WHY[strategy]}; remove it, or use strategy {takers}"


def _needed(strategy: Strategy) -> str:
    return f"strategy {strategy} needs {_NEEDS[strategy][1]}"


def _one_platform(strategy: Strategy, number: str) -> str:
    return (
        f"has {number} entries, and with strategy {strategy} only the one that the gate boots is read:"
        f" {_WHY[strategy]}, for whichever platforms they like; keep one"
    )


def _base_unseen(strategy: Strategy) -> str:
    return f"nobody looks at the base with strategy {strategy}: {_WHY[strategy]}; remove Base"


def _always_tested(strategy: Strategy) -> str:
    return (
        f"AllowUntested is for strategies Dispatch and Follow; with strategy {strategy} every image is tested, "
        "so use Required or AllowFailure"
    )


def _promoted_elsewhere(strategy: Strategy) -> str:
    return (
        f"true goes with images that are built here; with strategy {strategy} the moving tags are moved by "
        "whoever builds them, so remove it"
    )


def _tagged_elsewhere(strategy: Strategy) -> str:
    return f"nobody reads it with strategy {strategy}: the moving tags are moved by whoever builds the image; remove it"


def _watches_nothing(strategy: Strategy) -> str:
    return (
        f"strategy {strategy} watches the moving tags and tries new versions on the image under the first of them; "
        "name at least one"
    )


def _rules_of_build(strategy: Strategy) -> Iterator[FieldRule]:
    other = f"self.strategy != '{strategy}'"
    for field, takers in _TAKES.items():
        if strategy not in takers:
            yield FieldRule(field, f"{other} || !({_GIVEN[field]})", _unread(strategy, field))
    if strategy in _NEEDS:
        fields = _NEEDS[strategy][0]
        given = " || ".join(f"({_GIVEN[field]})" for field in fields)
        yield FieldRule(fields[0], f"{other} || {given}", _needed(strategy))
    if strategy not in OURS:
        one = f"{other} || !has(self.platforms) || size(self.platforms) < 2"
        yield FieldRule("platforms", one, _one_platform(strategy, "several"))
        yield FieldRule("rebuildOn", f"{other} || !('Base' in self.rebuildOn)", _base_unseen(strategy))


def _rules_of_template(strategy: Strategy) -> Iterator[FieldRule]:
    other = f"self.build.strategy != '{strategy}'"
    if strategy in OURS:
        yield FieldRule("gate", f"{other} || self.gate != 'AllowUntested'", _always_tested(strategy))
        return
    promoted = f"{other} || !has(self.promote) || !self.promote"
    yield FieldRule("promote", promoted, _promoted_elsewhere(strategy))
    tagged = f"{other} || !has(self.preReleaseTags) || size(self.preReleaseTags) == 0"
    yield FieldRule("preReleaseTags", tagged, _tagged_elsewhere(strategy))
    yield FieldRule("tags", f"{other} || size(self.tags) > 0", _watches_nothing(strategy))


BUILD_RULES: Final = (
    *(rule for strategy in get_args(Strategy) for rule in _rules_of_build(strategy)),
    FieldRule("directory", f"!({_GIVEN['directory']}) || !({_GIVEN['git']})", _TWO_FOLDERS),
)
"""What `check_build` refuses."""
TEMPLATE_RULES: Final = tuple(
    rule for strategy in get_args(Strategy) for rule in _rules_of_template(strategy)
)
"""What `check_template` refuses."""


def check_build(
    strategy: Strategy, given: Collection[str], *, platforms: Sequence[str], rebuild_on: Sequence[str]
) -> None:
    """Check which fields of `build` are given (by their names in the document) for a strategy.

    Raises:
        FieldError: one is missing, or is or holds what the strategy has no use for; what to do.
    """
    for field, takers in _TAKES.items():
        if field in given and strategy not in takers:
            raise FieldError(_unread(strategy, field), field)
    needed = _NEEDS[strategy][0] if strategy in _NEEDS else ()
    if needed and not set(needed) & set(given):
        raise FieldError(_needed(strategy), needed[0])
    if {"git", "directory"} <= set(given):
        raise FieldError(_TWO_FOLDERS, "directory")
    if strategy in OURS:
        return
    if len(platforms) > 1:
        raise FieldError(_one_platform(strategy, str(len(platforms))), "platforms")
    if "Base" in rebuild_on:
        raise FieldError(_base_unseen(strategy), "rebuildOn", list(rebuild_on).index("Base"))


def check_template(
    strategy: Strategy, *, gate: Gate, promote: bool, tags: Collection[str], pre_release_tags: Collection[str]
) -> None:
    """Check what else a template asks for against its strategy.

    Raises:
        FieldError: it asks for what the strategy cannot do; what to do.
    """
    if strategy in OURS:
        if gate == "AllowUntested":
            raise FieldError(_always_tested(strategy), "gate")
        return
    if promote:
        raise FieldError(_promoted_elsewhere(strategy), "promote")
    if pre_release_tags:
        raise FieldError(_tagged_elsewhere(strategy), "preReleaseTags")
    if not tags:
        raise FieldError(_watches_nothing(strategy), "tags")
