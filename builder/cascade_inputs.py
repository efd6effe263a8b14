"""The document that a cascade is given: one wheel, and the templates that must get it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

from builder.login import Login
from builder.pipconf import Index
from builder.problems import Refused

Mode = Literal["Engine", "Remote"]
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class KnownBuild:
    """A full build of an earlier run: its name, its identity, the inputs it was made of, and its inventory if kept."""

    image: str
    digest: str
    inputs_sha256: str
    inventory: Path | None


@dataclass(frozen=True, slots=True)
class Why:
    """Why an image is built: a change's name and, in words as far as known, what was before and what is now."""

    reason: str
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        if self.before is None and self.after is None:
            return self.reason
        return f"{self.reason}: {self.before or 'nothing'} -> {self.after or 'nothing'}"


@dataclass(frozen=True, slots=True)
class OtherPlatform:
    """A platform that is not built here: where its full build is (`full_build`, an image or an index).

    `inventory` is that of the full build with `known_digest`, which an earlier run saw.
    """

    platform: str
    full_build: str
    known_digest: str
    inventory: Path | None


@dataclass(frozen=True, slots=True)
class Template:
    """One template: where its images go (`image`, a repository), and what a full build of it is made of.

    `rebuild` asks for another full build than the known one; `fresh` for one that takes nothing from a build cache.
    `bases` are the digests that the Dockerfile's bases must have, by name, as far as known. `request` names what a
    person asked for last. `platform`, empty for the engine's own, is built here. With `others` the candidate is an index.
    `always` asks for a full build with every wheel. A `shadow` has no folder: the wheel goes on `full_build`, an image that
    somebody else built, or nowhere.
    """

    name: str
    image: str
    directory: Path
    inputs_sha256: str
    build_args: Mapping[str, str]
    platform: str
    rebuild: bool
    full_build: KnownBuild | None
    why: Why = Why("WheelChanged")
    bases: Mapping[str, str] = field(default_factory=dict)
    request: str = ""
    fresh: bool = False
    always: bool = False
    shadow: bool = False
    others: tuple[OtherPlatform, ...] = ()


@dataclass(frozen=True, slots=True)
class Registry:
    """How registries are reached."""

    insecure: bool = False
    docker_config: Login | None = None
    ca_file: Path | None = None
    pull_config: Login | None = None
    """What is read with, where that is not what is written with."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read `{insecure, dockerConfig, caFile, pullConfig, hosts}`, all optional."""
        hosts = tuple(str(host) for host in document.get("hosts") or ())
        writing, reading = (_path(document.get(name)) for name in ("dockerConfig", "pullConfig"))
        return cls(
            insecure=bool(document.get("insecure")),
            docker_config=Login(writing, hosts) if writing else None,
            ca_file=_path(document.get("caFile")),
            pull_config=Login(reading, hosts) if reading else None,
        )

    @property
    def reading(self) -> Login | None:
        """What opens base images and whatever else is only read."""
        return self.pull_config or self.docker_config


@dataclass(frozen=True, slots=True)
class CascadeInputs:
    """All that a cascade is given. `index` is None for what pip on this machine is set to."""

    version: str
    wheel: Path
    wheel_sha256: str
    content_sha256: str
    mode: Mode
    templates: tuple[Template, ...]
    registry: Registry = field(default_factory=Registry)
    index: Index | None = None
    parallelism: int = 8

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the document.

        Raises:
            Refused: reason InvalidInputs; it is absent, not JSON, or a field is missing or wrong, and which.
        """
        try:
            return cls._from_document(json.loads(file.read_bytes()))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise Refused("InvalidInputs", [f"{file} is not a cascade's inputs: {error}."]) from error
        except KeyError as error:
            raise Refused("InvalidInputs", [f"{file} has no field {error}."]) from error

    @classmethod
    def _from_document(cls, document: Mapping[str, Any]) -> Self:
        index = document.get("index") or {}
        templates = tuple(_template(template) for template in document["templates"])
        names = [template.name for template in templates]
        if len(set(names)) != len(names):
            raise ValueError("two templates have the same name")
        mode = known_mode(document["mode"])
        for template in templates:
            if template.others and mode == "Engine":
                raise ValueError(
                    f"template {template.name} is for several platforms, and an engine keeps no index"
                )
        return cls(
            version=document["version"],
            wheel=Path(document["wheel"]),
            wheel_sha256=_sha256(document["wheelSha256"]),
            content_sha256=_sha256(document["contentSha256"]),
            mode=mode,
            templates=templates,
            registry=Registry.from_document(document.get("registry") or {}),
            index=Index.named(index["url"], _path(index.get("caFile"))) if index.get("url") else None,
            parallelism=int(document.get("parallelism") or 8),
        )


def known_mode(text: str) -> Mode:
    """Return a mode; raises ValueError when the text is none."""
    match text:
        case "Engine" | "Remote":
            return text
    raise ValueError(f"mode is {text!r}, neither Engine nor Remote")


def _template(document: Mapping[str, Any]) -> Template:
    if document.get("shadowOf"):
        return _shadow(document, document["shadowOf"])
    known = document.get("fullBuild")
    return Template(
        name=document["name"],
        image=document["image"],
        directory=Path(document["directory"]),
        inputs_sha256=_sha256(document["inputsSha256"]),
        build_args=dict(document.get("buildArgs") or {}),
        platform=document.get("platform") or "",
        rebuild=bool(document.get("rebuild")),
        always=bool(document.get("always")),
        full_build=known
        and KnownBuild(known["image"], known["digest"], known["inputsSha256"], _path(known.get("inventory"))),
        why=Why(document.get("reason") or "WheelChanged", document.get("before"), document.get("after")),
        bases=dict(document.get("bases") or {}),
        request=document.get("request") or "",
        fresh=bool(document.get("fresh")),
        others=tuple(_other(other) for other in document.get("otherPlatforms") or ()),
    )


def _other(document: Mapping[str, Any]) -> OtherPlatform:
    known = document.get("known") or {}
    return OtherPlatform(
        document["platform"],
        document["fullBuild"],
        known.get("digest") or "",
        _path(known.get("inventory")),
    )


def _shadow(document: Mapping[str, Any], served: Mapping[str, Any]) -> Template:
    inputs = _sha256(str(served["digest"]).removeprefix("sha256:"))
    return Template(
        name=document["name"],
        image=document["image"],
        directory=Path(),
        inputs_sha256=inputs,
        build_args={},
        platform=document.get("platform") or "",
        rebuild=False,
        full_build=KnownBuild(served["image"], served["digest"], inputs, None),
        shadow=True,
    )


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError(f"{text!r} is not a sha256 in 64 hex digits")
    return text


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
