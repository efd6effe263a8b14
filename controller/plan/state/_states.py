"""The states that an object can be in: a closed union, in the order of the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from controller.api.conditions import Reason
from controller.model.actions import TagMove, TemplateBuild
from controller.model.observed import Unknown
from controller.model.package import Release
from controller.model.record import ReleaseRecord
from controller.plan.delivery import Delivery
from controller.plan.fleet import Fleet
from controller.plan.tags import Contest


@dataclass(frozen=True, slots=True)
class Blocked:
    """The next step depends on something that cannot be read now.

    `stalled` is the reason where nothing but a person can help, `awaited` where somebody else has yet to make it; it is
    tried again all the same.
    """

    source: str
    message: str
    stalled: str | None = None
    awaited: str | None = None

    @classmethod
    def on(cls, source: str, unread: Unknown | None) -> Self:
        """Return what an unread source leaves to be done: nothing, and why."""
        if unread is None:
            return cls(source, "it was not read")
        return cls(source, unread.reason, unread.stalled, unread.awaited)


@dataclass(frozen=True, slots=True)
class Outstanding:
    """What only somebody else can settle of a released version; it keeps nothing else waiting, and nobody fights for it.

    `deliveries` is what is due of images that somebody else builds, `contests` are moving tags that somebody else moved,
    `unread` is why it cannot be told which images some templates have, or what they are to follow, while all others go on.
    """

    deliveries: tuple[Delivery, ...] = ()
    contests: tuple[Contest, ...] = ()
    unread: Blocked | None = None


NOTHING_OUTSTANDING = Outstanding()


@dataclass(frozen=True, slots=True)
class Held:
    """People or a guard stopped this version.

    `fallback` is the release that targets return to; None when they stay as they are. `fleet` is measured against
    it, and None while the targets cannot be read. `retagged` are the templates whose moving tags still name the
    failed release, `moves` these tags; `outstanding` are tags that somebody else moved from the `fallback`'s images.
    """

    reason: str
    message: str
    fallback: ReleaseRecord | None = None
    fleet: Fleet | None = None
    retagged: tuple[str, ...] = ()
    moves: tuple[TagMove, ...] = ()
    outstanding: Outstanding = field(default=NOTHING_OUTSTANDING, kw_only=True)

    @property
    def by_owner(self) -> bool:
        """Whether it was the object's owner who stopped all work, by `suspend` or by a hold on the object."""
        return self.reason in {Reason.SUSPENDED, Reason.HELD}


@dataclass(frozen=True, slots=True)
class Absent:
    """The wanted version is nowhere recorded; `release` is what the index already serves of it."""

    release: Release | None
    tree_sha256: str | None


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """Templates lack an image with the wanted version."""

    record: ReleaseRecord
    builds: tuple[TemplateBuild, ...]


@dataclass(frozen=True, slots=True)
class Unproven:
    """Images exist that have not booted and answered at the gate.

    `untested` says of each template that has no image to try the version on why, and what to do about it.
    """

    record: ReleaseRecord
    templates: tuple[str, ...]
    untested: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unpublished:
    """Every template has passed; the package is not public yet, or immutable tags are missing."""

    record: ReleaseRecord
    untagged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _OfRelease:
    """A version that is public.

    `record` has the images that go on, without those of templates that are held back; `fleet` is measured against them.
    """

    record: ReleaseRecord
    fleet: Fleet
    outstanding: Outstanding = field(default=NOTHING_OUTSTANDING, kw_only=True)


@dataclass(frozen=True, slots=True)
class Stale(_OfRelease):
    """The release is ready and targets do not run it yet; `moves` are moving tags that may follow before all do."""

    templates: tuple[str, ...] = ()
    moves: tuple[TagMove, ...] = ()


@dataclass(frozen=True, slots=True)
class Unpromoted(_OfRelease):
    """The fleet has proven the release; moving tags or the verdict lag behind."""

    templates: tuple[str, ...] = ()
    moves: tuple[TagMove, ...] = ()


@dataclass(frozen=True, slots=True)
class Undelivered(_OfRelease):
    """All that is ours to do is done, and images that somebody else builds are awaited or to be taken over."""


@dataclass(frozen=True, slots=True)
class Contested(_OfRelease):
    """All is done and delivered, and somebody else moved a moving tag."""


@dataclass(frozen=True, slots=True)
class UpToDate(_OfRelease):
    """What runs is what was asked for, and nothing is outstanding, as far as can be told: `unread` is what images follow."""


Released = Stale | Unpromoted | Undelivered | Contested | UpToDate
State = Held | Blocked | Absent | Unbuilt | Unproven | Unpublished | Released


def outstanding_of(state: State) -> Outstanding:
    """Return what only somebody else can settle; nothing before a version is public."""
    return state.outstanding if isinstance(state, Released | Held) else NOTHING_OUTSTANDING
