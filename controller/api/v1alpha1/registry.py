"""Where images and records live, and what is deleted there."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.api.patterns import ARTIFACTS_PATTERN
from controller.api.v1alpha1._base import Document, SecretName


class Pruning(Document):
    """Which images made on the way to a release are deleted."""

    candidates_older_than_days: Annotated[int, Field(ge=1, le=3_650)]
    """How old a candidate must be: an image of a version that was neither published nor judged Good and that is neither
    wanted nor run, or one that stood in at the gate for a version that is public by now. A full build goes with the last
    candidate on it. A digest that another tag or a kept record names stays, and so does a candidate of unknown age.
    Wheels stay: each is the only copy of the bytes that a record stands for."""


class Registry(Document):
    """Where images and release records live."""

    mode: Literal["Engine", "Remote"] = "Remote"
    """Remote: an OCI registry. Engine: images live in one Docker Engine only, records in a named volume of it."""
    artifacts: Annotated[str, Field(max_length=255, pattern=ARTIFACTS_PATTERN)]
    """The repository (Remote) or the volume (Engine) that holds candidate wheels, release records and inventories."""
    push_secret_name: SecretName | None = None
    """The Secret with `username` and `password`, or `.dockerconfigjson`, for pushing."""
    pull_secret_name: SecretName | None = None
    """The Secret of the same kind for reading, and for the engine's pulls; default: the one for pushing. In a cluster candidates pull with
    this one alone, and its type is kubernetes.io/dockerconfigjson."""
    ca_secret_name: SecretName | None = None
    """The Secret whose `ca.crt` verifies the registry's certificate."""
    insecure: bool = False
    """Plain HTTP; only when said."""
    prune: Pruning | None = None
    """Which candidate images are deleted once the object is up to date; absent: none. A registry must allow deletion (in
    docker-registry `storage.delete.enabled: true`); in Engine mode only tags are removed, never an image in use."""
