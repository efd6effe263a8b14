"""What the engine asks of a container registry, in our error taxonomy; the protocol itself is `builder.oci`'s.

Reading only, and the artifacts that records are: images are pushed by builder runs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from builder import oci
from controller.api.conditions import Reason
from controller.model.delivery import DeliveredImage
from controller.model.errors import NotFound, Terminal, Transient
from controller.secret_files import BasicCredentials

DEFAULT_PLATFORM: Final = "linux/amd64"
DELETION_REFUSED: Final = "DeletionRefused"
_GHCR: Final = "ghcr.io"
_HEADS_AT_ONCE: Final = 8
_INDEX_TYPES: Final = frozenset({oci.MediaType.OCI_INDEX, oci.MediaType.DOCKER_LIST})


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """How to reach the registry of one document. `secret` are the files of its Secret, by key."""

    host: str
    insecure: bool = False
    ca_file: Path | None = None
    secret: Mapping[str, Path] = field(default_factory=dict)
    ghcr: BasicCredentials | None = None
    """Used for ghcr.io where no Secret is named."""
    docker_config: Path | None = None
    """Used for every other host where no Secret is named, if the file exists."""
    helper_environment: Mapping[str, str] | None = None
    """What the credential helpers of a docker configuration get to see; None for all of ours."""


class Registry:
    """A registry, as `async with Registry(access) as registry`."""

    def __init__(self, access: RegistryAccess) -> None:
        self._access = access
        self._open = AsyncExitStack()
        self._client: oci.Client

    async def __aenter__(self) -> Self:
        with translated():
            client = oci.Client(
                credentials(self._access), insecure=self._access.insecure, ca_file=self._access.ca_file
            )
            self._client = await self._open.enter_async_context(client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def digest(self, reference: str) -> str:
        """Return the digest that a tag points to now, by one HEAD.

        Raises:
            NotFound: no such tag or repository.
            Transient: the registry cannot be reached or fails.
            Terminal: access is refused, or the answer does not hold together.
        """
        with translated():
            return (await self._client.head(parse(reference))).digest

    async def labels(self, reference: str, *, platform: str = DEFAULT_PLATFORM) -> Mapping[str, str]:
        """Return the labels of an image, for one platform of it; raises as `digest` does."""
        with translated():
            where = parse(reference)
            manifest = await self._client.image(where, oci.Platform.parse(platform))
            content = await self._client.blob(where, manifest.config)
        return _labels(content, where=reference)

    async def layers(self, reference: str, *, platform: str) -> Mapping[str, int]:
        """Return how many bytes of each layer of an image are sent, by the digest of its content; raises as `digest` does."""
        with translated():
            where = parse(reference)
            manifest = await self._client.image(where, oci.Platform.parse(platform))
            content = await self._client.blob(where, manifest.config)
        try:
            contents = [str(digest) for digest in json.loads(content)["rootfs"]["diff_ids"]]
        except (ValueError, KeyError, TypeError) as error:
            raise _no_configuration(reference) from error
        return {digest: layer.size for digest, layer in zip(contents, manifest.layers, strict=False)}

    async def delivered(
        self, reference: str, *, digest: str | None = None, platform: str = DEFAULT_PLATFORM
    ) -> DeliveredImage:
        """Return what is told of the image that somebody else pushed under a tag; raises as `digest` does.

        `digest` is what the tag was just seen to point to; without it, it is read.
        """
        with translated():
            where = parse(reference)
            digest = digest or (await self._client.head(where)).digest
            manifest = await self._client.image(where.at(digest), oci.Platform.parse(platform))
            content = await self._client.blob(where, manifest.config)
        labels = _labels(content, where=reference)
        return DeliveredImage(
            reference,
            digest,
            manifest.config.digest,
            version=labels.get("ai.molecule.runtime.version"),
            wheel_sha256=labels.get("ai.molecule.runtime.wheel-sha256"),
            revision=labels.get("org.opencontainers.image.revision"),
        )

    async def tags(self, repository: str) -> Sequence[str]:
        """Return all tags of a repository, none for one that does not exist; raises as `digest` does."""
        with translated():
            return await self._client.tags(parse(repository))

    async def standing_on(self, repository: str, tags: Iterable[str]) -> Mapping[str, str]:
        """Return what must stay for these tags to work, each digest with one of the tags: of an index also its children.

        A tag with nothing behind it, as some registries list after a deletion, keeps nothing. Raises as `digest` does.
        """
        turns = asyncio.Semaphore(_HEADS_AT_ONCE)

        async def of(tag: str) -> list[str]:
            where = parse(f"{repository}:{tag}")
            async with turns:
                try:
                    head = await self._client.head(where)
                    if head.media_type not in _INDEX_TYPES:
                        return [head.digest]
                    index = await self._client.manifest(where.at(head.digest))
                except oci.NotFound:
                    return []
            return [head.digest, *(child.digest for child in index.children)]

        names = sorted(tags)
        with translated():
            found = await asyncio.gather(*map(of, names))
        return {digest: tag for tag, digests in zip(names, found, strict=True) for digest in digests}

    async def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest and with it every tag on it; an absent one is no error. Raises as `digest` does.

        Raises:
            Terminal: DeletionRefused, where the registry does not allow it.
        """
        with translated():
            try:
                await self._client.delete(parse(repository), digest)
            except oci.Refused as error:
                raise Terminal(
                    DELETION_REFUSED,
                    f"Nothing was pruned: {error}",
                    fix="In docker-registry set storage.delete.enabled: true; or take registry.prune out of the document.",
                ) from error

    async def artifact(self, reference: str) -> tuple[str, bytes]:
        """Return type and content of a single-file artifact, checked by digest; raises as `digest` does."""
        with translated():
            where = parse(reference)
            manifest = await self._client.manifest(where)
            if len(manifest.layers) != 1:
                raise oci.Corrupt(f"{reference} holds {len(manifest.layers)} files where one was expected.")
            return manifest.artifact_type, await self._client.blob(where, manifest.layers[0])

    async def annotations(self, reference: str) -> Mapping[str, str]:
        """Return what is noted on an artifact; raises as `digest` does."""
        with translated():
            return (await self._client.manifest(parse(reference))).annotations

    async def put_artifact(
        self,
        reference: str,
        content: bytes,
        *,
        kind: str,
        file: str,
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """Store a file as an artifact of media type `kind`, named `file`; return the manifest's digest.

        Equal content is stored once. Raises as `digest` does.
        """
        blob = oci.Blob(kind, content, {"org.opencontainers.image.title": file})
        with translated():
            return await self._client.put_artifact(
                parse(reference), [blob], artifact_type=kind, annotations=annotations
            )


def credentials(access: RegistryAccess) -> oci.Credentials:
    """Return where credentials come from: the Secret named, else GHCR's variables, else the docker configuration.

    A Secret's user name and password go to the document's own registry only.
    """
    secret = access.secret
    if ".dockerconfigjson" in secret:
        return oci.DockerConfig(secret[".dockerconfigjson"], environment=access.helper_environment)
    if secret:
        return SecretCredential(access.host, secret)
    if access.host == _GHCR and access.ghcr is not None:
        return oci.FixedCredential(_GHCR, oci.Credential(access.ghcr.username, access.ghcr.password))
    if access.docker_config is not None:
        return LoginCredential(access.docker_config, access.helper_environment)
    return oci.NoCredentials()


class SecretCredential:
    """User name and password of a Secret, for one registry; read anew when the registry refuses the ones before."""

    def __init__(self, host: str, files: Mapping[str, Path]) -> None:
        """Raises Terminal: SecretIncomplete, as `BasicCredentials.from_files`."""
        self._host = host
        self._files = files
        BasicCredentials.from_files(files)

    async def for_host(self, host: str) -> oci.Credential | None:
        """Return the credential for its own host only."""
        if host != self._host:
            return None
        pair = BasicCredentials.from_files(self._files)
        return oci.Credential(pair.username, pair.password)


@dataclass(frozen=True, slots=True)
class LoginCredential:
    """What `docker login` leaves in the user's docker configuration, which need not exist yet."""

    path: Path
    environment: Mapping[str, str] | None

    async def for_host(self, host: str) -> oci.Credential | None:
        """Return what the configuration has for `host` now; raises as `oci.DockerConfig.for_host`."""
        if not self.path.exists():
            return None
        return await oci.DockerConfig(self.path, environment=self.environment).for_host(host)


def parse(reference: str) -> oci.Reference:
    """Read an image or artifact name; raises Terminal when it is none."""
    try:
        return oci.Reference.parse(reference)
    except ValueError as error:
        raise Terminal("Invalid", f"{error}.", fix="Correct the name in the document.") from error


def _labels(config: bytes, *, where: str) -> Mapping[str, str]:
    try:
        labels = (json.loads(config).get("config") or {}).get("Labels") or {}
        return {str(name): str(value) for name, value in labels.items()}
    except (ValueError, AttributeError) as error:
        raise _no_configuration(where) from error


def _no_configuration(where: str) -> Terminal:
    return Terminal(
        Reason.REGISTRY_REFUSED,
        f"The configuration of {where} is none of an image.",
        fix="Push the image again with a current tool.",
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turn what `builder.oci` raises into our taxonomy."""
    try:
        yield
    except oci.NotFound as error:
        raise NotFound(str(error)) from error
    except oci.Unavailable as error:
        raise Transient(str(error), retry_after=error.retry_after) from error
    except oci.ReadOnly as error:
        raise Transient(str(error)) from error
    except oci.Unauthorized as error:
        raise unauthorized(str(error)) from error
    except oci.RegistryError as error:
        raise refused(str(error)) from error


def unauthorized(message: str) -> Terminal:
    """Return what it means that a registry wants other credentials."""
    return Terminal(
        Reason.CREDENTIALS_MISSING,
        message,
        fix="Name a Secret in registry.pushSecretName (to read: pullSecretName), or run docker login for this registry.",
    )


def refused(message: str) -> Terminal:
    """Return what it means that a registry does not do what it understood."""
    return Terminal(Reason.REGISTRY_REFUSED, message, fix="Check the registry's address and its log.")
