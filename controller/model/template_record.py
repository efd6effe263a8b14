"""What is recorded of one template's image of a version, and of what it was built on and from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from controller.model.record_part import Artifact, Digest, Moment, RecordPart, Sha256


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
    """The moving tags that were set to this very image, where it is served and on the host that did so. Earlier releases
    noted those here, too, that had been set to an image that this one follows."""
    earlier_tags: tuple[str, ...] = ()
    """The moving tags that were set to images of the same version that this one follows."""
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
    def repository(self) -> str:
        """The image without its tag."""
        return self.image.rpartition(":")[0]

    @property
    def identity(self) -> str:
        """What names these very bytes where images live: the manifest's digest, else the image id."""
        return self.digest or self.image_id or ""

    @property
    def exact(self) -> str:
        """A name for these very bytes, by digest in a registry and by id in an engine: a tag may be somebody else's by now."""
        return f"{self.repository}@{self.digest}" if self.digest else self.image_id or self.image

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

    @property
    def all_tags(self) -> frozenset[str]:
        """The moving tags that were set to this image or to one of the version that it follows."""
        followed = self.previous.all_tags if self.previous is not None else ()
        return frozenset({*self.tags, *self.earlier_tags, *followed})

    def giving(self, digest: str) -> TemplateRecord:
        """Return this image as one that moving tags may be taken for from `digest`."""
        return self.model_copy(update={"taken": tuple(sorted({*self.taken, digest}))})

    def tagged(self, tag: str) -> TemplateRecord:
        """Return this image as the one that a moving tag stands for."""
        return self.model_copy(update={"tags": tuple(sorted({*self.tags, tag}))})

    def giving_no_more(self, digest: str) -> TemplateRecord:
        """Return this image as one that a moving tag was taken for from `digest`: that is given once."""
        return self.model_copy(update={"taken": tuple(sorted({*self.taken} - {digest}))})

    def following(self, earlier: TemplateRecord | None) -> TemplateRecord:
        """Return this image as the one that follows `earlier`; the very image that was proven before stays proven."""
        if earlier is None:
            return self
        facts: dict[str, object] = {
            "earlier_tags": tuple(sorted(earlier.all_tags)),
            "taken": earlier.taken,
            "followed": tuple(sorted({*earlier.followed, earlier.identity} - {"", self.identity})),
        }
        for known in (earlier, earlier.previous):
            if known is not None and known.proven and known.identity == self.identity:
                facts |= {"proven": True, "previous": known.previous, "tags": known.tags}
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
