"""The client of the OCI distribution protocol: manifests, blobs, mounts, artifacts and tags, every byte checked."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import aiohttp
from yarl import URL

from builder.oci.answers import read_limited
from builder.oci.blobs import Upload, download, give_up, location
from builder.oci.body import Body
from builder.oci.credentials import Credentials, NoCredentials
from builder.oci.errors import Corrupt, NotFound, Refused, Unauthorized
from builder.oci.manifest import (
    Blob,
    Descriptor,
    Manifest,
    MediaType,
    Platform,
    canonical_json,
    expect_digest,
    sha256_digest,
)
from builder.oci.reference import Reference
from builder.oci.requests import Requests
from builder.oci.transport import SILENCE_SECONDS, Transport

MANIFEST_LIMIT_BYTES: Final = 4 << 20
"""What the specification asks registries to accept at least; larger ones are refused by most."""
BLOB_LIMIT_BYTES: Final = 64 << 20
"""How much `blob` takes into memory; larger ones go to a file with `download`."""
CHUNK_BYTES: Final = 32 << 20
"""One piece is the simplest and works everywhere; only what is long on its way is worth going on with."""
_PAGES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Head:
    """What a registry says of a manifest without sending it."""

    digest: str
    media_type: str
    size: int


class Client:
    """Talks to any number of registries; use as `async with Client(...) as client`.

    Args:
        credentials: asked once a registry challenges; nothing is sent before.
        insecure: plain HTTP instead of HTTPS, for every host of this client; never a silent fallback.
        ca_file: a PEM bundle to trust instead of the system's.
        silence_seconds: how long nothing may move in the middle of a request before it counts as broken.
        chunk_bytes: blobs above this are uploaded in pieces of it.
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        insecure: bool = False,
        ca_file: Path | None = None,
        silence_seconds: float = SILENCE_SECONDS,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._credentials = credentials or NoCredentials()
        self._insecure = insecure
        self._requests = Requests(insecure=insecure)
        self._ca_file = ca_file
        self._silence_seconds = silence_seconds
        self._chunk_bytes = chunk_bytes
        self._transport: Transport

    async def __aenter__(self) -> Self:
        self._transport = Transport(
            self._credentials,
            insecure=self._insecure,
            ca_file=self._ca_file,
            silence_seconds=self._silence_seconds,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def head(self, reference: Reference) -> Head:
        """Return digest, type and size of a manifest; raises NotFound when there is none."""
        async with self._transport.open(self._requests.manifest("HEAD", reference)) as answer:
            digest = answer.headers.get("Docker-Content-Digest", "")
            if digest:
                expect_digest(str(reference), reference.digest, digest)
                return Head(digest, answer.content_type, int(answer.headers.get("Content-Length") or 0))
        # the header is optional in the specification; the digest then is that of the body
        manifest = await self.manifest(reference)
        return Head(manifest.digest, manifest.media_type, len(manifest.raw))

    async def manifest(self, reference: Reference) -> Manifest:
        """Return a manifest or index as stored.

        Raises:
            NotFound: there is none.
            Corrupt: the bytes do not have the digest asked for or announced, or are no manifest.
        """
        async with self._transport.open(self._requests.manifest("GET", reference)) as answer:
            raw = await read_limited(answer, MANIFEST_LIMIT_BYTES, str(reference))
            media_type, announced = answer.content_type, answer.headers.get("Docker-Content-Digest")
        manifest = Manifest.from_bytes(raw, media_type, where=str(reference))
        expect_digest(str(reference), reference.digest, manifest.digest)
        expect_digest(str(reference), announced, manifest.digest)
        return manifest

    async def image(self, reference: Reference, platform: Platform) -> Manifest:
        """Return the manifest of one platform's image, looked up in an index when there is one.

        Raises:
            NotFound: no such image, or not for this platform.
        """
        manifest = await self.manifest(reference)
        if not manifest.is_index:
            return manifest
        entry = manifest.for_platform(platform)
        if entry is None:
            raise NotFound(f"{reference} has no image for {platform}.")
        return await self.manifest(reference.at(entry.digest))

    async def blob(self, repository: Reference, descriptor: Descriptor) -> bytes:
        """Return a small blob (a configuration, a record); raises NotFound, Corrupt."""
        if descriptor.size > BLOB_LIMIT_BYTES:
            raise Refused(
                f"{repository.name}@{descriptor.digest} has {descriptor.size} bytes: download it to a file."
            )
        file = io.BytesIO()
        await self.download(repository, descriptor, file)
        return file.getvalue()

    async def download(self, repository: Reference, descriptor: Descriptor, file: IO[bytes]) -> None:
        """Write a blob to an open file, going on where a connection breaks.

        Raises:
            NotFound: there is none.
            Corrupt: size or digest are wrong; what was written must not be used.
        """
        request = self._requests.blob("GET", repository, descriptor.digest)
        await download(self._transport, request, descriptor, file)

    async def has_blob(self, repository: Reference, digest: str) -> bool:
        """Tell whether a repository already holds a blob."""
        try:
            async with self._transport.open(self._requests.blob("HEAD", repository, digest)):
                return True
        except NotFound:
            return False

    async def mount(self, repository: Reference, digest: str, source: Reference) -> bool:
        """Make a blob of another repository of the same registry appear here, without sending it.

        Returns:
            False when the registry could not (it then must be uploaded).
        """
        begin = self._requests.mount(repository, digest, source)
        try:
            async with self._transport.open(begin) as answer:
                if answer.status == HTTPStatus.CREATED:
                    return True
                session = location(begin, answer)
        except (NotFound, Refused, Unauthorized):
            return False  # the upload that follows says what is wrong, if anything is
        # the registry opened an upload instead (202): ended here, else it lies around for days
        await give_up(self._transport, begin, session)
        return False

    async def upload(self, repository: Reference, data: bytes | Path, *, digest: str) -> None:
        """Store a blob from memory or a file; the registry checks its digest.

        Above `chunk_bytes` it is sent in pieces. A connection that breaks is taken up again where it broke, a few
        times; when that is not enough, nothing is left half-written.
        """
        begin = self._requests.upload(repository, digest)

        async def there() -> bool:
            return await self.has_blob(repository, digest)

        body = await asyncio.to_thread(Body.of, data)
        await Upload(self._transport, begin, body, digest, self._chunk_bytes, there).run()

    async def ensure_blob(self, repository: Reference, data: bytes | Path, *, digest: str) -> bool:
        """Store a blob unless it is there; return whether it was sent."""
        if await self.has_blob(repository, digest):
            return False
        await self.upload(repository, data, digest=digest)
        return True

    async def put_manifest(self, reference: Reference, raw: bytes, media_type: str) -> str:
        """Store a manifest under the reference's tag (or digest) and return its digest.

        Raises:
            Corrupt: the registry stored other bytes than were sent.
        """
        digest = sha256_digest(raw)
        request = self._requests.storing(reference, raw, media_type)
        async with self._transport.open(request) as answer:
            expect_digest(str(reference), answer.headers.get("Docker-Content-Digest"), digest)
        return digest

    async def put_artifact(
        self,
        reference: Reference,
        blobs: Sequence[Blob],
        *,
        artifact_type: str,
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """Store blobs as one artifact (OCI 1.1 manifest with `artifactType`) and return its digest.

        Equal content gives an equal digest. Registries older than OCI 1.1 keep it as an image nobody runs.
        """
        empty = Blob(MediaType.OCI_EMPTY, b"{}")
        stored = {blob.descriptor.digest: blob for blob in (empty, *blobs)}
        await asyncio.gather(
            *(self.ensure_blob(reference, blob.data, digest=digest) for digest, blob in stored.items())
        )
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MediaType.OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": empty.descriptor.to_document(),
            "layers": [blob.descriptor.to_document() for blob in (blobs or [empty])],
            "annotations": dict(annotations or {}),
        }
        return await self.put_manifest(reference, canonical_json(document), MediaType.OCI_MANIFEST)

    async def tags(self, repository: Reference) -> list[str]:
        """Return all tags of a repository, sorted; an absent repository has none."""
        found: list[str] = []
        request = self._requests.tags(repository)
        for _ in range(_PAGES):
            try:
                async with self._transport.open(request) as answer:
                    document = json.loads(await read_limited(answer, MANIFEST_LIMIT_BYTES, request.what))
                    following = _next_page(answer)
                found.extend(str(tag) for tag in document.get("tags") or [])
            except NotFound:
                return []
            except (ValueError, AttributeError, TypeError) as error:
                raise Corrupt(f"{repository.host} answered no list of tags for {repository.name}.") from error
            if following is None:
                return sorted(found)
            request = replace(request, url=following)
        raise Corrupt(f"{repository.host} answered more than {_PAGES} pages of tags for {repository.name}.")

    async def delete(self, repository: Reference, digest: str) -> None:
        """Delete a manifest and with it every tag on it; an absent one is no error.

        Some registries go on listing such a tag, with nothing behind it.

        Raises:
            Refused: the registry does not allow deletion.
        """
        with contextlib.suppress(NotFound):
            async with self._transport.open(self._requests.deletion(repository, digest)):
                return


def _next_page(answer: aiohttp.ClientResponse) -> URL | None:
    link = answer.links.get("next")
    return answer.url.join(URL(str(link["url"]))) if link else None
