"""Reads a template's Dockerfile as far as a build must know it: its RUN steps, and the image it is based on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_DIRECTIVE = re.compile(r"#\s*escape\s*=\s*(\S)\s*$", re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\1")
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::(?P<kind>[-+])(?P<word>[^}]*))?\}|(?P<plain>\w+))")
_MAY_HAVE_HEREDOC: Final = frozenset({"RUN", "COPY", "ADD"})


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its first line (counted from 0), its name in capitals, and its text on one line."""

    line: int
    name: str
    text: str


def instructions(dockerfile: str) -> Iterator[Instruction]:
    """Yield the instructions of a Dockerfile; comments, continued lines and here-documents are seen as what they are."""
    lines = dockerfile.splitlines()
    escape = _escape(lines)
    position = 0
    while position < len(lines):
        start, parts = position, list[str]()
        while position < len(lines):
            stripped = lines[position].strip()
            position += 1
            if stripped.startswith("#") or (parts and not stripped):
                continue
            parts.append(stripped.removesuffix(escape).strip())
            if not stripped.endswith(escape):
                break
        text = " ".join(part for part in parts if part)
        if not text:
            continue
        # comments before the instruction do not belong to it
        while lines[start].strip().startswith("#") or not lines[start].strip():
            start += 1
        name, _, rest = text.partition(" ")
        if name.upper() in _MAY_HAVE_HEREDOC:
            position = _after_heredocs(lines, position, rest)
        yield Instruction(start, name.upper(), rest.strip())


def with_run_flags(dockerfile: str, flags: str) -> str:
    """Return the Dockerfile with flags put before the command of every RUN step and nothing else changed."""
    lines = dockerfile.splitlines(keepends=True)
    for instruction in instructions(dockerfile):
        if instruction.name == "RUN":
            line = lines[instruction.line]
            word_end = len(line) - len(line.lstrip()) + len("RUN")
            lines[instruction.line] = f"{line[:word_end]} {flags}{line[word_end:]}"
    return "".join(lines)


def base_images(dockerfile: str, build_args: Mapping[str, str]) -> tuple[str, ...]:
    """Return the images that the stages are based on, each once, that of the last stage first, as the file names them.

    Earlier stages and `scratch` are none; ARG defaults and build arguments are put in.
    """
    arguments: dict[str, str] = {}
    stages: dict[str, str] = {}
    bases: list[str] = []
    for instruction in instructions(dockerfile):
        if instruction.name == "ARG" and not bases:
            for word in _words(instruction.text):
                name, _, default = word.partition("=")
                arguments[name] = build_args.get(name, _substituted(default, arguments))
        elif instruction.name == "FROM":
            words = [word for word in instruction.text.split() if not word.startswith("--")]
            image = _substituted(words[0], arguments) if words else ""
            bases.insert(0, stages.get(image.lower(), image))
            if len(words) > 2 and words[1].upper() == "AS":  # noqa: PLR2004 -- FROM image AS name
                stages[words[2].lower()] = bases[0]
    return tuple(name for name in dict.fromkeys(bases) if name and name != "scratch")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that does not end: the build will say so
        return text.split()


def _escape(lines: list[str]) -> str:
    for line in lines:
        if not line.strip().startswith("#"):
            break
        if found := _DIRECTIVE.match(line.strip()):
            return found.group(1)
    return "\\"


def _after_heredocs(lines: list[str], position: int, text: str) -> int:
    for match in _HEREDOC.finditer(text):
        while position < len(lines) and lines[position].strip() != match.group(2):
            position += 1
        position += 1
    return position


def _substituted(text: str, arguments: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = arguments.get(match["braced"] or match["plain"], "")
        if match["kind"] == "-":
            return found or match["word"]
        return match["word"] if match["kind"] == "+" and found else found

    return _VARIABLE.sub(value, text)
