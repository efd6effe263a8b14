"""Writes what surrounds the code in a build tree: version, requirements, project file, readme, licence, build record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from builder.contract import CONSOLE_SCRIPT, REQUIRES_PYTHON
from builder.problems import Complaint, Refused
from builder.tree import REQUIREMENTS

BACKEND: Final = "hatchling==1.33.0"
"""Pinned exactly: hatchling writes its version into every wheel, so another one makes other bytes."""
BUILD_RECORD: Final = "build.json"
"""In the wheel it is `<dist-info>/extra_metadata/build.json`, where the runtime reads its own commit."""
_REQUIRES_LIMIT_BYTES: Final = 2_500
"""They go into the report of the run, which Kubernetes cuts off at 4,096 bytes."""
_ENDS_OF_THE_SEARCH: Final = (".gitignore", ".hgignore")
_ENDS_OF_THE_SEARCH_SAY: Final = b"""\
# Nothing is ignored here. hatchling puts the next such file that it finds on the way up into the source archive,
# even when it is told to ignore it; this one ends the search, so that the archive is the same wherever the tree lies.
"""
_LICENSE: Final = "LICENSE"
_README: Final = "README.md"
_LOCAL: Final = re.compile(r"(?P<public>.+?)-(?P<local>local(?:[._-][A-Za-z0-9._-]+)?)")
_ALMOST: Final = re.compile(r"(?:[A-Za-z/_-]*[/_-])?v?(?P<numbers>\d+(?:[.,_]\d+)*)(?P<rest>.*)", re.DOTALL)
"""A version in a tag's name, or with the marks of another language."""
_SCRIPT_FUNCTION: Final = "main_sync"


@dataclass(frozen=True, slots=True)
class Project:
    """All that the metadata says; `version` is normalised, `requires` are the source's requirements."""

    name: str
    module: str
    version: str
    requires: tuple[str, ...]
    commit: str | None
    tree_sha256: str

    @property
    def script_target(self) -> str:
        """What the console script calls, as an entry point names it."""
        return f"{self.module}.main:{_SCRIPT_FUNCTION}"


def normalised_version(text: str) -> str:
    """Return a version as PEP 440 writes it; `0.1.0-local` becomes `0.1.0+local`.

    Raises:
        Refused: reason BadVersion; PEP 440 has no such version.
    """
    local = _LOCAL.fullmatch(text.strip())
    try:
        return str(Version(f"{local['public']}+{local['local']}" if local else text))
    except InvalidVersion:
        raise Refused("BadVersion", [f"{text!r} is not a version (PEP 440). {_suggestion(text)}"]) from None


def _suggestion(text: str) -> str:
    found = _ALMOST.fullmatch(text.strip())
    if found:
        numbers = re.sub(r"[,_]", ".", found["numbers"])
        rest = re.sub(r"[^A-Za-z0-9]+", ".", found["rest"]).strip(".")
        suffix = [f"{numbers}{rest}"] if not rest[:1].isdigit() else []
        label = [f"{numbers}+{rest}"] if found["rest"].startswith(("-", "_", " ")) else []
        for candidate in suffix + label:
            try:
                return f"Did you mean {Version(candidate)}?"
            except InvalidVersion:
                continue
    return "Write it like 0.1.6, 0.2.0rc1 or 0.1.6+local."


def read_requirements(raw: bytes | None) -> tuple[str, ...]:
    """Return the requirements of a source's `requirements.txt` in its order; none where there is no such file.

    Raises:
        Refused: a line is an option of pip, an address, or no requirement (PEP 508).
    """
    if raw is None:
        return ()
    requires: list[str] = []
    complaints: list[Complaint] = []
    for number, line in _logical_lines(raw.decode("utf-8-sig", errors="replace")):
        try:
            requires.append(_requirement(line))
        except ValueError as error:
            complaints.append(Complaint(REQUIREMENTS, number, str(error)))
    if sum(len(requirement) + 3 for requirement in requires) > _REQUIRES_LIMIT_BYTES:
        complaints.append(
            Complaint(
                REQUIREMENTS,
                0,
                f"These requirements take more than {_REQUIRES_LIMIT_BYTES} characters. Name fewer.",
            )
        )
    if complaints:
        raise Refused("BadRequirements", complaints)
    return tuple(requires)


