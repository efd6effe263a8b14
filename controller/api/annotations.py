"""What annotations on the object ask for: a hold on all of it, holds and pins of single targets, new builds of images.

Targets that exist may not be able to carry a label of their own (a container's labels cannot change), so their holds
and pins are kept here, as JSON objects by target: `{"ws-0123456789ab": "a customer demo until five"}`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Final

from controller.api.field_error import FieldError
from controller.api.names import (
    ANNOTATION_APPROVE,
    ANNOTATION_HOLD,
    ANNOTATION_HOLD_TARGETS,
    ANNOTATION_OVERRIDE,
    ANNOTATION_PIN_TARGETS,
    ANNOTATION_REBUILD,
    ANNOTATION_REQUESTED_AT,
    ANNOTATION_RESUME,
    ANNOTATION_ROLLBACK_TO,
    ANNOTATION_TAKE_OVER,
    GROUP,
)
from controller.api.version import checked_version

MEANINGS: Final[Mapping[str, str]] = {
    ANNOTATION_HOLD: "The reason why nothing of this object may move: nothing is built, published, replaced or promoted.",
    ANNOTATION_HOLD_TARGETS: (
        "Targets that must not be touched, each with the reason: JSON by name or id. `NAMESPACE/*`, `docker/HOST/*` and `*` stand"
        " for all targets of a namespace, of a host, and of the object. `wsr hold TARGET` and `wsr resume TARGET` write it."
    ),
    ANNOTATION_PIN_TARGETS: (
        "Targets that only this version may go to, each with the version: JSON by name or id, or for all as for holds; what is"
        " said of less wins, a target's own label included. `wsr hold TARGET --pin VERSION` writes it."
    ),
    ANNOTATION_REBUILD: (
        'Templates that must be built anew, each with a text that names the request: JSON by template, or "*" for all. '
        "Nothing is taken from a build cache, the bases are fetched, and targets follow when the gate is passed. It is "
        "done once for each text; another text is another request."
    ),
    ANNOTATION_TAKE_OVER: "The object, as NAMESPACE/NAME, that is no more and whose package and moving tags this one owns now.",
    ANNOTATION_REQUESTED_AT: (
        "Any text, such as the time: another one than before has everything read anew and what failed tried again now. "
        "`status.lastHandledReconcileAt` repeats it once that has begun. A verdict stays."
    ),
    ANNOTATION_RESUME: (
        "What `wsr resume` asks for: a version that may go on, and any text that names the request, such as the time, as in "
        "`0.1.6 2026-01-31T12:00`. Its verdict Failed is lifted, what was held back is tried again, and moving tags that "
        "somebody else moved are taken back. It is done once for each value, and `status.lastHandledResume` repeats it then."
    ),
    ANNOTATION_ROLLBACK_TO: (
        "What `wsr rollback` asks for: the version to go back to, or `last-known-good`, and any text that names the request, as"
        " in `0.1.5 2026-01-31T12:00`; a text that begins with `from 0.1.6` is for that version only. The version of the document is held, and every target and moving tag goes to that one,"
        " until the document asks for another version or `wsr resume` is said. It is done once for each value, and stands in"
        " the release record from then on; `status.lastHandledRollback` repeats it, `status.rollbackRefused` says why not."
    ),
    ANNOTATION_APPROVE: (
        "What `wsr approve` writes where `rollout.approval` is Required: the hash that `status.awaitingApproval` names. It approves "
        "exactly that; when something else waits, another one is asked for."
    ),
    ANNOTATION_OVERRIDE: "The reason why targets may begin to be replaced outside of `rollout.windows`, for as long as it stands.",
}
"""Every annotation of ours that this release acts on, as users read it."""

_WANTED: Final = {
    ANNOTATION_HOLD_TARGETS: 'a reason, as in {"ws-0123456789ab": "a customer demo until five"}',
    ANNOTATION_PIN_TARGETS: 'a version, as in {"ws-0123456789ab": "0.1.5"}',
    ANNOTATION_REBUILD: 'the name of a request, as in {"langgraph": "CVE-2026-1"}',
}
_EACH: Final = {ANNOTATION_REBUILD: "template"}
ALL_TEMPLATES: Final = "*"
LAST_KNOWN_GOOD: Final = "last-known-good"
EVERY: Final = "*"
"""At the end of a name it stands for all that begin so: `agents/*` for a namespace, `docker/prod-1/*` for a host."""
_TARGET: Final = re.compile(r"[^\s/]+(/[^\s/]+/[^\s/]+|/\*)?")
_OBJECT: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SHOWN_CHARACTERS: Final = 80


def checked(annotations: dict[str, str]) -> dict[str, str]:
    """Return `annotations`; those of other groups are nobody's business here.

    Raises:
        FieldError: one of ours is unknown or malformed. It is never ignored: a slip in its name must not leave
            unguarded what its author believes to be held.
    """
    for name in annotations:
        if name.startswith(f"{GROUP}/") and name not in MEANINGS:
            close = difflib.get_close_matches(name, list(MEANINGS), n=1, cutoff=0.85)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(MEANINGS))}"
            raise FieldError(f"unknown annotation; {hint}", name)
    _check_reasons(annotations)
    for template, request in requests(annotations).items():
        if not request.strip():
            raise FieldError(f"{template}: a request needs a name; write any text", ANNOTATION_REBUILD)
    _check_versions(annotations)
    taken_over = annotations.get(ANNOTATION_TAKE_OVER)
    if taken_over is not None and _OBJECT.fullmatch(taken_over) is None:
        raise FieldError(f"must be an object as NAMESPACE/NAME, got {taken_over!r}", ANNOTATION_TAKE_OVER)
    for target, version in pinned_targets(annotations).items():
        try:
            checked_version(version)
        except ValueError as error:
            raise FieldError(f"{target}: {error}", ANNOTATION_PIN_TARGETS) from None
    return annotations


def _check_reasons(annotations: Mapping[str, str]) -> None:
    cure = "a hold needs a reason, for whoever wonders; write one, or remove it"
    if not annotations.get(ANNOTATION_HOLD, "a reason").strip():
        raise FieldError(cure, ANNOTATION_HOLD)
    if not annotations.get(ANNOTATION_OVERRIDE, "a reason").strip():
        raise FieldError(cure.replace("a hold", "it"), ANNOTATION_OVERRIDE)
    for target, reason in held_targets(annotations).items():
        if not reason.strip():
            raise FieldError(f"{target}: {cure}", ANNOTATION_HOLD_TARGETS)


def _check_versions(annotations: Mapping[str, str]) -> None:
    for name, does in ((ANNOTATION_RESUME, "that may go on"), (ANNOTATION_ROLLBACK_TO, "to go back to")):
        if name not in annotations:
            continue
        version = named_version(annotations, name)
        if version is None:
            raise FieldError(f"must begin with the version {does}, as in 0.1.6", name)
        try:
            if (name, version) != (ANNOTATION_ROLLBACK_TO, LAST_KNOWN_GOOD):
                checked_version(version)
        except ValueError as error:
            raise FieldError(str(error), name) from None


def left_version(annotations: Mapping[str, str]) -> str | None:
    """Return the only version that the request to go back is about; None when it is about whichever is asked for."""
    words = annotations.get(ANNOTATION_ROLLBACK_TO, "").split()
    return words[2] if words[1:2] == ["from"] and len(words) > 2 else None  # noqa: PLR2004 -- the words before it


def named_version(annotations: Mapping[str, str], name: str) -> str | None:
    """Return the version that a request of this name begins with; None when there is none."""
    return next(iter(annotations.get(name, "").split()), None)


def held_targets(annotations: Mapping[str, str]) -> Mapping[str, str]:
    """Return the reason of each held target, by its name or its id."""
    return _by_target(annotations, ANNOTATION_HOLD_TARGETS)


def pinned_targets(annotations: Mapping[str, str]) -> Mapping[str, str]:
    """Return the version of each pinned target, by its name or its id."""
    return _by_target(annotations, ANNOTATION_PIN_TARGETS)


def requests(annotations: Mapping[str, str]) -> Mapping[str, str]:
    """Return what names the request for a new build of each template, by its name or `ALL_TEMPLATES`."""
    return _by_key(annotations, ANNOTATION_REBUILD)


def _by_target(annotations: Mapping[str, str], name: str) -> Mapping[str, str]:
    values = _by_key(annotations, name)
    for target in values:
        if _TARGET.fullmatch(target) is None:
            raise FieldError(
                f"{target!r} is no target; write a container's name, docker/HOST/CONTAINER, NAMESPACE/KIND/NAME, or"
                " docker/HOST/*, NAMESPACE/* or * for all of them",
                name,
            )
    return values


def _by_key(annotations: Mapping[str, str], name: str) -> Mapping[str, str]:
    text, each = annotations.get(name), _EACH.get(name, "target")
    if text is None:
        return {}

    def unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise FieldError(f"a {each} stands twice among {', '.join(sorted(values))}; keep one", name)
        return values

    try:
        values = json.loads(text, object_pairs_hook=unrepeated)
    except json.JSONDecodeError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
        raise FieldError(f"must be JSON that gives each {each} {_WANTED[name]}, got {shown!r}", name)
    return values
