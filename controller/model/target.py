"""What a document rolls, a container or a workload: what it runs, what it says, and what forbids touching it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from controller.api.conditions import Reason
from controller.model.container import ContainerState
from controller.model.observed import Known, Observed, Unknown
from controller.model.running import RuntimeReport


class Phase(enum.StrEnum):
    """How far the replacement of a target has come, as the engine's own facts tell it."""

    PREPARED = "Prepared"
    """The successor exists beside the old one and never ran. The next pass completes or abandons it."""
    SWITCHING = "Switching"
    """The old one was stopped or renamed, or the successor has not been proven: act on it now."""
    AWAITING_FIRST_START = "AwaitingFirstStart"
    """A stopped target has its new container; the old one is kept until somebody starts it. Nothing to do."""


@dataclass(frozen=True, slots=True)
class Succession:
    """A replacement that is under way: read from labels, not remembered."""

    phase: Phase
    old_id: str
    new_id: str
    image_id: str
    version: str | None
    content_sha256: str | None


@dataclass(frozen=True, slots=True)
class Barred:
    """Why a target must be left alone until somebody changes something: a reason of the vocabulary, and what to do."""

    reason: Reason
    cause: str


@dataclass(frozen=True, slots=True)
class Target:
    """One container, or one workload of a cluster, to roll.

    `id` is ``docker/HOST/CONTAINER`` or ``NAMESPACE/KIND/NAME``; `host` is the engine's name or the namespace. Of a
    workload `container_id` is its uid, `image_id` the digest in its image, empty where that has none, `state` whether it
    is scaled to nothing or fails in all its pods, and `running` stands for all of them. `template` is None when no listed template owns its image; `template_unknown`
    then says why. `container_id`, `image`, `image_id` and `state` are those of the container that serves (or would,
    if it ran): while a replacement switches, the one that holds the name, else the old one. `running` is Unknown for
    a container that does not run. `shape_unsafe` is why it must not be replaced, with the cause's name.
    """

    id: str
    host: str
    name: str
    template: str | None
    template_unknown: str | None
    container_id: str
    image: str
    image_id: str
    state: ContainerState
    running: Observed[RuntimeReport]
    hold: str | None = None
    pin: str | None = None
    shape_unsafe: str | None = None
    barred: Barred | None = None
    succession: Succession | None = None
    has_create_spec: bool = False
    """Whether its create specification is in its label; False for one that was never replaced by us."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Those of the container, or of the workload."""

    @classmethod
    def unseen(cls, namespace: str, barred: Barred, running: Unknown) -> Self:
        """Return what stands for all targets of a namespace that cannot be seen, so that nobody takes them for proven."""
        return cls._unseen(f"{namespace}/Namespace/{namespace}", namespace, barred, running)

    @classmethod
    def unseen_host(cls, host: str, barred: Barred, running: Unknown) -> Self:
        """Return what stands for all targets of a Docker host, likewise."""
        return cls._unseen(f"docker/{host}/*", host, barred, running)

    @classmethod
    def _unseen(cls, id_: str, host: str, barred: Barred, running: Unknown) -> Self:
        return cls(
            id=id_,
            host=host,
            name=host,
            template=None,
            template_unknown=barred.cause,
            container_id="",
            image="",
            image_id="",
            state=ContainerState.RUNNING,
            running=running,
            barred=barred,
        )

    @property
    def is_unseen(self) -> bool:
        """Whether it stands for targets that cannot be seen."""
        return not self.container_id

    @property
    def is_running(self) -> bool:
        """Whether it has a process; one that has none is updated without being started, outside total and budget."""
        return self.state.has_process

    @property
    def in_transition(self) -> bool:
        """Whether a replacement was begun here and must be finished or undone."""
        return self.succession is not None and self.succession.phase is not Phase.AWAITING_FIRST_START

    @property
    def busy(self) -> bool:
        """Whether it said, in this pass or moments before, that work is under way."""
        return isinstance(self.running, Known) and self.running.value.idle is False

    def reports(self, version: str, content_sha256: str | None) -> bool:
        """Whether its running process said, in this pass or moments before, that it is exactly that version and content."""
        return isinstance(self.running, Known) and self.running.value.is_version(version, content_sha256)
