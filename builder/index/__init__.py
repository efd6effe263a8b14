"""Reads package indexes: what they say they serve (PEP 691 JSON, PEP 503 HTML) and the bytes they really serve.

    async with Index(simple_url, ca_file=...) as index:
        files = await index.files("some-project")        # () when the index does not know the project
        wheel = await index.fetch(files[0])              # bytes, checked against the sha256 that the index shows

Uploading is twine's work; this is for asking before and after, and for the upload token of a trusted publisher.
"""

from builder.index.causes import cause_of
from builder.index.client import Credentials, Index, retry_after_seconds
from builder.index.errors import Corrupt, IndexProblem, Malformed, Refused, Unauthorized, Unavailable
from builder.index.page import IndexFile, parse_page
from builder.index.trusted import mint_upload_token

__all__ = [
    "Corrupt",
    "Credentials",
    "Index",
    "IndexFile",
    "IndexProblem",
    "Malformed",
    "Refused",
    "Unauthorized",
    "Unavailable",
    "cause_of",
    "mint_upload_token",
    "parse_page",
    "retry_after_seconds",
]
