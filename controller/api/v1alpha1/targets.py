"""What runs the runtime, and may be replaced."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from controller.api.v1alpha1._base import ENDPOINT_PATTERN, PREFIX_PATTERN, Document, Labels, Name


class Selector(Document):
    """A label selector."""

    match_labels: Labels = {}
    """Labels that must all be there, each with this value."""


class DockerHost(Document):
    """A Docker Engine whose containers are targets."""

    name: Name
    """The host's name, the second part of its targets' ids, as in docker/HOST/CONTAINER."""
    endpoint: Annotated[str, Field(max_length=2048, pattern=ENDPOINT_PATTERN)]
    """The engine's address, as unix:///var/run/docker.sock."""
    container_prefix: Annotated[str, Field(min_length=1, max_length=63, pattern=PREFIX_PATTERN)] = "ws-"
    """Only containers whose name starts with this are targets."""
    selector: Selector = Selector.model_validate({"matchLabels": {"molecule.platform.managed": "true"}})
    """Only containers that carry all of these labels are targets."""


class Targets(Document):
    """What runs the runtime."""

    docker_hosts: Annotated[list[DockerHost], Field(min_length=1, max_length=1)]
    """The Docker Engines whose containers are targets."""
