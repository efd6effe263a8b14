"""What a full build of a template is made of, part by part, so that a change of it can be told by its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.dockerfile import base_images
from builder.naming import inputs_sha256, tree_lines

DOCKERFILE: Final = "Dockerfile"
REQUIREMENTS: Final = "requirements.txt"
REQUIREMENTS_TOLD: Final = 200
"""A longer list is a lock file, which nobody reads line by line; its hash still tells that it changed."""


@dataclass(frozen=True, slots=True)
class TemplateInputs:
    """The parts of a template's folder and build arguments; every hash is a SHA-256 in hex.

    `sha256` is that of the whole (`template_inputs_sha256`), `rest_sha256` that of all but Dockerfile and
    `requirements.txt`. `requirements` are its lines without comments and options, none of a list that is too long to
    tell. `bases` are the images that the Dockerfile starts from, as it names them, that of its last stage first.
    """

    sha256: str
    dockerfile_sha256: str
    requirements_sha256: str | None
    requirements: tuple[str, ...]
    rest_sha256: str
    bases: tuple[str, ...]


def read_template_inputs(directory: Path, build_args: Mapping[str, str]) -> TemplateInputs:
    """Read a template's folder, which has a Dockerfile; raises OSError."""
    lines = tree_lines(directory)
    dockerfile = (directory / DOCKERFILE).read_bytes()
    requirements = directory / REQUIREMENTS
    listed = requirements.read_bytes() if requirements.is_file() else None
    rest = [line for line in lines if line[0] not in {DOCKERFILE, REQUIREMENTS}]
    return TemplateInputs(
        sha256=inputs_sha256(lines, build_args),
        dockerfile_sha256=hashlib.sha256(dockerfile).hexdigest(),
        requirements_sha256=None if listed is None else hashlib.sha256(listed).hexdigest(),
        requirements=_requirements((listed or b"").decode(errors="replace")),
        rest_sha256=inputs_sha256(rest, build_args),
        bases=base_images(dockerfile.decode(errors="replace"), build_args),
    )


def full_build_inputs(inputs: str, bases: Mapping[str, str], request: str) -> str:
    """Return the digest that names one full build: of these inputs, on these bases (digest by name), for this request.

    The same inputs on a base that moved, or asked for anew, are another full build.
    """
    if not bases and not request:
        return inputs
    return hashlib.sha256(json.dumps([inputs, dict(sorted(bases.items())), request]).encode()).hexdigest()


def _requirements(text: str) -> tuple[str, ...]:
    lines = (line.split(" #")[0].strip().removesuffix("\\").strip() for line in text.splitlines())
    told = tuple(line for line in lines if line and not line.startswith(("#", "-")))
    return told if len(told) <= REQUIREMENTS_TOLD else ()
