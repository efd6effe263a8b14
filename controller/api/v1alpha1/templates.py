"""The adapter templates: images of their own that carry the runtime."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from controller.api.strategies import OURS, Gate, check_template
from controller.api.v1alpha1._base import Distinct, Document, ImageRepository, Name, Tag
from controller.api.v1alpha1.build import Build
from controller.api.v1alpha1.probe import Probe


class Template(Document):
    """One adapter template: an image of its own that carries the runtime."""

    name: Name
    """The template's name; label `runtime.molecule.ai/template` of a workspace names it."""
    image: ImageRepository
    """The image's repository, with a registry host in Remote mode."""
    tags: Annotated[list[Tag], Field(max_length=10), Distinct] = ["latest"]
    """Moving tags, besides the immutable one; a dev, pre- or local release moves none of them."""
    pre_release_tags: Annotated[list[Tag], Field(max_length=10), Distinct] = []
    """The moving tags that a dev, pre- or local release moves instead. Append and Dockerfile only."""
    promote: bool = True
    """Whether this object owns the moving tags. With Dispatch and Follow they are moved by whoever builds the image: it is
    false there, and true is refused."""
    gate: Gate = "Required"
    """Required: the version is not published before this template passed. AllowFailure: one that fails is held back alone;
    its targets and tags stay. AllowUntested (Dispatch and Follow): a version may be published although no image exists yet
    to try it on."""
    start_deadline_seconds: Annotated[int, Field(ge=1, le=86_400)] = 1_800
    """From the start of a process until it must be proven; some templates take 10 to 25 minutes."""
    probe: Probe = Probe()
    build: Build

    @model_validator(mode="before")
    @classmethod
    def _tags_of_others(cls, given: Any) -> Any:  # noqa: ANN401 -- whatever stands in the document
        """Take `promote` for false where it is not said and the moving tags are somebody else's."""
        build = given.get("build") if isinstance(given, dict) else None
        strategy = build.get("strategy") if isinstance(build, dict) else None
        theirs = isinstance(strategy, str) and strategy not in OURS
        return {"promote": False, **given} if theirs else given

    @model_validator(mode="after")
    def _consistent(self) -> Template:
        check_template(
            self.build.strategy,
            gate=self.gate,
            promote=self.promote,
            tags=self.tags,
            pre_release_tags=self.pre_release_tags,
        )
        return self
