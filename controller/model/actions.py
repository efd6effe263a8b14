"""Actions: what the planner may ask for, each with the reason that people read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from controller.model.delivery import DeliveredImage
from controller.model.template_record import TemplateInputs


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take over a version that the index already serves: download, verify, record. The source is not read."""

    version: str
    reason: str

    @property
    def key(self) -> str:
        """Identity: adopting one version is one action however often it is planned."""
        return f"adopt/{self.version}"


@dataclass(frozen=True, slots=True)
class Package:
    """Build wheel and sdist of `version` from the source tree with digest `tree_sha256`, and prove them statically."""

    version: str
    tree_sha256: str
    reason: str

    @property
    def key(self) -> str:
        """Identity: the same version of the same tree is the same artifact."""
        return f"package/{self.version}/{self.tree_sha256}"


@dataclass(frozen=True, slots=True)
class TemplateBuild:
    """One image to build.

    `reason` is a change's name such as WheelChanged, with what was `before` and is `after` in words; `rebuild` asks for
    another full build, `fresh` for one that takes nothing from a cache. `inputs` are the parts of what `inputs_sha256`
    is the hash of, `bases` the digests by name that a full build must start from, `request` what a person asked for
    last.

    With `base`, the digest of an image that somebody else built, it is a shadow: the wheel on that image, for the gate
    only, and `inputs_sha256` is empty.
    """

    template: str
    inputs_sha256: str
    reason: str
    rebuild: bool
    before: str | None = None
    after: str | None = None
    inputs: TemplateInputs | None = None
    bases: tuple[tuple[str, str], ...] = ()
    request: str | None = None
    fresh: bool = False
    base: str | None = None

    @property
    def identity(self) -> str:
        """What names the image that is to be: everything but why it is built."""
        made_of = f"{self.template} {self.base or self.inputs_sha256} {self.rebuild}"
        return f"{made_of} {self.bases} {self.request}" if self.rebuild else made_of


@dataclass(frozen=True, slots=True)
class Cascade:
    """Build the candidate images of these templates with the recorded wheel of `version`."""

    version: str
    wheel_sha256: str
    builds: tuple[TemplateBuild, ...]
    reason: str

    @property
    def key(self) -> str:
        """Identity: the wheel and every template's inputs."""
        inputs = "\n".join(build.identity for build in self.builds)
        return f"cascade/{self.version}/{_digest(self.wheel_sha256 + inputs)}"

    @property
    def parts(self) -> tuple[Cascade, ...]:
        """The same with one template each: images are built together, and fail each for itself."""
        return tuple(
            Cascade(self.version, self.wheel_sha256, (build,), f"{build.template}: {build.reason}")
            for build in self.builds
        )

    @classmethod
    def of(cls, parts: Sequence[Cascade]) -> Cascade:
        """Return one cascade that does what `parts` do, which are at least one and of the same wheel."""
        builds = tuple(build for part in parts for build in part.builds)
        reason = ", ".join(part.reason for part in parts)
        return cls(parts[0].version, parts[0].wheel_sha256, builds, reason)


@dataclass(frozen=True, slots=True)
class Probe:
    """Boot the candidate image of one template as production would, and let it answer two turns.

    `delivered` is the image when somebody else built it: it becomes the template's image of `version` by passing.
    """

    version: str
    template: str
    digest: str
    reason: str
    delivered: DeliveredImage | None = None

    @property
    def key(self) -> str:
        """Identity: one image is probed once."""
        return f"probe/{self.version}/{self.template}/{self.digest}"


@dataclass(frozen=True, slots=True)
class Tag:
    """Give the proven images of `version` their immutable tags."""

    version: str
    templates: tuple[str, ...]
    reason: str

    @property
    def key(self) -> str:
        """Identity: the version and the templates whose tag is missing."""
        return f"tag/{self.version}/{','.join(self.templates)}"


