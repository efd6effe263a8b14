"""The WorkspaceRuntime document: what users type, with every field that this release acts on.

A field that is not here is refused, never ignored: a document must not ask for a guard that nobody keeps.
Field descriptions are user documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from packaging.version import Version
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from controller.api import annotations as annotated
from controller.api.names import ANNOTATION_HOLD, ANNOTATION_REBUILD, ANNOTATION_TAKE_OVER
from controller.api.quantity import memory_bytes, nano_cpus
from controller.api.strategies import OURS, Gate, Strategy, check_build, check_template
from controller.api.version import checked_version

NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""A DNS label (RFC 1123), as Kubernetes asks of object names."""
URL_PATTERN: Final = r"^https?://[^\s@]+$"
SUBDOMAIN_PATTERN: Final = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
"""A DNS subdomain (RFC 1123), as Kubernetes asks of Secret names."""
DISTRIBUTION_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
MODULE_PATTERN: Final = r"^[a-z_][a-z0-9_]*$"
ARTIFACTS_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"
VARIABLE_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
TAG_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
ENDPOINT_PATTERN: Final = r"^unix:///.+$"
PUBLIC_KEY_PATTERN: Final = r"^\s*-----BEGIN PUBLIC KEY-----[\sA-Za-z0-9+/=]+-----END PUBLIC KEY-----\s*$"
PREFIX_PATTERN: Final = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$"
GITHUB_PATTERN: Final = r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$"
PLATFORM_PATTERN: Final = r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$"

PATTERN_WORDS: Final[Mapping[str, str]] = {
    NAME_PATTERN: "must consist of lower-case letters, digits and '-', and begin and end with a letter or digit",
    URL_PATTERN: "must be an http:// or https:// address without credentials",
    SUBDOMAIN_PATTERN: "must be the name of a Secret: lower-case letters, digits, '-' and '.'",
    DISTRIBUTION_PATTERN: "must be a distribution name: letters, digits, '.', '_' and '-'",
    MODULE_PATTERN: "must be an import name: lower-case letters, digits and '_', not beginning with a digit",
    ARTIFACTS_PATTERN: "must be a repository without a tag or digest (Remote) or a volume name (Engine)",
    VARIABLE_PATTERN: "must be the name of an environment variable: letters, digits and '_', not beginning with a digit",
    TAG_PATTERN: "must be an image tag: up to 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'",
    ENDPOINT_PATTERN: "must be a Unix socket, as in unix:///var/run/docker.sock",
    PUBLIC_KEY_PATTERN: "must be a public key in PEM, from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----",
    PLATFORM_PATTERN: "must be a platform, as in linux/arm64",
    PREFIX_PATTERN: "must be the beginning of a container name: letters, digits, '_', '.' and '-'",
    GITHUB_PATTERN: "must be a repository of GitHub, as in OWNER/NAME",
}
"""What each pattern asks for, in words: nobody should have to read a regular expression to correct a document."""

RENAMED: Final[Mapping[str, str]] = {
    "readOnlyRoot": "securityContext.readOnlyRootFilesystem",
    "memoryMegabytes": 'resources.limits.memory, as in "512Mi"',
}
"""Fields of earlier releases, with what to write instead."""

