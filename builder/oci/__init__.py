"""Speaks the OCI distribution protocol: reads and writes images and artifacts in any registry.

It exists because the maintained client on PyPI, oras (read at 0.2.43), could not carry it. What was missing there:

- one registry request at a time, each blocking; a cascade makes dozens at once;
- no mount of a blob from another repository;
- manifests come as parsed documents, so that neither their digest can be checked nor their bytes be stored again, and
  blobs are written down unchecked;
- no index and no choice of a platform;
- a transfer that breaks begins anew; what failed is tried again for two minutes, whatever it was and whatever the
  registry asks for with `Retry-After`;
- no deadline on a connection that stands still.

What it shares with us are the formats. Look again when it has an asynchronous client that returns raw manifests. This
package knows nothing of builder stages, so that the controller may import it too.
"""

from builder.oci.client import Client, Head
from builder.oci.credentials import (
    Credential,
    Credentials,
    DockerConfig,
    FixedCredential,
    NoCredentials,
    PasswordFiles,
)
from builder.oci.errors import (
    Corrupt,
    Disconnected,
    NotFound,
    RateLimited,
    ReadOnly,
    Refused,
    RegistryError,
    Unauthorized,
    Unavailable,
)
from builder.oci.manifest import (
    MANIFEST_TYPES,
    Blob,
    Descriptor,
    Manifest,
    MediaType,
    Platform,
    canonical_json,
    sha256_digest,
)
from builder.oci.reference import Reference

__all__ = [
    "MANIFEST_TYPES",
    "Blob",
    "Client",
    "Corrupt",
    "Credential",
    "Credentials",
    "Descriptor",
    "Disconnected",
    "DockerConfig",
    "FixedCredential",
    "Head",
    "Manifest",
    "MediaType",
    "NoCredentials",
    "NotFound",
    "PasswordFiles",
    "Platform",
    "RateLimited",
    "ReadOnly",
    "Reference",
    "Refused",
    "RegistryError",
    "Unauthorized",
    "Unavailable",
    "canonical_json",
    "sha256_digest",
]
