"""An image that somebody else built and pushed: what its registry tells of it before it was run."""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.record import ReleaseRecord


@dataclass(frozen=True, slots=True)
class DeliveredImage:
    """One image as it is served.

    `reference` is a `repository:tag` that names it, `digest` what the registry knows it by, `image_id` what an engine
    calls it. `version`, `wheel_sha256` and `revision` are what its labels say, None where they say nothing.
    """

    reference: str
    digest: str
    image_id: str
    version: str | None = None
    wheel_sha256: str | None = None
    revision: str | None = None

    def may_be(self, record: ReleaseRecord) -> bool:
        """Whether its labels do not deny that it holds the recorded version; only its own process can prove that."""
        return self.version in {None, record.version} and self.wheel_sha256 in {None, record.wheel.sha256}

    @property
    def is_labelled(self) -> bool:
        """Whether its labels say anything of the runtime in it."""
        return self.version is not None or self.wheel_sha256 is not None
