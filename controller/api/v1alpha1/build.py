"""How a template's image is made, or by whom."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from controller.api.patterns import GITHUB_PATTERN
from controller.api.strategies import OURS, Strategy, check_build
from controller.api.v1alpha1._base import Distinct, Document, ImageName, Platform, SecretName
from controller.api.v1alpha1.git import TemplateGit


class Dispatch(Document):
    """Whom to tell that a version is public, so that they build the template's image."""

    repository: Annotated[str, Field(max_length=140, pattern=GITHUB_PATTERN)]
    """`OWNER/NAME` on GitHub. It gets a `repository_dispatch` with event `runtime-published` and payload
    `{runtime_version, wheel_sha256, correlation_id}`; the same release has the same correlation id however often it is
    told."""
    token_secret_name: SecretName | None = None
    """The Secret (purpose `dispatch`) whose `token` may send it: `contents: write` on the repository. Without a Secret
    the environment's TEMPLATE_DISPATCH_TOKEN is used."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3_600
    """How long the image may take to arrive before the silence is reported; one that arrives later is still taken."""


class Build(Document):
    """How a template's image is made."""

    strategy: Strategy = "Append"
    """Append: one layer with the wheel on the template's last full build; a full build when it is needed. Dockerfile: a
    full build for every release. Dispatch: a repository of GitHub is told and its CI builds. Follow: somebody else builds;
    the registry is watched. With the last two, the gate tries the wheel on the image that is served under the first moving
    tag, and what is delivered is probed before any target runs it."""
    git: TemplateGit | None = None
    """The template as a folder of a git repository. It or `directory` is required with Append and Dockerfile, and refused
    with the others."""
    directory: Annotated[str, Field(max_length=4096)] = ""
    """The folder of the template, absolute or relative to the document; standalone only. Append and Dockerfile only."""
    args: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=50)] = {}
    """Build arguments for the template's Dockerfile; never a place for secrets. Append and Dockerfile only."""
    dispatch: Dispatch | None = None
    """Required with Dispatch, refused with the others."""
    platforms: Annotated[list[Platform], Field(min_length=1, max_length=8), Distinct] | None = None
    """The platforms of the image, as linux/arm64; of several (Remote mode) it is an index. One is built in full here, and
    it alone is booted at the gate: the engine's own, else the first; `fullBuild` has the others. Another list takes
    effect with the next image. The variable MOLECULE_IMAGE_PLATFORM names one for all templates instead. Default: the
    engine's own, on arm64 Macs linux/amd64. With Dispatch and Follow it has one entry, the one that the gate boots."""
    full_build: ImageName | None = None
    """Where the full builds for the further platforms are: an image, or an index of several, that the template's
    Dockerfile gave on such a machine, and that was pushed there. It is read for each release and never run here. Append
    and Dockerfile only."""
    rebuild_on: Annotated[list[Literal["Version", "Template", "Base"]], Field(max_length=3), Distinct] = [
        "Version"
    ]
    """What makes a new image: a new Version (always), a changed Template folder, a Base image that moved. The rest shows
    as UpdateAvailable until it is named here, or asked for once with annotation `runtime.molecule.ai/rebuild`. With
    Dispatch and Follow, Template lets another image of the same version be taken, and Base is refused."""

    @property
    def ours(self) -> bool:
        """Whether the image is built here; else somebody else builds and pushes it."""
        return self.strategy in OURS

    @model_validator(mode="after")
    def _consistent(self) -> Build:
        given = {to_camel(name) for name in self.model_fields_set if getattr(self, name)}
        check_build(self.strategy, given, platforms=self.platforms or (), rebuild_on=self.rebuild_on)
        return self
