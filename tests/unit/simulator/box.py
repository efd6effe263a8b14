"""One container that is a target, and the bytes of things by what they are made of."""

import hashlib
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import UTC, datetime

from controller.model.container import ContainerState
from controller.model.observed import Known, Observed, Unknown
from controller.model.running import RuntimeReport, RuntimeState
from controller.model.target import Phase, Succession, Target
from controller.model.template_record import TemplateInputs

BASE_IMAGE = "sha256:" + "0" * 64
"""What containers run before the first release reached them."""

BASE_NAME = "python:3.11-slim"
"""What every Dockerfile starts from."""


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def image_id(template: str, wheel: str, inputs: str) -> str:
    return f"sha256:{sha(f'{template} {wheel} {inputs}')}"


def parts_of(inputs: str) -> TemplateInputs:
    """What a template's folder holds whose hash is `inputs`, all parts of its own."""
    return TemplateInputs(
        sha256=inputs,
        dockerfile_sha256=sha(f"Dockerfile of {inputs}"),
        rest_sha256=sha(f"rest of {inputs}"),
        bases=(BASE_NAME,),
    )


@dataclass
class Box:
    """One container that is a target."""

    name: str
    template: str | None
    image_id: str = BASE_IMAGE
    version: str | None = None
    content: str | None = None
    stopped: bool = False
    crash_loops: bool = False
    boot_seconds: float = 5.0
    silent: bool = False
    """It runs and does not answer."""
    work: list[tuple[float, float]] = field(default_factory=list)
    """When work is under way: from, to, in seconds."""
    hold: str | None = None
    held_on_object: bool = False
    """Whether an annotation of the object holds it; what is seen of it does not tell."""
    pin: str | None = None
    shape_unsafe: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    proven_at: float = 0.0
    """When its running process was proven, in seconds."""
    succession: Succession | None = None
    replacing: bool = False

    @property
    def id(self) -> str:
        return f"docker/local/{self.name}"

    @property
    def switching(self) -> bool:
        return self.succession is not None and self.succession.phase is Phase.SWITCHING

    @property
    def ours(self) -> bool:
        held = self.hold or self.held_on_object or self.pin
        return self.template is not None and not (held or self.shape_unsafe)

    def busy_until(self, now: float) -> float | None:
        return next((end for start, end in self.work if start <= now < end), None)

    def target(self, now: float, listed: Container[str]) -> Target:
        template = self.template if self.template in listed else None
        if self.stopped or self.switching:
            state = ContainerState.EXITED
        else:
            state = ContainerState.RESTARTING if self.crash_loops else ContainerState.RUNNING
        return Target(
            id=self.id,
            host="local",
            name=self.name,
            template=template,
            template_unknown=None if template else "its image is of no listed template",
            container_id=sha(self.name)[:12],
            image=f"ws/{self.template}",
            image_id=self.image_id,
            state=state,
            running=self._report(now, state),
            hold=self.hold,
            pin=self.pin,
            shape_unsafe=self.shape_unsafe,
            succession=self.succession,
            labels=self.labels,
        )

    def _report(self, now: float, state: ContainerState) -> Observed[RuntimeReport]:
        if state is not ContainerState.RUNNING or self.silent or self.version is None:
            return Unknown("it does not answer", datetime(2026, 5, 1, tzinfo=UTC))
        return Known(
            RuntimeReport(
                package="molecule-ai-workspace-runtime",
                version=self.version,
                content_sha256=self.content,
                state=RuntimeState.SERVING,
                active_tasks=int(self.busy_until(now) is not None),
                queued_tasks=0,
            )
        )
