"""What the machine in memory holds, what goes wrong there, and what is asked of it again and again."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.delivery import DeliveredImage
from controller.model.errors import Transient
from controller.model.observed import Known, Observed, Unknown
from controller.model.record import ReleaseRecord, Verdict
from controller.model.template_record import FullBuild, TemplateRecord
from tests.unit.simulator.box import Box, sha
from tests.unit.simulator.others import Others
from tests.unit.simulator.starts import Starts
from tests.unit.simulator.waves import Waves

T = TypeVar("T")
Steps = Generator[float, None, str]
"""Yields how many seconds the next step takes, and returns the line about the whole."""


@dataclass
class Holdings:
    """Source, index, records, images and containers of one machine."""

    seconds: Callable[[], float]
    now: Callable[[], datetime]
    tree: str = sha("the first source")
    inputs: dict[str, str] = field(default_factory=dict)
    base: str = f"sha256:{sha('the first base')}"
    """What the base's name stands for."""
    index: dict[str, str] = field(default_factory=dict)
    waits: dict[str, str] = field(default_factory=dict)
    records: dict[str, ReleaseRecord] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    """What cannot be read now: source, index, records, images, images of one template, templates, bases, targets."""
    awaited: set[str] = field(default_factory=set)
    """What somebody else has yet to make."""
    refusing: set[str] = field(default_factory=set)
    """The same where only a person can help."""
    bad_at_gate: set[tuple[str, str]] = field(default_factory=set)
    """(version, template) whose candidate, or shadow, fails."""
    bad_deliveries: set[str] = field(default_factory=set)
    """Digests of images of others that fail."""
    bad_in_fleet: set[tuple[str, str]] = field(default_factory=set)
    """(version, container) whose new process fails."""
    bad_builds: set[tuple[str, str]] = field(default_factory=set)
    full_builds: dict[str, FullBuild] = field(default_factory=dict)
    """The last one of each template."""
    builds: list[tuple[str, str, str]] = field(default_factory=list)
    """(version, template, inputs) of every image that was begun."""
    under_construction: set[str] = field(default_factory=set)
    tasks_cut: int = 0
    """Only ever by `onTimeout: Proceed`."""
    others: Others = field(default_factory=Others)
    waves: Waves = field(default_factory=Waves)
    starts: Starts = field(default_factory=Starts)
    ours: set[str] = field(default_factory=set)
    """Moving tags that were set here."""
    theirs: set[str] = field(default_factory=set)
    """Those of them that a stranger has moved since, and nobody gave back."""

    def add(self, *boxes: Box) -> None:
        for box in boxes:
            self.boxes[box.id] = box
            if box.template is not None:
                self.inputs.setdefault(box.template, sha(f"inputs of {box.template}"))

    def _read(self, source: str, value: T) -> Observed[T]:
        if source in self.unread:
            return Unknown("it is away", datetime(2026, 5, 1, tzinfo=UTC))
        if source in self.awaited:
            since = datetime(2026, 5, 1, tzinfo=UTC)
            return Unknown("Waiting for runtime-v0.1.1", since, awaited="SourceNotFound")
        if source in self.refusing:
            since = datetime(2026, 5, 1, tzinfo=UTC)
            return Unknown("It wants a password. Give one.", since, stalled="CredentialsMissing")
        return Known(value)

    def _answers(self, source: str, name: str) -> None:
        if source in self.unread:
            raise Transient(f"{name} does not answer")

    @staticmethod
    def _template(document: WorkspaceRuntime, name: str) -> Template:
        return next(each for each in document.spec.templates if each.name == name)

    @staticmethod
    def goes_on(record: ReleaseRecord, name: str | None) -> TemplateRecord | None:
        """The image of a template that may be run."""
        image = record.in_use.templates.get(name or "")
        return image if image is not None and ":candidate-" not in image.image else None

    def fleet_has_proven(self, document: WorkspaceRuntime, version: str) -> bool:
        """Whether all targets run it whose template has an image of it that may be run."""
        listed = {template.name for template in document.spec.templates}
        record = self.records[version]
        return all(
            box.image_id == image.image_id
            and (box.stopped or (box.version == version and box.content == record.content_sha256))
            for box in self.boxes.values()
            if box.ours
            and box.template in listed
            and (image := self.goes_on(record, box.template))
            and not self.was_spared(document, record, box)
        )

    @staticmethod
    def was_spared(document: WorkspaceRuntime, record: ReleaseRecord, box: Box) -> bool:
        """Whether a version failed on a box, and its wave bears that."""
        failure = record.failures.get(f"{document.key} {box.id}")
        used = record.in_use.templates.get(box.template or "")
        return failure is not None and used is not None and failure.image == used.identity

    def _judged(self, version: str, value: str, reason: str, message: str) -> None:
        verdict = Verdict.model_validate(
            {"value": value, "reason": reason, "message": message, "time": self.now()}
        )
        self.records[version] = self.records[version].judged(verdict)

    def _pushed(self, image: DeliveredImage) -> None:
        self.images[image.reference] = image.digest
        self.images[f"{image.reference.rpartition(':')[0]}:{self.others.holds[image.digest]}"] = image.digest

    def _followed(self, document: WorkspaceRuntime, record: ReleaseRecord) -> None:
        """Let those who watch the index by themselves begin to build."""
        for template in document.spec.templates:
            if template.build.strategy == "Follow":
                self.others.build(template, record, now=self.seconds())
