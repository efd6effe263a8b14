"""What texts of the document must look like, as regular expressions and in words; the API server is given the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""A DNS label (RFC 1123), as Kubernetes asks of object names."""
URL_PATTERN: Final = r"^https?://[^\s@]+$"
SUBDOMAIN_PATTERN: Final = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
"""A DNS subdomain (RFC 1123), as Kubernetes asks of the names of Secrets and ConfigMaps."""
DISTRIBUTION_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
MODULE_PATTERN: Final = r"^[a-z_][a-z0-9_]*$"
ARTIFACTS_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"
VARIABLE_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
TAG_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
ENDPOINT_PATTERN: Final = (
    r"^(unix:///.+|tcp://[^/:@]+:[0-9]{1,5}"
    r"|ssh://([A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[^\s:]+)?)$"
)
PUBLIC_KEY_PATTERN: Final = r"^\s*-----BEGIN PUBLIC KEY-----[\sA-Za-z0-9+/=]+-----END PUBLIC KEY-----\s*$"
PREFIX_PATTERN: Final = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$"
GITHUB_PATTERN: Final = r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$"
GIT_URL_PATTERN: Final = (
    r"^(https?://|ssh://([A-Za-z0-9_][A-Za-z0-9._-]*@)?)[A-Za-z0-9\[][A-Za-z0-9.:\]-]*/[^\s@?#]+$"
)
GIT_REF_PATTERN: Final = r"^([A-Za-z0-9_]|\{version\})([A-Za-z0-9._/+!@-]|\{version\})*$"
GIT_PATH_PATTERN: Final = r"^(\.|([^./\s]|\.[^./]|\.\.[^/])[^/\n]*(/([^./\s]|\.[^./]|\.\.[^/])[^/\n]*)*)$"
"""No segment is `.` or `..`, in the regular expressions of an API server, which cannot look ahead."""
PLATFORM_PATTERN: Final = r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$"
CLOCK_PATTERN: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
TIME_ZONE_PATTERN: Final = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"

PATTERN_WORDS: Final[Mapping[str, str]] = {
    NAME_PATTERN: "must consist of lower-case letters, digits and '-', and begin and end with a letter or digit",
    URL_PATTERN: "must be an http:// or https:// address without credentials",
    SUBDOMAIN_PATTERN: "must be a name that Kubernetes takes: lower-case letters, digits, '-' and '.'",
    DISTRIBUTION_PATTERN: "must be a distribution name: letters, digits, '.', '_' and '-'",
    MODULE_PATTERN: "must be an import name: lower-case letters, digits and '_', not beginning with a digit",
    ARTIFACTS_PATTERN: "must be a repository without a tag or digest (Remote) or a volume name (Engine)",
    VARIABLE_PATTERN: "must be the name of an environment variable: letters, digits and '_', not beginning with a digit",
    TAG_PATTERN: "must be an image tag: up to 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'",
    ENDPOINT_PATTERN: "must be a Unix socket, as in unix:///var/run/docker.sock, an address for TLS,"
    " as in tcp://docker-1.example:2376, or one for ssh, as in ssh://wsr@docker-1.example",
    PUBLIC_KEY_PATTERN: "must be a public key in PEM, from -----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----",
    PLATFORM_PATTERN: "must be a platform, as in linux/arm64",
    PREFIX_PATTERN: "must be the beginning of a container name: letters, digits, '_', '.' and '-'",
    GIT_URL_PATTERN: "must be an https:// or ssh:// address of a repository without credentials, as in"
    " https://host/owner/name or ssh://git@host/owner/name",
    GIT_REF_PATTERN: "must be a branch, a tag or a commit, in which {version} may stand for spec.version",
    GIT_PATH_PATTERN: "must be a folder inside the repository, as in templates/langgraph, or '.' for all of it",
    CLOCK_PATTERN: "must be a time of the day in hours and minutes, from 00:00 to 23:59",
    TIME_ZONE_PATTERN: "must be a time zone of the IANA database, as Europe/Berlin or UTC",
    GITHUB_PATTERN: "must be a repository of GitHub, as in OWNER/NAME",
}
"""What each pattern asks for, in words: nobody should have to read a regular expression to correct a document."""
