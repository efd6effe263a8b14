"""The package that the source becomes, its index, and the keys of its records."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.api.patterns import DISTRIBUTION_PATTERN, MODULE_PATTERN, PUBLIC_KEY_PATTERN
from controller.api.v1alpha1._base import Document, PackageVersion, SecretName, Url


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