def _requirement(line: str) -> str:
    if line.startswith("-"):
        raise ValueError(
            f"{line!r} is an option of pip; a package's metadata holds requirements only. Write them here."
        )
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        raise ValueError(f"{line!r} is no requirement (PEP 508): {str(error).splitlines()[0]}.") from error
    if requirement.url:
        raise ValueError(
            f"{line!r} names an address, which indexes refuse in a package. Name a version instead."
        )
    return str(requirement)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Join continued lines, drop comments as pip does; a line is numbered by where it starts."""
    begun, start = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        start = start if begun else number
        begun += line
        if begun.endswith("\\"):
            begun = begun[:-1]
            continue
        logical = re.sub(r"(?:^|\s)#.*", "", begun).strip()
        begun = ""
        if logical:
            yield start, logical
    if begun.strip():
        yield start, begun.strip()


def check_clashes(requires: tuple[str, ...], top_level: dict[str, str]) -> None:
    """Check that no module has the name of a requirement: inside the package both could not be meant.

    Args:
        requires: the requirements.
        top_level: paths of the top-level modules by name.

    Raises:
        Refused: reason NameClash.
    """
    modules = {canonicalize_name(name): name for name in top_level}
    clashes = [
        Complaint(
            top_level[modules[name]],
            0,
            f"The module {modules[name]!r} has the name of the requirement {requirement!r} ({REQUIREMENTS}): "
            "an import could mean either. Rename the module.",
        )
        for requirement in requires
        if (name := canonicalize_name(Requirement(requirement).name)) in modules
    ]
    if clashes:
        raise Refused("NameClash", clashes)


def surroundings(project: Project, source: Path) -> dict[str, bytes]:
    """Return the files of the build tree beside the package, by path."""
    record = {"commit": project.commit, "treeSha256": project.tree_sha256}
    license_text = _license(source)
    return {
        **dict.fromkeys(_ENDS_OF_THE_SEARCH, _ENDS_OF_THE_SEARCH_SAY),
        "pyproject.toml": _pyproject(project, license_text).encode(),
        _README: _readme(project, source),
        _LICENSE: license_text,
        BUILD_RECORD: (json.dumps(record, sort_keys=True) + "\n").encode(),
    }


def _license(source: Path) -> bytes:
    for folder in (source, source.resolve().parent):
        if (folder / _LICENSE).is_file():
            return (folder / _LICENSE).read_bytes()
    return resources.files("builder.stages").joinpath("apache-2.0.txt").read_bytes()


def _readme(project: Project, source: Path) -> bytes:
    if (source / _README).is_file():
        return (source / _README).read_bytes()
    return (
        f"# {project.name}\n\nThe runtime of an agent workspace: `pip install {project.name}`, "
        f"then run `{CONSOLE_SCRIPT}`.\n\nThis tree was built from the source folder of module "
        f"`{project.module}`; change the source, not this tree.\n"
    ).encode()


def _pyproject(project: Project, license_text: bytes) -> str:
    apache = b"Apache License" in license_text and b"Version 2.0" in license_text
    lines = [
        "# Written by the builder from the source folder: change that, not this.",
        "[build-system]",
        f"requires = [{_quoted(BACKEND)}]",
        'build-backend = "hatchling.build"',
        "",
        "[project]",
        f"name = {_quoted(project.name)}",
        f"version = {_quoted(project.version)}",
        'description = "The runtime that every agent workspace runs."',
        f"readme = {_quoted(_README)}",
        f"requires-python = {_quoted(REQUIRES_PYTHON)}",
        *(['license = "Apache-2.0"'] if apache else []),
        f"license-files = [{_quoted(_LICENSE)}]",
        "dependencies = [",
        *(f"  {_quoted(requirement)}," for requirement in project.requires),
        "]",
        "",
        "[project.scripts]",
        f"{_quoted(CONSOLE_SCRIPT)} = {_quoted(project.script_target)}",
        "",
        "[tool.hatch.build]",
        "ignore-vcs = true # a .gitignore around this tree has no say in what ships",
        f"artifacts = [{_quoted(f'/{project.module}/**')}] # nor have hatchling's own exclusions",
        "",
        "[tool.hatch.build.targets.wheel]",
        f"only-include = [{_quoted(project.module)}]",
        "",
        "[tool.hatch.build.targets.wheel.extra-metadata]",
        f"{_quoted(BUILD_RECORD)} = {_quoted(BUILD_RECORD)}",
        "",
        "[tool.hatch.build.targets.sdist]",
        f"only-include = [{_quoted(project.module)}, {_quoted(BUILD_RECORD)}]",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a TOML basic string; JSON's is one, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
