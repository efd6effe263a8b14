"""Uploads one file with twine and says what became of it; the only user of twine, and slow to import."""

from __future__ import annotations

import contextlib
import html
import re
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from twine.exceptions import TwineException
from twine.package import PackageFile
from twine.repository import Repository

from builder.index import Credentials, cause_of, retry_after_seconds
from builder.problems import Refused, TryAgain

CONNECT_SECONDS: Final = 10
SILENCE_SECONDS: Final = 300
"""How long an index may take to answer once it has the file; large ones scan it first."""


def read(files: Sequence[Path]) -> list[PackageFile]:
    """Read all before the first is sent: a release is not begun that cannot be completed.

    Raises:
        Refused: UploadRefused, a file is no distribution.
    """
    try:
        return [PackageFile.from_filename(str(file), None) for file in files]
    except (TwineException, tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise Refused("UploadRefused", [f"This cannot be uploaded: {error}"]) from error


@dataclass(frozen=True, slots=True)
class Upload:
    """Where uploads go; `ca` holds the PEM certificates to trust, without it those of the machine are."""

    url: str
    credentials: Credentials | None = None
    ca: Path | None = None

    def send(self, package: PackageFile) -> bool:
        """Upload one file; return False when the index says that it has a file of this name already.

        Raises:
            Refused: CredentialsRejected, CertificateRejected, UploadRedirected, UploadRefused.
            TryAgain: IndexUnavailable, the index cannot be reached, asks for fewer requests, or fails by itself.
        """
        with contextlib.redirect_stdout(sys.stderr):  # stdout is the report's
            return self._send(package)

    def _send(self, package: PackageFile) -> bool:
        username = self.credentials.username if self.credentials else None
        password = self.credentials.password if self.credentials else None
        repository = Repository(self.url, username, password, disable_progress_bar=True)
        repository.session.mount("https://", _Strict(self.ca))
        repository.session.mount("http://", _Strict(self.ca))
        name = package.basefilename
        try:
            # one attempt: whoever reads the report decides when the next one is due
            answer = repository.upload(package, max_redirects=1)
        except requests.exceptions.SSLError as error:
            raise Refused(
                "CertificateRejected",
                [f"The certificate of {self.url} is not trusted ({error}). Name the CA file that signed it."],
            ) from error
        except requests.RequestException as error:
            raise TryAgain(
                "IndexUnavailable", f"{self.url} cannot be reached to upload {name}: {cause_of(error)}."
            ) from error
        finally:
            repository.close()
        return self._accepted(answer, name)

    def _accepted(self, answer: requests.Response, name: str) -> bool:
        status = answer.status_code
        said = _said(answer)
        if status == HTTPStatus.OK:
            return True
        if _is_duplicate(status, said):
            return False
        text = f"{self.url} answered {status}{said and f' ({said})'} to the upload of {name}."
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise Refused(
                "CredentialsRejected",
                [f"{text} The credentials are missing, wrong or not allowed to upload this project."],
            )
        if answer.is_redirect:
            where = answer.headers["location"]
            raise Refused(
                "UploadRedirected",
                [f"{text} It points to {where}. Name the final address as the upload URL."],
            )
        if (
            status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}
            or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        ):
            raise TryAgain(
                "IndexUnavailable", text, retry_after=retry_after_seconds(answer.headers.get("Retry-After"))
            )
        raise Refused("UploadRefused", [f"{text} Check the upload URL and the package."])


class _Strict(HTTPAdapter):
    """Sets what twine cannot: a time limit, and our CA file even where REQUESTS_CA_BUNDLE names another (requests #3829)."""

    def __init__(self, ca: Path | None) -> None:
        super().__init__()
        self._ca = ca

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:  # noqa: ANN401 -- passed through
        options["timeout"] = (CONNECT_SECONDS, SILENCE_SECONDS)
        if self._ca:
            options["verify"] = str(self._ca)
        return super().send(request, *args, **options)


def _is_duplicate(status: int, said: str) -> bool:
    """Read the answers for a name that exists: 409 of devpi and pypiserver, 400 with words of PyPI, and of pypiserver to twine."""
    return status == HTTPStatus.CONFLICT or (
        status == HTTPStatus.BAD_REQUEST and "already exist" in said.lower()
    )


def _said(answer: requests.Response) -> str:
    """Return the index's own words as one line, without the markup of an error page."""
    text = re.sub(r"(?is)<(style|script|title).*?</\1>|<[^>]*>", " ", answer.text)
    words = " ".join(html.unescape(text).split()) or str(answer.reason or "")
    return words if len(words) <= 200 else words[:199] + "…"  # noqa: PLR2004 -- one line on a terminal
