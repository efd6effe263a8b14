"""All that is asked for, and what must hold between its parts."""

from __future__ import annotations

from typing import Annotated

from packaging.version import Version
from pydantic import Field, model_validator

from controller.api.v1alpha1._base import Document, PackageVersion
from controller.api.v1alpha1.build import Build
from controller.api.v1alpha1.package import Package
from controller.api.v1alpha1.registry import Registry
from controller.api.v1alpha1.rollout import Rollout
from controller.api.v1alpha1.source import Source
from controller.api.v1alpha1.targets import Targets
from controller.api.v1alpha1.templates import Template


def _names_host(image: str) -> bool:
    host, slash, _ = image.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


class Spec(Document):
    """What is asked for."""

    version: PackageVersion
    """The runtime version that every target must run; the one line that a bump edits."""
    suspend: bool = False
    """True stops all work on this object; what runs keeps running."""
    source: Source
    package: Package
    registry: Registry
    templates: Annotated[list[Template], Field(min_length=1, max_length=50)]
    targets: Targets
    rollout: Rollout = Rollout()

    @model_validator(mode="after")
    def _with_full_builds(self) -> Spec:
        for template in self.templates:
            problem = self._platforms_problem(template.build)
            if problem:
                raise ValueError(f"template {template.name}: {problem}")
        return self

    def _platforms_problem(self, build: Build) -> str | None:
        """Return what is wrong with the platforms of a template, and the cure."""
        count = len(build.platforms or ())
        if len(set(build.platforms or ())) < count:
            return "build.platforms names a platform twice; keep one of them"
        if count > 1 and self.registry.mode == "Engine":
            return (
                f"build.platforms names {count} platforms, and an engine has images of one; keep one,"
                " or use registry.mode: Remote"
            )
        if count > 1 and build.full_build is None:
            return (
                f"build.platforms names {count} platforms, and only one is built here; name in build.fullBuild"
                " the image or index that has the full builds for the others"
            )
        if count < 2 and build.full_build is not None:  # noqa: PLR2004 -- further ones are two or more
            return "build.fullBuild is for further platforms, and build.platforms names none; name them, or remove it"
        if build.full_build is not None and not _names_host(build.full_build):
            return f"build.fullBuild {build.full_build!r} names no registry host; write HOST/REPOSITORY:TAG"
        return None

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        _unique("templates", [template.name for template in self.templates])
        _unique("templates", [template.image for template in self.templates], key="image")
        _unique("targets.dockerHosts", [host.name for host in self.targets.docker_hosts])
        ceiling = self.package.version_ceiling
        if ceiling is not None and Version(self.version) >= Version(ceiling):
            raise ValueError(
                f"version {self.version} is at or above package.versionCeiling {ceiling}; correct the version, or raise the ceiling"
            )
        if self.registry.mode == "Engine":
            for template in self.templates:
                if not template.build.ours:
                    raise ValueError(
                        f"template {template.name}: strategy {template.build.strategy} needs registry.mode: Remote; nobody"
                        " else can deliver an image to one engine"
                    )
        if self.registry.mode == "Remote":
            for template in self.templates:
                if not _names_host(template.image):
                    raise ValueError(
                        f"template {template.name}: image {template.image!r} names no registry host;"
                        " write HOST/REPOSITORY, or use registry.mode: Engine"
                    )
        elif "/" in self.registry.artifacts or ":" in self.registry.artifacts:
            raise ValueError(
                f"registry.artifacts {self.registry.artifacts!r} must be a volume name in Engine mode; use letters, digits, '.', '_' and '-'"
            )
        return self


def _unique(field: str, values: list[str], *, key: str = "name") -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{field}: {key} {value!r} stands twice; each entry needs its own")
        seen.add(value)
