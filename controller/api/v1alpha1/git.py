"""Folders in git repositories: where sources come from that are on no machine of ours."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, model_validator

from controller.api.field_error import FieldError
from controller.api.patterns import GIT_PATH_PATTERN, GIT_REF_PATTERN, GIT_URL_PATTERN
from controller.api.v1alpha1._base import Document, SecretName

LOOPBACK_PATTERN: Final = r"^http://(localhost|127\.[0-9.]+|\[::1\])([:/]|$)"
"""Plain HTTP that no other machine can read or change."""
PLAIN_HTTP: Final = "is plain HTTP, which anybody on the way can change; use https:// or ssh://, or say insecure: true beside it"
NOBODY_BY_SSH: Final = "needs credentialsSecretName, for ssh lets nobody in without a key; name a Secret with ssh-privatekey and known_hosts"
VERSION: Final = "{version}"


class Git(Document):
    """A folder of a git repository. It is read at the one commit that `ref` stands for, and from nowhere else."""

    url: Annotated[str, Field(max_length=2048, pattern=GIT_URL_PATTERN)]
    """The repository, as https://HOST/OWNER/NAME or ssh://git@HOST/OWNER/NAME; credentials are never part of it."""
    ref: Annotated[str, Field(max_length=255, pattern=GIT_REF_PATTERN)]
    """A branch, a tag or a commit (all 40 digits); `{version}` stands for `spec.version`. One that is not there yet is
    waited for. Where a branch and a tag have the same name, write refs/heads/NAME or refs/tags/NAME."""
    path: Annotated[str, Field(max_length=1024, pattern=GIT_PATH_PATTERN)]
    """The folder inside the repository; `.` is all of it. Files are taken as they are stored: no attribute and no filter
    changes them. Submodules, files of Git LFS, and links that leave the folder are refused."""
    credentials_secret_name: SecretName | None = None
    """The Secret (purpose `git`) for this repository's host, and for no other: `token`, or `username` and `password`, for
    https; `ssh-privatekey` and `known_hosts` for ssh; `ca.crt` where the host's certificate is signed by an authority of
    its own. Without a Secret it is read as anybody may."""
    insecure: bool = False
    """Plain HTTP to another machine; only when said."""

    @model_validator(mode="after")
    def _safe(self) -> Git:
        if self.url.startswith("http://") and not self.insecure and not re.search(LOOPBACK_PATTERN, self.url):
            raise FieldError(PLAIN_HTTP, "url")
        if self.url.startswith("ssh://") and self.credentials_secret_name is None:
            raise FieldError(NOBODY_BY_SSH, "url")
        return self

    def ref_of(self, version: str) -> str:
        """Return the ref for a version."""
        return self.ref.replace(VERSION, version)


class SourceGit(Git):
    """Where in which repository the runtime's source is."""

    ref: Annotated[str, Field(max_length=255, pattern=GIT_REF_PATTERN)] = f"runtime-v{VERSION}"
    """A branch, a tag or a commit (all 40 digits); `{version}` stands for `spec.version`. One that is not there yet is
    waited for: the tag may be pushed after the edit. Where a branch and a tag have the same name, write refs/heads/NAME or
    refs/tags/NAME."""
    path: Annotated[str, Field(max_length=1024, pattern=GIT_PATH_PATTERN)] = "workspace"
    """The folder inside the repository; `.` is all of it. Files are taken as they are stored: no attribute and no filter
    changes them. Submodules, files of Git LFS, and links that leave the folder are refused."""


class TemplateGit(Git):
    """Where in which repository a template is."""

    ref: Annotated[str, Field(max_length=255, pattern=GIT_REF_PATTERN)] = "main"
    """A branch, a tag or a commit (all 40 digits); `{version}` stands for `spec.version`. What a branch has moved on to
    makes a new image where `rebuildOn` names Template, and is shown otherwise."""
    path: Annotated[str, Field(max_length=1024, pattern=GIT_PATH_PATTERN)] = "."
    """The folder inside the repository that holds the Dockerfile; `.` is all of it. Files are taken as they are stored."""