@dataclass(frozen=True, slots=True)
class Publish:
    """Upload the recorded bytes of `version` and wait until the index serves them."""

    version: str
    wheel_sha256: str
    reason: str

    @property
    def key(self) -> str:
        """Identity: the bytes that become public."""
        return f"publish/{self.version}/{self.wheel_sha256}"


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Tell whoever builds a template's image that `version` is public."""

    version: str
    template: str
    wheel_sha256: str
    repository: str
    reason: str

    @property
    def correlation_id(self) -> str:
        """What the builders and we know this release of this template by: the same inputs, the same id."""
        return _digest(f"{self.repository} {self.template} {self.version} {self.wheel_sha256}")

    @property
    def key(self) -> str:
        """Identity: a repository is told once of the wheel of a version."""
        return f"dispatch/{self.version}/{self.template}/{self.correlation_id}"


@dataclass(frozen=True, slots=True)
class Replace:
    """Bring one target to the recorded image of `version`, the old one kept until the new one is proven.

    Without an image, only finish or undo the replacement that was begun there. `wave` is the one that it goes in, of which the
    version may fail on `spare` targets and go on.
    """

    target: str
    version: str
    template: str
    image_id: str | None
    reason: str
    wave: str = field(default="", compare=False)
    spare: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        """Identity: the target and the image it is to run."""
        return f"replace/{self.target}|{self.image_id or ''}"


@dataclass(frozen=True, slots=True)
class TagMove:
    """One moving tag of a template to move, from what it stood for when that was decided (a digest, or empty)."""

    template: str
    tag: str
    expected: str


@dataclass(frozen=True, slots=True)
class Promote:
    """Move the moving tags of these templates to the images of `version`; `moves` are the tags, one by one."""

    version: str
    templates: tuple[str, ...]
    reason: str
    moves: tuple[TagMove, ...] = field(default=(), compare=False)

    @property
    def key(self) -> str:
        """Identity: the version and the templates whose tags differ."""
        return f"promote/{self.version}/{','.join(self.templates)}"


@dataclass(frozen=True, slots=True)
class Judge:
    """Record that `version` runs everywhere and is good; `images` are what runs, by identity: the verdict speaks for them."""

    version: str
    reason: str
    images: tuple[str, ...] = field(default=(), compare=False)

    @property
    def key(self) -> str:
        """Identity: a version is judged once."""
        return f"judge/{self.version}"


@dataclass(frozen=True, slots=True)
class Resume:
    """Let `version` go on, as the object's annotation asks: what failed or was held back is tried again.

    `told` says that somebody who was told to build an image is to be told again, `taken` are the moving tags that may be
    taken from what they stand for.
    """

    version: str
    request: str
    reason: str
    told: bool = field(default=False, compare=False)
    taken: tuple[TagMove, ...] = field(default=(), compare=False)

    @property
    def key(self) -> str:
        """Identity: a request is taken up once."""
        return f"resume/{self.version}/{_digest(self.request)}"


@dataclass(frozen=True, slots=True)
class RollBack:
    """Hold `version`, as the object's annotation asks, and have its targets return to version `to`."""

    version: str
    to: str
    request: str
    reason: str

    @property
    def key(self) -> str:
        """Identity: a request is taken up once."""
        return f"rollback/{self.version}/{_digest(self.request)}"


@dataclass(frozen=True, slots=True)
class OldCandidate:
    """An image that was made on the way to a release, and that nothing needs any more.

    `image` is its reference; `digests` are what stands behind it and nothing kept names: in a registry the manifest, an
    index before its children; in an engine the image id. `part` says what of the record it is.
    """

    version: str
    template: str
    image: str
    digests: tuple[str, ...]
    reason: str
    part: Literal["image", "shadow", "full build"] = "image"

    @property
    def repository(self) -> str:
        """The image without its tag."""
        return self.image.rpartition(":")[0]


@dataclass(frozen=True, slots=True)
class Prune:
    """Delete old candidates, while `version` runs everywhere."""

    version: str
    images: tuple[OldCandidate, ...]
    reason: str

    @property
    def key(self) -> str:
        """Identity: one at a time, whatever there is to delete, so that a registry that refuses is asked once."""
        return f"prune/{self.version}"


Action = (
    Adopt
    | Package
    | Cascade
    | Probe
    | Tag
    | Publish
    | Dispatch
    | Replace
    | Promote
    | Judge
    | Resume
    | RollBack
    | Prune
)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
