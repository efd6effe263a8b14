"""Speaks the OCI distribution protocol: reads and writes images and artifacts in any registry.

It exists because the maintained client on PyPI (oras) is synchronous, cannot mount blobs across repositories and
does not check what it reads against its digest; eight images in well under a second need all three. It knows
nothing of builder stages, so that the controller may import it too.
"""

from builder.oci.client import Client, Head
from builder.oci.credentials import Credential, Credentials, DockerConfig, FixedCredential, NoCredentials
from builder.oci.errors import (
    Corrupt,
    NotFound,
    RateLimited,
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
    "DockerConfig",
    "FixedCredential",
    "Head",
    "Manifest",
    "MediaType",
    "NoCredentials",
    "NotFound",
    "Platform",
    "RateLimited",
    "Reference",
    "Refused",
    "RegistryError",
    "Unauthorized",
    "Unavailable",
    "canonical_json",
    "sha256_digest",
]
