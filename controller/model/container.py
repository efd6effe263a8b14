"""A container as an engine lists it, and what an engine tells as it happens: the raw nouns of Docker targets."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

NEXT_PREFIX: Final = "wsr-next-"
"""Name of a successor that has not taken over yet."""
PREV_PREFIX: Final = "wsr-prev-"
"""Name of a container whose successor is not proven yet."""


class ContainerState(enum.StrEnum):
    """The engine's own words for the state of a container."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"

    @property
    def has_process(self) -> bool:
        """Whether the engine keeps a process of it alive, or is about to start one again."""
        return self in _WITH_PROCESS

    @property
    def has_ended(self) -> bool:
        """Whether it had a process, which is gone."""
        return self in {ContainerState.EXITED, ContainerState.DEAD}


_WITH_PROCESS: Final = frozenset({ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING})


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """One published port; `host_port` is None while the container does not run."""

    container_port: int
    protocol: str
    host_ip: str | None
    host_port: int | None


@dataclass(frozen=True, slots=True)
class ContainerSummary:
    """One row of the engine's list.

    `image` is the reference that it was created from, or `sha256:…` once that tag has moved. `addresses` holds the
    IP address per network of a running container. `link_consumers` are the names of containers with a legacy link
    to this one; `network_of` is the id of the container whose network it shares. `mounts` are the names of its
    volumes and the paths of its binds.
    """

    id: str
    name: str
    image: str
    image_id: str
    state: ContainerState
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PublishedPort, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[str, ...] = ()
    link_consumers: tuple[str, ...] = ()
    network_of: str | None = None


class EngineEventKind(enum.StrEnum):
    """What an engine told; CONNECTED and LOST are about the connection to the engine itself."""

    START = "start"
    DIE = "die"
    DESTROY = "destroy"
    RENAME = "rename"
    CONNECTED = "connected"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something happened; whoever listens looks at the world again rather than trusting the event.

    Events before CONNECTED may have been missed, hence that is a reason to look too.
    """

    kind: EngineEventKind
    container_id: str = ""
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
