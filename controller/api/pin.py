"""Puts another version into the pin of one requirement in a requirements file, and leaves every other byte as it was."""

from __future__ import annotations

import re
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from controller.api.bump import Bumped
from controller.api.load import InvalidDocument

_NAME: Final = re.compile(r"\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_FLOOR: Final = re.compile(r"(?P<operator>===|==|~=|>=)\s*(?P<version>[^\s,;)#\\]+)")
_PINS: Final = {"==", "===", "~=", ">="}


def bump_pin(text: str, version: str, *, package: str, file: str) -> Bumped:
    """Replace the version that `text`, a pip requirements file, pins `package` to: after `==`, `===`, `~=` or `>=`.

    Args:
        text: the file's text.
        version: normalised (PEP 440).
        package: the distribution's name, in any spelling of it.
        file: its name in messages.

    Raises:
        InvalidDocument: no line names the package, several do, the line pins nothing or in more than one way, excludes the new
            version, carries hashes, or cannot hold it behind its operator (a local version behind `>=`).
    """
    lines = text.splitlines(keepends=True)
    found = [number for number, line in enumerate(lines) if _names(line, package)]
    if not found:
        raise InvalidDocument(f"{file}:1: does not name {package}; add the line {package}=={version}")
    if len(found) > 1:
        raise InvalidDocument(f"{file}:{found[1] + 1}: names {package} once more; keep one line")
    number = found[0]
    line = lines[number]
    pin = _pin(line, version, where=f"{file}:{number + 1}", package=package)
    lines[number] = line[: pin.start("version")] + version + line[pin.end("version") :]
    _readable(pin["operator"] + version, where=f"{file}:{number + 1}", package=package, version=version)
    return Bumped("".join(lines), pin["version"], number + 1)


def _readable(specifier: str, *, where: str, package: str, version: str) -> None:
    try:
        SpecifierSet(specifier)
    except InvalidSpecifier:
        raise InvalidDocument(
            f"{where}: {specifier!r} would be no specifier (PEP 440); write {package}=={version}"
        ) from None


def _names(line: str, package: str) -> bool:
    name = _NAME.match(line)
    return name is not None and canonicalize_name(name["name"]) == canonicalize_name(package)


def _pin(line: str, version: str, *, where: str, package: str) -> re.Match[str]:
    said = line.partition(" #")[0].strip()
    if "--hash" in said or said.endswith("\\"):
        raise InvalidDocument(
            f"{where}: goes on with hashes or options; they belong to one version, so edit it by hand"
        )
    try:
        requirement = Requirement(said)
    except InvalidRequirement as error:
        raise InvalidDocument(
            f"{where}: {said!r} is no requirement (PEP 508): {str(error).splitlines()[0]}"
        ) from None
    pins = [each for each in requirement.specifier if each.operator in _PINS]
    if len(pins) != 1 or pins[0].version.endswith(".*"):
        raise InvalidDocument(f"{where}: {said!r} does not pin one version; write {package}=={version}")
    others = SpecifierSet(",".join(str(each) for each in requirement.specifier if each is not pins[0]))
    if not others.contains(Version(version), prereleases=True):
        raise InvalidDocument(f"{where}: {said!r} excludes {version}; correct {others} first")
    pin = _FLOOR.search(line)
    assert pin is not None  # noqa: S101 -- the parser has just found it there
    return pin
