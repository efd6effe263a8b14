"""The release record of one version: what was built, proven, published and judged, kept outside the state folder.

A record is the only memory that must survive the loss of everything else: it says which bytes a version is, and
whether it was found good or failed. It is kept by clients of several releases, so fields that this release does
not know are carried through unchanged.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from controller.api.version import checked_version
from controller.model.envelope import Envelope
from controller.model.errors import Terminal
from controller.model.record_part import RecordPart

CORRUPT: Final = "RecordCorrupt"
"""The reason of a record that cannot be read."""


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 as 64 lower-case hex digits."""
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A digest as registries and engines write it."""
Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A time in UTC; a time without zone is refused."""
RecordedVersion = Annotated[str, AfterValidator(checked_version)]


class Artifact(RecordPart):
    """One file whose bytes are kept beside the records: a wheel, an sdist, an inventory. `size` is in bytes."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]*$")]
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class TemplateInputs(RecordPart):
    """What a template's folder and build arguments hold, part by part; records of earlier releases have no parts.

    `sha256` is that of all of it, `rest_sha256` that of all but Dockerfile and requirements.txt. `requirements` are the
    lines of the latter, none when there are too many to tell. `bases` are the images that the Dockerfile starts from,
    as it names them, that of its last stage first.
    """

    sha256: str
    dockerfile_sha256: str
    requirements_sha256: str | None = None
    requirements: tuple[str, ...] = ()
    rest_sha256: str
    bases: tuple[str, ...] = ()


class FullBuild(RecordPart):
    """The image that Append puts its layer on, and the hash of what it was built from."""

    image: str
    digest: Digest
    inputs_sha256: Sha256
    inputs: TemplateInputs | None = None
    """The parts of what it was built from; None: an earlier release made it."""
    bases: dict[str, Digest] | None = None
    """The digests of the images that it was built on, by name; None: an earlier release made it."""
    commit: str | None = None
    """The commit of the template's repository that it was built from; None where that is a folder of a machine."""
    request: str | None = None
    """The newest request for a new build that it answers."""
    inventory: Artifact | None = None
    """What is installed in it, as a file kept beside the records; None: derived from the image when needed."""
    pruned_time: Moment | None = None
    """When it was deleted, since nothing that is kept was built on it."""
    left_time: Moment | None = None
    """When it was to be deleted and turned out to be needed by what no record names."""


class ForeignBuild(RecordPart):
    """A full build that somebody else made and pushed, as it was when the image was put on it."""

    image: str
    digest: Digest
    inventory: Artifact | None = None


class PlatformImage(RecordPart):
    """The image of one platform in an index. `full_build` is None for the platform that is built here."""

    digest: Digest
    image_id: Digest
    full_build: ForeignBuild | None = None


