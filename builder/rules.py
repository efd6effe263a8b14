"""The rules that `verify` holds a wheel to: their ids are stable, and docs/verify.md is rendered from here."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class Level(enum.StrEnum):
    """What a finding means; the values are those of SARIF."""

    ERROR = "error"
    NOTE = "note"
    """Worth knowing; it stops nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold: `what` says so in one sentence, `cure` what to do where it does not."""

    id: str
    what: str
    cure: str
    level: Level = Level.ERROR


_RULES: Final = (
    Rule(
        "WheelUnreadable",
        "The file is a wheel: its name follows the format, and every file in the archive can be read.",
        "Build it again, or copy it again.",
    ),
    Rule(
        "DistInfoMismatch",
        "There is exactly one `.dist-info` folder, and it belongs to the wheel's name and version.",
        "Build it again into an empty folder.",
    ),
    Rule(
        "MetadataInvalid",
        "METADATA follows its specification: name, version, `Requires-Python` and every `Requires-Dist` can be read.",
        "Correct the field in pyproject.toml or requirements.txt, and build again.",
    ),
    Rule(
        "WheelNotPure",
        "The wheel installs on every platform: its tags are `py3-none-any`, in name and WHEEL alike.",
        "Build it without compiled code, with a backend that tags it so.",
    ),
    Rule(
        "RecordMismatch",
        "RECORD lists every file once, with the hash and size that it has, and no other.",
        "Do not change a wheel after it was built; build it again.",
    ),
    Rule(
        "PackageMissing",
        "The wheel holds the package, as a folder with `__init__.py`.",
        "Build it from the runtime's source with the package verb.",
    ),
    Rule(
        "DoesNotCompile",
        "Every Python file compiles, with every Python on the machine that `Requires-Python` includes.",
        "Correct the syntax; the oldest Python that Requires-Python admits must read it.",
    ),
    Rule(
        "UnresolvedImport",
        "Every import of a module of the package carries the package's name and leads to a module that is there.",
        "Add the module, or correct the import in the source, and build again.",
    ),
    Rule(
        "EntryPointMissing",
        "The console script `molecule-runtime` is there.",
        "Declare it; the package verb does so for a source with main.main_sync.",
    ),
    Rule(
        "EntryPointBroken",
        "Every entry point leads to something that is there; that of a script can be called without arguments.",
        "Correct the entry point, or define what it names.",
    ),
    Rule(
        "PublicNameRemoved",
        "What was public in the newest earlier release is still there.",
        "Bring it back, or name it with --removed where its users know.",
    ),
    Rule(
        "DependencyUnresolvable",
        "The wheel installs into a clean environment with its dependencies.",
        "Correct the requirement, or publish what it asks for to the index.",
    ),
    Rule(
        "DependencyConflict",
        "What was installed fits together, as `pip check` sees it.",
        "Correct the requirements so that one set satisfies all of them.",
    ),
    Rule(
        "UndeclaredImport",
        "Every imported distribution is declared by the wheel itself; that another one happens to bring it does not count.",
        "Add the distribution to requirements.txt, or guard the import with `except ImportError`.",
    ),
    Rule(
        "OptionalImport",
        "An import that no declared distribution provides is guarded: the package works without it.",
        "Nothing, if that is meant; else add the distribution to requirements.txt.",
        Level.NOTE,
    ),
    Rule(
        "BootFailed",
        "The process starts from a foreign working directory with production's environment, and serves its agent card.",
        "Start molecule-runtime from an empty folder in a fresh environment, and correct what it says.",
    ),
    Rule(
        "IdentityMismatch",
        "The process reports the wheel's version and content digest at `/runtime`.",
        "Build the wheel from the runtime's source; nothing may be installed over it or change it at start.",
    ),
    Rule(
        "TurnFailed",
        "The process answers two A2A turns of one conversation, and remembers the first in the second.",
        "Talk to the echo adapter as the message says, and correct what it answers.",
    ),
    Rule(
        "StopFailed",
        "SIGTERM ends the process with exit code 0 within its grace period.",
        "Correct what keeps it from ending: a thread that is not a daemon, or a handler that fails.",
    ),
)
RULES: Final[Mapping[str, Rule]] = {rule.id: rule for rule in _RULES}
"""Every rule by its id, in the order in which they are looked at."""
