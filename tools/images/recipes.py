"""What each image is made of: Debian packages, the lock file's dependencies, our own packages, and what it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

SUITE: Final = "bookworm"
"""The Debian whose `python3` is `PYTHON`."""
PYTHON: Final = (3, 11)
SITE: Final = "usr/local/lib/python3.11/dist-packages"
"""Where Debian's Python looks also when it is told to ignore its environment (`-I`)."""
USER: Final = 65532
"""Nobody else's: it owns nothing in the image."""
_SYSTEM: Final = ("base-files", "dash", "python3", "ca-certificates")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image.

    `dependencies` are options of `uv export` that choose from the lock file; `ours` are folders of this repository.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    dependencies: tuple[str, ...]
    ours: tuple[str, ...]
    entrypoint: tuple[str, ...]
    environment: tuple[str, ...] = field(
        default=(
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "LANG=C.UTF-8",
            "HOME=/tmp",
            "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONUNBUFFERED=1",
            # OpenSSL looks for hashed names that a tool of Debian's would have made.
            "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        )
    )


RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="workspace-runtime-operator",
            title="Keeps the workspaces of a cluster on the runtime version they are asked to run",
            packages=(*_SYSTEM, "git", "openssh-client"),
            dependencies=("--no-default-groups", "--extra", "operator"),
            ours=("controller", "builder"),
            entrypoint=("python", "-m", "controller"),
        ),
        Recipe(
            name="workspace-runtime-wsr",
            title="Keeps the workspaces of one machine on the runtime version they are asked to run",
            packages=(*_SYSTEM, "git", "openssh-client", "docker.io"),
            dependencies=("--no-default-groups", "--group", "builder", "--extra", "cluster"),
            ours=("controller", "builder"),
            entrypoint=("wsr",),
        ),
        Recipe(
            name="workspace-runtime-builder",
            title="Builds, proves and publishes the workspace runtime and its images",
            packages=_SYSTEM,
            dependencies=("--only-group", "builder"),
            ours=("builder",),
            entrypoint=("python", "-m", "builder"),
        ),
        Recipe(
            name="workspace-runtime-buildah",
            title="The builder with Buildah, for templates that are built in full without a Docker Engine",
            packages=(*_SYSTEM, "buildah", "uidmap"),
            dependencies=("--only-group", "builder"),
            ours=("builder",),
            entrypoint=("python", "-m", "builder"),
        ),
    )
}
