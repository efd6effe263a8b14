"""The release record of one version: what was built, proven, published and judged, kept outside the state folder.

A record is the only memory that must survive the loss of everything else: it says which bytes a version is, and
whether it was found good or failed. It is kept by clients of several releases, so fields that this release does
not know are carried through unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationError

from controller.api.version import checked_version
from controller.model.envelope import Envelope
from controller.model.errors import Terminal
from controller.model.record_part import Artifact, Moment, RecordPart, Sha256, utc
from controller.model.template_record import TemplateRecord

CORRUPT: Final = "RecordCorrupt"
"""The reason of a record that cannot be read."""

RecordedVersion = Annotated[str, AfterValidator(checked_version)]


class HeldBack(RecordPart):
    """Why one template stays behind while the version goes on without it, until `refused` is replaced or it is resumed."""

    reason: str
    message: str
    refused: tuple[str, ...]
    """What failed, as what it is known by: an image by its digest, a build by the hash of its inputs."""
    request: str | None = None
    """The newest request for a new build that a failed build answered: another one asks for another build."""
    time: Moment


class Dispatched(RecordPart):
    """That somebody was told to build a template's image, so that a crash does not tell them twice."""

    correlation_id: str
    sent_time: Moment


class FailedTarget(RecordPart):
    """That a version failed on one target, which its wave bears: it is left alone while the others go on."""

    image: str
    """What failed on it, by identity: another image is another try."""
    wave: str
    message: str
    time: Moment


class Verdict(RecordPart):
    """What became of a version. Failed holds it, on every cluster, until somebody resumes it."""

    value: Literal["Good", "Failed"]
    reason: str
    message: str = ""
    time: Moment
    returns_to: str | None = None
    """The version that targets return to, where the owner of the object has said so."""
    images: tuple[str, ...] = ()
    """The images, by identity, that a fleet has proven when this was judged Good; empty in records of earlier releases."""


