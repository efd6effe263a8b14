"""All that is asked for, and what must hold between its parts."""

from __future__ import annotations

from typing import Annotated

from packaging.version import Version
from pydantic import Field, model_validator

from controller.api.field_error import FieldError
from controller.api.v1alpha1._base import Document, PackageVersion
from controller.api.v1alpha1.build import Build
from controller.api.v1alpha1.notifications import Notification
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
    """The adapter templates: each has an image of its own that carries the runtime."""
    targets: Targets
    rollout: Rollout = Rollout()
    notifications: Annotated[list[Notification], Field(max_length=10)] = []
    """Who is told when the object is held, blocked, stalled or done."""

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        for key in ("name", "image"):
            _unique([getattr(template, key) for template in self.templates], "templates", key=key)
        _unique([host.name for host in self.targets.docker_hosts], "targets", "dockerHosts", key="name")
        _unique([each.name for each in self.targets.workloads], "targets", "workloads", key="name")
        _unique([each.secret_name for each in self.notifications], "notifications", key="secretName")
        if self.targets.workloads and self.registry.mode == "Engine":
            raise FieldError(
                "need registry.mode: Remote; the nodes of a cluster pull from a registry",
                "targets",
                "workloads",
            )
        if len(self.targets.docker_hosts) > 1 and self.registry.mode == "Engine":
            raise FieldError(
                "names several hosts, and in registry.mode: Engine images are in one of them only; use Remote",
                "targets",
                "dockerHosts",
            )
        self._check_hosts_of_waves()
        self._check_version()
        self._check_artifacts()
        for number, template in enumerate(self.templates):
            self._check_image(template, "templates", number)
            self._check_platforms(template.build, "templates", number, "build")
        return self

    def _check_hosts_of_waves(self) -> None:
        known = [host.name for host in self.targets.docker_hosts]
        known += [name for each in self.targets.workloads for name in each.namespaces]
        for number, wave in enumerate(self.rollout.waves):
            for place, host in enumerate(wave.hosts):
                if host not in known:
                    raise FieldError(
                        f"{host!r} is no host or namespace of targets; known are {', '.join(known)}",
                        *("rollout", "waves", number, "hosts", place),
                    )

    def _check_version(self) -> None:
        ceiling = self.package.version_ceiling
        if ceiling is not None and Version(self.version) >= Version(ceiling):
            raise FieldError(
                f"{self.version} is at or above package.versionCeiling {ceiling}; correct it, or raise the ceiling",
                "version",
            )

    def _check_artifacts(self) -> None:
        artifacts = self.registry.artifacts
        if self.registry.mode == "Engine" and ("/" in artifacts or ":" in artifacts):
            raise FieldError(
                f"{artifacts!r} must be a volume name in Engine mode; use letters, digits, '.', '_' and '-'",
                "registry",
                "artifacts",
            )

    def _check_image(self, template: Template, *at: str | int) -> None:
        if self.registry.mode == "Remote":
            if not _names_host(template.image):
                raise FieldError(
                    f"{template.image!r} names no registry host; write HOST/REPOSITORY, or use registry.mode: Engine",
                    *at,
                    "image",
                )
        elif not template.build.ours:
            raise FieldError(
                f"{template.build.strategy} needs registry.mode: Remote; nobody else can deliver an image to one engine",
                *at,
                "build",
                "strategy",
            )

    def _check_platforms(self, build: Build, *at: str | int) -> None:
        count = len(build.platforms or ())
        if count > 1 and self.registry.mode == "Engine":
            raise FieldError(
                f"names {count} platforms, and an engine has images of one; keep one, or use registry.mode: Remote",
                *at,
                "platforms",
            )
        if count > 1 and build.full_build is None:
            raise FieldError(
                f"names {count} platforms, and only one is built here; name in fullBuild the image or index that has"
                " the full builds for the others",
                *at,
                "platforms",
            )
        if build.full_build is None:
            return
        if count <= 1:
            raise FieldError(
                "is for further platforms, and platforms names none; name them, or remove it",
                *at,
                "fullBuild",
            )
        if not _names_host(build.full_build):
            raise FieldError(
                f"{build.full_build!r} names no registry host; write HOST/REPOSITORY:TAG", *at, "fullBuild"
            )


def _unique(values: list[str], *at: str, key: str) -> None:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise FieldError(f"{value!r} stands twice; each entry needs its own", *at, number, key)