REPOSITORY: Final = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
)
"""An image repository without tag or digest (OCI distribution specification, `name`)."""
_VERSION_OF_AN_IMAGE: Final = re.compile(r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?")


class Document(BaseModel):
    """Base of all parts of the document: camelCase outside, unknown fields refused, values never coerced."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=True,
        serialize_by_alias=True,
        validate_by_name=False,
        use_attribute_docstrings=True,
    )


def _repository(value: str) -> str:
    if REPOSITORY.fullmatch(value) is None:
        raise ValueError(
            f"{value!r} is not an image repository; write it without a tag or digest, as in registry.example/team/name"
        )
    return value


def _names_host(image: str) -> bool:
    host, slash, _ = image.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def _image(value: str) -> str:
    found = REPOSITORY.match(value)
    rest = value[found.end() :] if found else value
    if not rest or _VERSION_OF_AN_IMAGE.fullmatch(rest) is None:
        raise ValueError(
            f"{value!r} is not the name of an image; write it with a tag or digest, as in registry.example/team/name:tag"
        )
    return value


def _amount(value: object) -> object:
    """Refuse in one sentence what neither side of the union takes; pydantic would complain once for each side."""
    counts = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if counts or (isinstance(value, str) and re.fullmatch(r"[1-9][0-9]?%|100%", value)):
        return value
    raise ValueError(f"must be a whole number from 1, or a percentage from 1% to 100%, got {value!r}")


def _checked_by(read: Callable[[object], int]) -> Callable[[object], object]:
    """Return what refuses in one sentence what `read` cannot read, and keeps the rest as it was typed."""

    def checked(value: object) -> object:
        read(value)
        return value

    return checked


Name = Annotated[str, Field(min_length=1, max_length=63, pattern=NAME_PATTERN)]
PackageVersion = Annotated[str, Field(max_length=64), AfterValidator(checked_version)]
ImageRepository = Annotated[str, Field(max_length=255), AfterValidator(_repository)]
ImageName = Annotated[str, Field(max_length=512), AfterValidator(_image)]
Platform = Annotated[str, Field(max_length=64, pattern=PLATFORM_PATTERN)]
Amount = Annotated[int | str, BeforeValidator(_amount)]
Cpu = Annotated[str | int | float, BeforeValidator(_checked_by(nano_cpus))]
Memory = Annotated[str | int, BeforeValidator(_checked_by(memory_bytes))]
Url = Annotated[str, Field(max_length=2048, pattern=URL_PATTERN)]
SecretName = Annotated[str, Field(max_length=253, pattern=SUBDOMAIN_PATTERN)]


class Source(Document):
    """Where the source of the runtime package is."""

    directory: Annotated[str, Field(min_length=1, max_length=4096)]
    """The folder of the runtime's source, absolute or relative to the document; standalone only."""


class Index(Document):
    """The Python package index that the runtime is published to."""

    upload_url: Annotated[Url, Field(alias="uploadURL")]
    """Where twine uploads to."""
    simple_url: Annotated[Url, Field(alias="simpleURL")]
    """The simple index (PEP 503, PEP 691) that the images' installs and the barrier read."""
    credentials_secret_name: SecretName | None = None
    """The Secret with `username` and `password`, or `token`, or `oidc-token`: the OIDC identity token of a trusted
    publisher, which the index exchanges for an upload token. Without a Secret the environment's PYPI_TOKEN is used."""
    ca_secret_name: SecretName | None = None
    """The Secret whose `ca.crt` verifies the index's certificate."""
    visible_deadline_seconds: Annotated[int, Field(ge=1, le=86_400)] = 900
    """How long a published file may take to show in the simple index before the publication counts as failed."""


class Signing(Document):
    """The keys of release records. A record's signature says how the version came to be; `wsr why` checks it."""

    key_secret_name: SecretName | None = None
    """The Secret whose `signing.key` signs every new record: an Ed25519 private key in PEM, without a password."""
    public_keys: Annotated[
        list[Annotated[str, Field(max_length=1024, pattern=PUBLIC_KEY_PATTERN)]], Field(max_length=10)
    ] = []
    """The Ed25519 public keys in PEM that signatures are checked with. Without them the Secret's own is used; whoever
    only checks needs no Secret."""


class Package(Document):
    """The Python package that the source becomes."""

    name: Annotated[str, Field(max_length=100, pattern=DISTRIBUTION_PATTERN)] = (
        "molecule-ai-workspace-runtime"
    )
    """The distribution's name."""
    module: Annotated[str, Field(max_length=100, pattern=MODULE_PATTERN)] = "molecule_runtime"
    """The import package that the source's modules go into."""
    publish: Literal["Operator", "External"] = "Operator"
    """Operator: this object publishes. External: another object or a CI system does; its versions are waited for."""
    version_ceiling: PackageVersion | None = None
    """Versions at or above this one are refused: a guard against a stray high version."""
    signing: Signing | None = None
    """Whether release records are signed, and with what. PEP 740 attestations are another thing, and `wsr` makes
    none: see docs/releasing.md, Attestations."""
    index: Index


class Pruning(Document):
    """Which candidate images are deleted."""

    candidates_older_than_days: Annotated[int, Field(ge=1, le=3_650)]
    """How old a candidate must be: an image of a version that was neither published nor judged Good and that is neither
    wanted nor run. A digest that another tag or a kept record names stays, and so does a candidate of unknown age."""


class Registry(Document):
    """Where images and release records live."""

    mode: Literal["Engine", "Remote"] = "Remote"
    """Remote: an OCI registry. Engine: images live in one Docker Engine only, records in a named volume of it."""
    artifacts: Annotated[str, Field(max_length=255, pattern=ARTIFACTS_PATTERN)]
    """The repository (Remote) or the volume (Engine) that holds candidate wheels, release records and inventories."""
    push_secret_name: SecretName | None = None
    """The Secret with `username` and `password`, or `.dockerconfigjson`, for pushing."""
    pull_secret_name: SecretName | None = None
    """The Secret of the same kind for reading, and for the engine's pulls; default: the one for pushing."""
    ca_secret_name: SecretName | None = None
    """The Secret whose `ca.crt` verifies the registry's certificate."""
    insecure: bool = False
    """Plain HTTP; only when said."""
    prune: Pruning | None = None
    """Which candidate images are deleted once the object is up to date; absent: none. A registry must allow deletion (in
    docker-registry `storage.delete.enabled: true`); in Engine mode only tags are removed, never an image in use."""


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
    directory: Annotated[str, Field(max_length=4096)] = ""
    """The folder of the template, absolute or relative to the document; standalone only. Required with Append and
    Dockerfile, refused with the others."""
    args: Annotated[dict[str, str], Field(max_length=50)] = {}
    """Build arguments for the template's Dockerfile; never a place for secrets. Append and Dockerfile only."""
    dispatch: Dispatch | None = None
    """Required with Dispatch, refused with the others."""
    platforms: Annotated[list[Platform], Field(min_length=1, max_length=8)] | None = None
    """The platforms of the image, as linux/arm64; of several (Remote mode) it is an index. One is built in full here, and
    it alone is booted at the gate: the engine's own, else the first; `fullBuild` has the others. Another list takes
    effect with the next image. The variable MOLECULE_IMAGE_PLATFORM names one for all templates instead. Default: the
    engine's own, on arm64 Macs linux/amd64."""
    full_build: ImageName | None = None
    """Where the full builds for the further platforms are: an image, or an index of several, that the template's
    Dockerfile gave on such a machine, and that was pushed there. It is read for each release and never run here."""
    rebuild_on: Annotated[list[Literal["Version", "Template", "Base"]], Field(max_length=3)] = ["Version"]
    """What makes a new image: a new Version (always), a changed Template folder, a Base image that moved. The rest shows
    as UpdateAvailable until it is named here, or asked for once with annotation `runtime.molecule.ai/rebuild`."""

    @property
    def ours(self) -> bool:
        """Whether the image is built here; else somebody else builds and pushes it."""
        return self.strategy in OURS

    @model_validator(mode="after")
    def _consistent(self) -> Build:
        check_build(self.strategy, [name for name in self.model_fields_set if getattr(self, name)])
        return self


class EnvironmentVariable(Document):
    """One environment variable of a probe."""

    name: Annotated[str, Field(pattern=VARIABLE_PATTERN, max_length=256)]
    value: Annotated[str, Field(max_length=32_768)] = ""


class Limits(Document):
    """The most that a candidate may use."""

    cpu: Cpu | None = None
    """CPU time, as in 500m or 2; default: no limit."""
    memory: Memory | None = None
    """Memory, as in 512Mi; a candidate that needs more is killed and fails. Default: no limit."""


class Resources(Document):
    """What a candidate may use."""

    limits: Limits = Limits()


class SecurityContext(Document):
    """As whom and on what a candidate runs."""

    run_as_user: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """The numeric user; default: the image's own."""
    read_only_root_filesystem: bool = False
    """A read-only root file system with a tmpfs on /tmp and /run, as tier-limited workspaces have; /configs stays
    writable."""


class Probe(Document):
    """How a candidate is booted at the gate: as production boots it."""

    model: Literal["Required", "WithoutTools", "None"] = "Required"
    """What the candidate must do with a model, which a stand-in plays. Required: call it, run a tool for it, and carry on
    the conversation. WithoutTools: the same without a tool. None: nothing; the gate then cannot see an agent that does
    not reach its model or forgets what was said, and the candidate may reach the network."""
    env: Annotated[list[EnvironmentVariable], Field(max_length=100)] = []
    """Environment beside the image's own and beside the addresses and keys of the stand-in, which it overrides."""
    resources: Resources = Resources()
    security_context: SecurityContext = SecurityContext()


class Template(Document):
    """One adapter template: an image of its own that carries the runtime."""

    name: Name
    image: ImageRepository
    """The image's repository, with a registry host in Remote mode."""
    tags: Annotated[list[Annotated[str, Field(pattern=TAG_PATTERN)]], Field(max_length=10)] = ["latest"]
    """Moving tags, besides the immutable one; a dev, pre- or local release moves none of them."""
    pre_release_tags: Annotated[list[Annotated[str, Field(pattern=TAG_PATTERN)]], Field(max_length=10)] = []
    """The moving tags that a dev, pre- or local release moves instead."""
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
        check_template(self.build.strategy, gate=self.gate, promote=self.promote, tags=self.tags)
        return self


class Selector(Document):
    """A label selector."""

    match_labels: Annotated[dict[str, str], Field(max_length=20)] = {}


class DockerHost(Document):
    """A Docker Engine whose containers are targets."""

    name: Name
    endpoint: Annotated[str, Field(max_length=2048, pattern=ENDPOINT_PATTERN)]
    """The engine's address, as unix:///var/run/docker.sock."""
    container_prefix: Annotated[str, Field(min_length=1, max_length=63, pattern=PREFIX_PATTERN)] = "ws-"
    """Only containers whose name starts with this are targets."""
    selector: Selector = Selector.model_validate({"matchLabels": {"molecule.platform.managed": "true"}})
    """Only containers that carry all of these labels are targets."""


class Targets(Document):
    """What runs the runtime."""

    docker_hosts: Annotated[list[DockerHost], Field(min_length=1, max_length=1)]


class Drain(Document):
    """How long work in progress may hold a replacement up."""

    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 900
    """How long a busy target is asked to finish before `onTimeout` decides."""
    on_timeout: Literal["Wait", "Proceed"] = "Wait"
    """Wait: leave it, report it, ask again later. Proceed: replace it, work is cut."""


class Rollout(Document):
    """How fast and how careful targets are replaced."""

    max_unavailable: Amount = "25%"
    """How many targets may be down at a time; a percentage rounds down, at least 1."""
    drain: Drain = Drain()
    on_failure: Literal["Rollback", "Pause"] = "Rollback"
    """What happens to targets that already run a version which then failed on another one."""


class Spec(Document):
    """What is asked for."""

    version: PackageVersion
    """The runtime version that every target must run; the one line that a bump edits."""
    suspend: bool = False
    """True stops all work on this object; what runs keeps running."""
    source: Source
    package: Package
    registry: Registry
    templates: Annotated[list[Template], Field(min_length=1, max_length=50)]
    targets: Targets
    rollout: Rollout = Rollout()

    @model_validator(mode="after")
    def _with_full_builds(self) -> Spec:
        for template in self.templates:
            problem = self._platforms_problem(template.build)
            if problem:
                raise ValueError(f"template {template.name}: {problem}")
        return self

    def _platforms_problem(self, build: Build) -> str | None:
        """Return what is wrong with the platforms of a template, and the cure."""
        count = len(build.platforms or ())
        if len(set(build.platforms or ())) < count:
            return "build.platforms names a platform twice; keep one of them"
        if count > 1 and self.registry.mode == "Engine":
            return (
                f"build.platforms names {count} platforms, and an engine has images of one; keep one,"
                " or use registry.mode: Remote"
            )
        if count > 1 and build.full_build is None:
            return (
                f"build.platforms names {count} platforms, and only one is built here; name in build.fullBuild"
                " the image or index that has the full builds for the others"
            )
        if count < 2 and build.full_build is not None:  # noqa: PLR2004 -- further ones are two or more
            return "build.fullBuild is for further platforms, and build.platforms names none; name them, or remove it"
        if build.full_build is not None and not _names_host(build.full_build):
            return f"build.fullBuild {build.full_build!r} names no registry host; write HOST/REPOSITORY:TAG"
        return None

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        _unique("templates", [template.name for template in self.templates])
        _unique("templates", [template.image for template in self.templates], key="image")
        _unique("targets.dockerHosts", [host.name for host in self.targets.docker_hosts])
        ceiling = self.package.version_ceiling
        if ceiling is not None and Version(self.version) >= Version(ceiling):
            raise ValueError(
                f"version {self.version} is at or above package.versionCeiling {ceiling}; correct the version, or raise the ceiling"
            )
        if self.registry.mode == "Engine":
            for template in self.templates:
                if not template.build.ours:
                    raise ValueError(
                        f"template {template.name}: strategy {template.build.strategy} needs registry.mode: Remote; nobody"
                        " else can deliver an image to one engine"
                    )
        if self.registry.mode == "Remote":
            for template in self.templates:
                if not _names_host(template.image):
                    raise ValueError(
                        f"template {template.name}: image {template.image!r} names no registry host;"
                        " write HOST/REPOSITORY, or use registry.mode: Engine"
                    )
        elif "/" in self.registry.artifacts or ":" in self.registry.artifacts:
            raise ValueError(
                f"registry.artifacts {self.registry.artifacts!r} must be a volume name in Engine mode; use letters, digits, '.', '_' and '-'"
            )
        return self


class Metadata(Document):
    """The object's identity."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: Name
    namespace: Name = "default"
    annotations: Annotated[dict[str, str], Field(max_length=200), AfterValidator(annotated.checked)] = {}
    """Ours are `/hold: REASON`, which stops all work on this object, `/hold-targets`, `/pin-targets`, `/rebuild` and
    `/take-over`."""

    @property
    def hold(self) -> str | None:
        """Why all work on the object is held; None when it is not."""
        return self.annotations.get(ANNOTATION_HOLD)

    @property
    def takes_over(self) -> str | None:
        """The object whose package and tags are this one's now, as NAMESPACE/NAME; None when there is none."""
        return self.annotations.get(ANNOTATION_TAKE_OVER)

    @property
    def held_targets(self) -> Mapping[str, str]:
        """The reason of each target that is held here, by its name or its id."""
        return annotated.held_targets(self.annotations)

    @property
    def pinned_targets(self) -> Mapping[str, str]:
        """The version of each target that is pinned here, by its name or its id."""
        return annotated.pinned_targets(self.annotations)

    def request_for(self, template: str) -> str | None:
        """Return what names the request for a new build of a template; None when there is none."""
        requests = annotated.requests(self.annotations)
        return requests.get(template, requests.get(annotated.ALL_TEMPLATES))


class WorkspaceRuntime(Document):
    """The whole document."""

    api_version: Literal["runtime.molecule.ai/v1alpha1"]
    kind: Literal["WorkspaceRuntime"]
    metadata: Metadata
    spec: Spec

    @model_validator(mode="after")
    def _requests_name_templates(self) -> WorkspaceRuntime:
        known = [template.name for template in self.spec.templates]
        for name in annotated.requests(self.metadata.annotations):
            if name not in {*known, annotated.ALL_TEMPLATES}:
                raise ValueError(
                    f'annotation {ANNOTATION_REBUILD} names {name!r}, which is no template of this document; write "*" or '
                    f"one of {', '.join(known)}"
                )
        return self

    @property
    def key(self) -> str:
        """`NAMESPACE/NAME`."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


def _unique(field: str, values: list[str], *, key: str = "name") -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{field}: {key} {value!r} stands twice; each entry needs its own")
        seen.add(value)
