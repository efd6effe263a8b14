"""What is asked of a registry, request by request: method, address, permissions and what it is called in errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from yarl import URL

from builder.oci.body import Body
from builder.oci.manifest import MANIFEST_TYPES
from builder.oci.reference import DOCKER_HUB, Reference
from builder.oci.tokens import Scopes
from builder.oci.transport import Request

_ACCEPT: Final = {"Accept": ", ".join(MANIFEST_TYPES)}
_HUB_ENDPOINT: Final = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of the distribution protocol; `insecure` says that they go over plain HTTP."""

    insecure: bool

    def manifest(self, method: str, reference: Reference) -> Request:
        """Return what reads a manifest or index of whatever type."""
        url = self._url(reference, f"manifests/{reference.version}")
        return Request(method, url, _pull(reference), str(reference), _ACCEPT)

    def storing(self, reference: Reference, raw: bytes, media_type: str) -> Request:
        """Return what stores a manifest under a tag or digest."""
        url, headers = self._url(reference, f"manifests/{reference.version}"), {"Content-Type": media_type}
        return Request("PUT", url, _push(reference), str(reference), headers, Body.of(raw))

    def deletion(self, repository: Reference, digest: str) -> Request:
        """Return what deletes a manifest."""
        url = self._url(repository, f"manifests/{digest}")
        scopes = (f"repository:{repository.repository}:delete,pull",)
        return Request("DELETE", url, scopes, f"{repository.name}@{digest}")

    def blob(self, method: str, repository: Reference, digest: str) -> Request:
        """Return what reads a blob."""
        url = self._url(repository, f"blobs/{digest}")
        return Request(method, url, _pull(repository), f"{repository.name}@{digest}")

    def upload(self, repository: Reference, digest: str) -> Request:
        """Return what begins the upload of a blob."""
        return self._begin(repository, digest, {}, _push(repository))

    def mount(self, repository: Reference, digest: str, source: Reference) -> Request:
        """Return what makes a blob of another repository appear here."""
        query = {"mount": digest, "from": source.repository}
        return self._begin(repository, digest, query, _push(repository) + _pull(source))

    def tags(self, repository: Reference) -> Request:
        """Return what lists the first tags of a repository."""
        url = self._url(repository, "tags/list").with_query(n="1000")
        return Request("GET", url, _pull(repository), f"the tags of {repository.name}")

    def _begin(self, repository: Reference, digest: str, query: Mapping[str, str], scopes: Scopes) -> Request:
        url = self._url(repository, "blobs/uploads/").with_query(query)
        return Request("POST", url, scopes, f"{repository.name}@{digest}")

    def _url(self, reference: Reference, path: str) -> URL:
        host = _HUB_ENDPOINT if reference.host == DOCKER_HUB else reference.host
        return URL(f"{'http' if self.insecure else 'https'}://{host}/v2/{reference.repository}/{path}")


def _pull(reference: Reference) -> Scopes:
    return (f"repository:{reference.repository}:pull",)


def _push(reference: Reference) -> Scopes:
    return (f"repository:{reference.repository}:pull,push",)