class ReleaseRecord(RecordPart):
    """Everything that is known of one version of the runtime."""

    package: Annotated[str, Field(min_length=1)]
    version: RecordedVersion
    publisher: Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")]
    """`namespace/name` of the object that owns this version."""
    source_commit: str | None = None
    """None for a source without history, and for an adopted version."""
    tree_sha256: Sha256 | None = None
    inputs_sha256: Sha256 | None = None
    """The hash of all that the package was built from; None for an adopted version, whose source is not read."""
    builder_version: str | None = None
    """What built the package; None for an adopted version."""
    wheel: Artifact
    sdist: Artifact | None = None
    content_sha256: Sha256
    requires: tuple[str, ...] = ()
    """`Requires-Dist` of the wheel, as its metadata writes it."""
    templates: dict[str, TemplateRecord] = Field(default_factory=dict)
    shadows: dict[str, TemplateRecord] = Field(default_factory=dict)
    """Images that stand in at the gate for those that somebody else builds: never tagged, promoted or run by a target."""
    held_back: dict[str, HeldBack] = Field(default_factory=dict)
    dispatches: dict[str, Dispatched] = Field(default_factory=dict)
    failures: dict[str, FailedTarget] = Field(default_factory=dict)
    """By object and target, as `NAMESPACE/NAME TARGET`."""
    recorded_time: Moment | None = None
    """When these bytes became this version; None in records of earlier releases. It tells a record from one that was
    deleted."""
    published_time: Moment | None = None
    promoted: bool = False
    provenance: Envelope | None = None
    """The signature over what never changes in this record; None when no key was named."""
    verdict: Verdict | None = None
    resumed_time: Moment | None = None
    """Verdicts Failed, and notes of what was held back, of who was told or of targets that failed, are void up to here."""
    resume_requests: tuple[str, ...] = ()
    """The requests to let this version go on that were taken up: none of them is ever done twice."""
    rollback_requests: tuple[str, ...] = ()
    """The requests to go back from this version that were taken up, likewise."""

    @property
    def failed(self) -> bool:
        """True while a Failed verdict holds this version."""
        return self.verdict is not None and self.verdict.value == "Failed"

    @property
    def in_use(self) -> Self:
        """The record with the images that passed the gate, without those that are still to pass it or failed afterwards."""
        used = {name: image for name in self.templates if (image := self._used(name)) is not None}
        return self.model_copy(update={"templates": used})

    def _used(self, name: str) -> TemplateRecord | None:
        newest = self.templates[name]
        passed = (each for each in (newest.in_use, newest.previous) if each is not None)
        return next((image for image in passed if not self._refuses(name, image)), None)

    def _refuses(self, name: str, image: TemplateRecord) -> bool:
        """Whether an image that had passed the gate did not come up in the fleet."""
        note = self.held_back.get(name)
        return note is not None and image.identity in note.refused

    def with_template(self, name: str, template: TemplateRecord) -> Self:
        """Return the record with one template's image set, the others as they are."""
        return self.model_copy(update={"templates": {**self.templates, name: template}})

    def with_used(self, name: str, identity: str, change: Callable[[TemplateRecord], TemplateRecord]) -> Self:
        """Return the record with a change of the image in use, unless that is not `identity` by now.

        A newer one that has not passed stays before it.
        """
        used, newest = self.in_use.templates.get(name), self.templates.get(name)
        if used is None or newest is None or used.identity != identity:
            return self
        image = change(used)
        if newest.identity != identity:
            image = newest.model_copy(update={"previous": image})
        return self.with_template(name, image)

    def promoted_to(self, name: str, identity: str, tag: str, *, expected: str) -> Self:
        """Return the record with a moving tag of a template set to an image, taken from `expected`: that is given once."""
        record = self.with_used(name, identity, lambda used: used.tagged(tag))
        newest = record.templates[name]
        return record.with_template(name, newest.giving_no_more(expected))

    def with_shadow(self, name: str, shadow: TemplateRecord) -> Self:
        """Return the record with the image that stands in for one template's at the gate."""
        return self.model_copy(update={"shadows": {**self.shadows, name: shadow}})

    def delivered(self, name: str, image: TemplateRecord) -> Self:
        """Return the record with an image that somebody else built, dated after the telling that it answers.

        What they delivered before stays in use when this one does not come up.
        """
        image = image.following(self.templates.get(name))
        sent = self.dispatches.get(name)
        if sent is not None and image.built_time is not None:
            answered = sent.sent_time + timedelta(milliseconds=1)
            image = image.model_copy(update={"built_time": max(image.built_time, answered)})
        return self.with_template(name, image)

    def without(self, names: Collection[str]) -> Self:
        """Return the record as if these templates had no image: what may go on of a release that they are held back from."""
        kept = {name: template for name, template in self.templates.items() if name not in names}
        return self.model_copy(update={"templates": kept})

    def holding_back(self, name: str, cause: HeldBack | None) -> Self:
        """Return the record with one template held back; None lets it go on."""
        others = {each: held for each, held in self.held_back.items() if each != name}
        if cause is None:
            return self.model_copy(update={"held_back": others})
        images = (self.templates.get(name), self.shadows.get(name))
        built = [each.built_time for each in images if each is not None and each.built_time is not None]
        dated = cause.model_copy(update={"time": self._after_resumed(cause.time, *built)})
        return self.model_copy(update={"held_back": {**others, name: dated}})

    def dispatched(self, name: str, sent: Dispatched) -> Self:
        """Return the record with the note that somebody was told to build a template's image, or another one.

        An image that is recorded answered what was told before, so this is dated after it, whosever clock said when.
        """
        image = self.templates.get(name)
        built = [image.built_time] if image is not None and image.built_time is not None else []
        dated = sent.model_copy(update={"sent_time": self._after_resumed(sent.sent_time, *built)})
        return self.model_copy(update={"dispatches": {**self.dispatches, name: dated}})

    def failed_on(self, key: str, failure: FailedTarget) -> Self:
        """Return the record with the note that it failed on a target of an object, dated after whatever was taken back."""
        dated = failure.model_copy(update={"time": self._after_resumed(failure.time)})
        return self.model_copy(update={"failures": {**self.failures, key: dated}})

    def published(self, time: datetime) -> Self:
        """Return the record of the version as the index serves it since `time` (aware); who noted it first stays right."""
        return self.model_copy(update={"published_time": self.published_time or utc(time)})

    def judged(self, verdict: Verdict) -> Self:
        """Return the record with this verdict, dated after whatever was taken back, whosever clock said when."""
        dated = verdict.model_copy(update={"time": self._after_resumed(verdict.time)})
        return self.model_copy(update={"verdict": dated})

    def _after_resumed(self, time: datetime, *others: datetime) -> datetime:
        """Return `time`, or the next moment after what it must follow when the clock that gave it is behind."""
        earlier = [each for each in (*others, self.resumed_time) if each is not None]
        return max([utc(time), *(each + timedelta(milliseconds=1) for each in earlier)])

    def resumed(self, now: datetime) -> Self:
        """Return the record of a version of which everything that failed, or was not answered, is tried again.

        A Failed verdict goes, which a clock that was ahead may have dated after `now` (aware); Good is said once more, since
        what was said before is void.
        """
        notes = (
            *(each.time for each in self.held_back.values()),
            *(each.sent_time for each in self.dispatches.values()),
            *(each.time for each in self.failures.values()),
        )
        time = max([utc(now), *notes, *([self.verdict.time] if self.verdict is not None else ())])
        good = None if self.verdict is None or self.failed else self.verdict
        freed = {
            "held_back": {},
            "dispatches": {},
            "failures": {},
            "verdict": good.model_copy(update={"time": time + timedelta(milliseconds=1)}) if good else None,
            "resumed_time": time,
        }
        return self.model_copy(update=freed)

    def taking_up(self, request: str) -> Self:
        """Return the record with the note that a request to let it go on was taken up."""
        return self.model_copy(update={"resume_requests": tuple(sorted({*self.resume_requests, request}))})

    def going_back(self, request: str) -> Self:
        """Return the record with the note that a request to go back from it was taken up."""
        return self.model_copy(
            update={"rollback_requests": tuple(sorted({*self.rollback_requests, request}))}
        )

    def to_json(self) -> bytes:
        """Return the record as JSON whose bytes depend on its content only."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, *, where: str) -> Self:
        """Read a record; `where` names its place in the message of a refusal.

        Raises:
            Terminal: RecordCorrupt, with place and cause. A record that cannot be read may hold a Failed
                verdict, so nobody may go on as if there were none, nor write over it.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"]) or "the document"
            raise Terminal(
                CORRUPT,
                f"The release record {where} cannot be read: {at}: {first['msg']}.",
                fix="Restore it from a backup, or delete it there if the version may be built and judged anew.",
            ) from error
