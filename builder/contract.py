"""What a builder run is given and what it reports: the one thing that `controller/` imports from `builder/`.

A run is `python -m builder VERB ...`, the same as a subprocess and in a Kubernetes Job. Its only output is one
line of JSON on stdout (in a Job: the termination message); logs for people go to stderr.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import builder
from builder.inventory import Inventory, Unmet
from builder.naming import (
    candidate_inputs,
    candidate_tag,
    full_build_tag,
    immutable_tag,
    tags_of_version,
    template_inputs_sha256,
    version_in_tags,
)
from builder.problems import Refused
from builder.report import REPORT_LIMIT_BYTES, Outcome, Report
from builder.template_inputs import TemplateInputs, read_template_inputs
from builder.tree import read_tree
from builder.wheel import Wheel

__all__ = [
    "BUILDAH_INPUTS",
    "BUILDAH_SOCKET",
    "BUILDER_VERSION",
    "CONSOLE_SCRIPT",
    "DEFAULT_MODULE",
    "DEFAULT_NAME",
    "OLDEST_PYTHON",
    "REPORT_LIMIT_BYTES",
    "REQUIRES_PYTHON",
    "WAITING",
    "CascadeRun",
    "Outcome",
    "PackageRun",
    "PromoteRun",
    "PublishRun",
    "Refused",
    "Report",
    "TemplateInputs",
    "Unmet",
    "VerifyRun",
    "candidate_inputs",
    "candidate_tag",
    "full_build_tag",
    "immutable_tag",
    "read_template_inputs",
    "tags_of_version",
    "template_inputs_sha256",
    "tree_sha256",
    "unmet_requirements",
    "version_in_tags",
    "wheel_requires",
]

BUILDER_VERSION: Final = builder.__version__
DEFAULT_NAME: Final = "molecule-ai-workspace-runtime"
DEFAULT_MODULE: Final = "molecule_runtime"
CONSOLE_SCRIPT: Final = "molecule-runtime"
OLDEST_PYTHON: Final = "3.11"
REQUIRES_PYTHON: Final = f">={OLDEST_PYTHON}"
"""A package says the same wherever it is built; a builder that cannot prove the oldest version builds none."""

WAITING: Final = "Waiting for the index: "
"""How a line of `publish`'s log begins that says which files it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRun:
    """What `package` is given: a source folder becomes a build tree and, with `dist`, a proven wheel and sdist.

    Facts of its report: `version` (normalised), `builderVersion`, `treeSha256`, `requires` (if they fit), `findings` (a count; they
    are on stderr), `provenOn` (versions of Python), `seconds`, and with `dist` also `wheel` and `sdist` (`file`, a path,
    and `sha256`) and `contentSha256`.
    """

    source: Path
    version: str
    out: Path
    name: str = DEFAULT_NAME
    module: str = DEFAULT_MODULE
    dist: Path | None = None
    commit: str | None = None
    """The commit that `source` was read at; recorded in the wheel."""

    def arguments(self) -> tuple[str, ...]:
        """Return what follows `package` on the command line."""
        return _options(
            {
                "source": self.source,
                "version": self.version,
                "name": self.name,
                "module": self.module,
                "out": self.out,
                "dist": self.dist,
                "commit": self.commit,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRun:
    """What `verify` is given: a wheel, whoever built it, and what it must be.

    Without `static` it is compared with the release before it, installed into a clean environment, and booted.

    Facts of its report: `wheel` (file name), `static`, `verified`, `notes` (a count), `seconds`, and as far as it came:
    `version`, `sha256`, `contentSha256`, `requires` (if they fit), `previous` (the version that it was compared with; null when there
    is none). Errors among the findings refuse it (reason ProofFailed); the report's message is the first of them.
    """

    wheel: Path
    version: str | None = None
    name: str = DEFAULT_NAME
    module: str = DEFAULT_MODULE
    static: bool = False
    index_url: str | None = None
    """A simple index, for dependencies and for the release before; None is what pip is set to where this runs."""
    previous: Path | None = None
    """The release before, where no index is to be asked for it."""
    removed: tuple[str, ...] = ()
    """Public names, dotted, that may be gone."""
    deadline_seconds: float = 60.0
    """For the start of the process, and again for its end."""
    findings: Path | None = None
    """Where all findings go, in `format`; without it they go to stderr as text."""
    format: str = "text"
    """`text`, `json` (the facts, and `findings`) or `sarif`."""

    def arguments(self) -> tuple[str, ...]:
        """Return what follows `verify` on the command line."""
        options = {
            "wheel": self.wheel,
            "version": self.version,
            "name": self.name,
            "module": self.module,
            "index-url": self.index_url,
            "previous": self.previous,
            "deadline": f"{self.deadline_seconds:g}",
            "findings": self.findings,
            "format": self.format,
        }
        removed = tuple(f"--removed={name}" for name in self.removed)
        return (*_options(options), *removed, *(("--static",) if self.static else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRun:
    """What `publish` is given: files that an index must serve, byte for byte, when the run is done.

    `credentials` is a folder with files `token`, or `username` and `password`, or `oidc-token`: an OIDC identity
    token that the index exchanges for an upload token (beside it, the others are for reading). Facts of its report: `version`,
    `files` (per file name: `sha256` and `state`, Uploaded or AlreadyThere), `alreadyThere` (all were), `seconds`;
    when it asks to be tried again `retryAfterSeconds`, if the index named a time.
    """

    files: tuple[Path, ...]
    """The wheel and the sdist, or a folder with exactly these."""
    upload_url: str
    simple_url: str
    deadline_seconds: float
    credentials: Path | None = None
    ca: Path | None = None

    def arguments(self) -> tuple[str, ...]:
        """Return what follows `publish` on the command line."""
        options = {
            "upload-url": self.upload_url,
            "simple-url": self.simple_url,
            "deadline": f"{self.deadline_seconds:g}",
            "credentials": self.credentials,
            "ca": self.ca,
        }
        return (*_options(options), *(f"--dist={file}" for file in self.files))


BUILDAH_SOCKET: Final = "steps.sock"
"""Where, below its folder, Buildah is called: `python -m builder.steps SOCKET` runs it, in a container without credentials."""
BUILDAH_INPUTS: Final = Path("/dev/shm")  # noqa: S108 -- folders of the run's own are made there
"""Besides its own folder what both containers must have. A step's /dev is that of its container: what lies here is seen by
every step, and is in no layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeRun:
    """What `cascade` is given: one wheel becomes one candidate image per template.

    `inputs` is JSON: `version`, `wheel` (path), `wheelSha256`, `contentSha256`, `mode` (Engine or Remote), `registry`
    {`insecure`, `dockerConfig` (a file, or the folder of a Secret with the one user name and password for `hosts`),
    `caFile`, `pullConfig` (alike; absent: the former reads, too), `hosts`}, `index` {`url`, `caFile`} (absent: what pip here is set to; a URL on
    loopback makes full builds use the engine host's network, any other must be reachable from build containers; npm
    gets its packages from where npm here is set to),
    `parallelism`, and `templates`, a list of {`name`, `image` (repository), `directory`, `buildArgs`, `platform`
    (absent: the engine's own), `inputsSha256` (`template_inputs_sha256`), `rebuild` (another full build than the
    known one), `fresh` (a full build takes nothing from the build cache), `bases` (digests that the Dockerfile's bases
    must have, by name, as far as known: manifest digests in Remote mode, which are fetched), `request` (what a person
    asked for last, part of what a full build is), `reason`, `before` and `after` (why it is built), `fullBuild`: null or
    {`image`, `digest`, `inventory` (path or null), `inputsSha256`}, `always` (a full build for every wheel),
    `otherPlatforms` (Remote mode; the candidate then is an index), a list of {`platform`, `fullBuild` (a name of an image
    or index that somebody else built and pushed), `known`: null or {`digest`, `inventory` (path or null)}}}, or, for a
    shadow, {`name`, `image`, `platform`, `shadowOf` {`image`, `digest`}}: the wheel on an image that somebody else built,
    or a failure (RequirementsUnmet) when that lacks what the wheel needs.

    Facts of its report: `seconds`, `made` (a count), `failed` (reason by template name), `result` (a JSON file in
    `out`) and, as far as they fit, `templates` by name: `candidate` (`repository:candidate-<inputs 8>`), `digest`
    (Engine: image id; Remote: manifest digest), `built` (Append or Full), `reason` (the given one, or FullBuildMissing
    or RequirementsChanged when that showed only here), `seconds`. `result` has the same under `templates`, complete,
    with `before` and `after`, `imageId` (config digest, what an engine calls the image), `fullBuild` {`image`, `digest`,
    `inventory`}, `baseDigest` and `bases` (digests by name that the full build started from; null for the known one), or `error`
    {`reason`, `message`, `transient`, optionally `retryAfterSeconds`}; the reason begins with Registry where it is the
    registry's, and no template's. Of an index they are those of the platform that is built here, but for its own `digest`, and
    `platforms` has `digest`, `imageId`, `fullBuild` and `byteCode` of each; those without byte code are in the report as
    `withoutByteCode`.
    """

    inputs: Path
    out: Path
    engine: str | None = None
    """`unix:///PATH` or `tcp://HOST:PORT`; without one, in Remote mode only, a template that must be built in full fails
    (reason FullBuildNeeded) unless there is `buildah`, and what an image holds is read from its layers."""
    buildah: Path | None = None
    """A folder for Buildah, which builds in full then: on a file system that an overlay can lie on, and used by nobody else
    but what serves its socket. Where it is not allowed to, such a template fails (reason BuildForbidden)."""

    def arguments(self) -> tuple[str, ...]:
        """Return what follows `cascade` on the command line."""
        options = {"inputs": self.inputs, "out": self.out, "engine": self.engine, "buildah": self.buildah}
        return _options(options)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteRun:
    """What `promote` is given: tags that must stand for images.

    `inputs` is JSON: `mode`, `registry` as for `cascade`, and `tags`, a list of {`from` (name with tag or digest;
    Engine: also an image id), `to` (`repository:tag`, in Remote mode of the same repository), `move`, optionally
    `expect` (the digest that `to` had when this was decided, empty for none)}, and optionally `owners`: who the moving tags
    are to belong to, and from whom they may be taken; of anybody else they are refused (reason PublisherConflict). A tag without `move` is immutable: with
    another digest it is refused (reason TagTaken); one that has another digest than expected too (TagMoved); nothing
    at all is changed then. The same digest is no work.

    Facts of its report: `tags` by `to`: `digest` and `state` (Set, Moved or AlreadyThere), and for a moved one
    `before`.
    """

    inputs: Path
    engine: str | None = None
    """As for `cascade`; Remote mode needs none."""

    def arguments(self) -> tuple[str, ...]:
        """Return what follows `promote` on the command line."""
        return _options({"inputs": self.inputs, "engine": self.engine})


def tree_sha256(source: Path) -> str:
    """Hash what a package is made of: equal hashes, equal packages (of one version, commit and builder).

    Raises:
        Refused: the folder is missing, or holds what no package can be made of.
    """
    tree = read_tree(source)
    return tree.sha256(tree.read())


def unmet_requirements(inventory: bytes, requires: Sequence[str]) -> tuple[Unmet, ...]:
    """Return what of a wheel's `Requires-Dist` an image lacks, by its stored inventory; raises ValueError for none."""
    return tuple(Inventory.from_bytes(inventory).unmet(requires))


def wheel_requires(wheel: Path) -> tuple[str, ...]:
    """Return a wheel's `Requires-Dist`; raises Refused when it cannot be read."""
    return Wheel.read(wheel).requires


def _options(values: Mapping[str, object]) -> tuple[str, ...]:
    # NOTE: one word each; a value that starts with a dash would else be read as an option
    return tuple(f"--{name}={value}" for name, value in values.items() if value is not None)