class TemplateRecord(RecordPart):
    """One template's image of this version."""

    image: str
    """The reference that was built: the candidate's, and after the gate the immutable one."""
    digest: Digest | None = None
    """The digest of the manifest, or of the index; None where no registry is involved."""
    image_id: Digest | None = None
    """The digest of the image's configuration, as an engine names it: of an index the one that was booted here."""
    platforms: dict[str, PlatformImage] = Field(default_factory=dict)
    """The images of an index by platform; empty when the image is for one platform only."""
    full_build: FullBuild | None = None
    commit: str | None = None
    """What whoever built the image says it was built from; None for one that was built here."""
    reason: str = ""
    """Why the image was built: the change, in words what was `before` and what is `after`, as far as known."""
    before: str | None = None
    after: str | None = None
    proven: bool = False
    """True when this very image booted and answered at the gate."""
    built_time: Moment | None = None
    """When this image was recorded; None in records of earlier releases."""
    tags: tuple[str, ...] = ()
    """The moving tags that were set to this image, or to one of the version that it follows."""
    taken: tuple[Digest, ...] = ()
    """Images that moving tags may be taken from, although somebody else put them there: their owner said so. Earlier
    releases noted those here, too, that this one follows."""
    followed: tuple[Digest, ...] = ()
    """All images of the same version that this one follows: a moving tag may have been left at any of them."""
    boot_seconds: Annotated[float, Field(ge=0)] | None = None
    memory_bytes: Annotated[int, Field(ge=0)] | None = None
    pruned_time: Moment | None = None
    """When this candidate was deleted. One built later is another one."""
    left_time: Moment | None = None
    """When it was to be deleted and turned out to be needed by what no record names: a tag, or a container."""
    previous: TemplateRecord | None = None
    """The proven image of the same version that this one follows; it stays in use until this one is proven."""

    @property
    def identity(self) -> str:
        """What names these very bytes where images live: the manifest's digest, else the image id."""
        return self.digest or self.image_id or ""

    @property
    def exact(self) -> str:
        """A name for these very bytes, by digest in a registry and by id in an engine: a tag may be somebody else's by now."""
        repository = self.image.rpartition(":")[0]
        return f"{repository}@{self.digest}" if self.digest else self.image_id or self.image

    @property
    def is_candidate(self) -> bool:
        """Whether it has no immutable tag yet."""
        return ":candidate-" in self.image

    @property
    def pruned(self) -> bool:
        """Whether this candidate was deleted and not built again since."""
        built, given_up = self.built_time, self.pruned_time
        return built is not None and given_up is not None and built <= given_up

    @property
    def in_use(self) -> TemplateRecord | None:
        """The newest image that passed the gate: this one, else the one that it follows, else none."""
        return self if self.proven else self.previous

    def giving(self, digest: str) -> TemplateRecord:
        """Return this image as one that moving tags may be taken for from `digest`."""
        return self.model_copy(update={"taken": tuple(sorted({*self.taken, digest}))})

    def tagged(self, tag: str, *, expected: str) -> TemplateRecord:
        """Return this image as the one that a moving tag stands for, which was taken from `expected`: that is given once."""
        tags = tuple(sorted({*self.tags, tag}))
        return self.model_copy(update={"tags": tags, "taken": tuple(sorted({*self.taken} - {expected}))})

    def following(self, earlier: TemplateRecord | None) -> TemplateRecord:
        """Return this image as the one that follows `earlier`; the very image that was proven before stays proven."""
        if earlier is None:
            return self
        facts: dict[str, object] = {
            "tags": earlier.tags,
            "taken": earlier.taken,
            "followed": tuple(sorted({*earlier.followed, earlier.identity} - {"", self.identity})),
        }
        for known in (earlier, earlier.previous):
            if known is not None and known.proven and known.identity == self.identity:
                facts |= {"proven": True, "previous": known.previous}
                facts |= {"boot_seconds": known.boot_seconds, "memory_bytes": known.memory_bytes}
                return self.model_copy(update=facts)
        used = earlier.in_use
        previous = used.model_copy(update={"previous": None}) if used is not None else None
        return self.model_copy(update={**facts, "previous": previous})

    @property
    def digests(self) -> frozenset[str]:
        """What an engine or node may call this image once it has it: of index, manifest or configuration."""
        named = [self.digest, self.image_id]
        for image in self.platforms.values():
            named += [image.digest, image.image_id]
        return frozenset(digest for digest in named if digest)


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


class Verdict(RecordPart):
    """What became of a version. Failed holds it, on every cluster, until somebody resumes it."""

    value: Literal["Good", "Failed"]
    reason: str
    message: str = ""
    time: Moment
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
    recorded_time: Moment | None = None
    """When these bytes became this version; None in records of earlier releases. It tells a record from one that was
    deleted."""
    published_time: Moment | None = None
    promoted: bool = False
    provenance: Envelope | None = None
    """The signature over what never changes in this record; None when no key was named."""
    verdict: Verdict | None = None
    resumed_time: Moment | None = None
    """Verdicts Failed, and notes of what was held back or of who was told, are void up to here."""

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

    def published(self, time: datetime) -> Self:
        """Return the record of the version as the index serves it since `time` (aware); who noted it first stays right."""
        return self.model_copy(update={"published_time": self.published_time or _utc(time)})

    def judged(self, verdict: Verdict) -> Self:
        """Return the record with this verdict, dated after whatever was taken back, whosever clock said when."""
        dated = verdict.model_copy(update={"time": self._after_resumed(verdict.time)})
        return self.model_copy(update={"verdict": dated})

    def _after_resumed(self, time: datetime, *others: datetime) -> datetime:
        """Return `time`, or the next moment after what it must follow when the clock that gave it is behind."""
        earlier = [each for each in (*others, self.resumed_time) if each is not None]
        return max([_utc(time), *(each + timedelta(milliseconds=1) for each in earlier)])

    def resumed(self, now: datetime) -> Self:
        """Return the record of a version of which everything that failed, or was not answered, is tried again.

        A Failed verdict goes, which a clock that was ahead may have dated after `now` (aware); Good is said once more, since
        what was said before is void.
        """
        notes = (
            *(each.time for each in self.held_back.values()),
            *(each.sent_time for each in self.dispatches.values()),
        )
        time = max([_utc(now), *notes, *([self.verdict.time] if self.verdict is not None else ())])
        good = None if self.verdict is None or self.failed else self.verdict
        freed = {
            "held_back": {},
            "dispatches": {},
            "verdict": good.model_copy(update={"time": time + timedelta(milliseconds=1)}) if good else None,
            "resumed_time": time,
        }
        return self.model_copy(update=freed)

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
