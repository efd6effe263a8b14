"""Reads one project page of a simple index, in either of its two forms, into the same list of files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import unquote, urljoin, urlsplit

from builder.index.errors import Malformed, Unavailable

JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"
HTML_TYPES: Final = ("application/vnd.pypi.simple.v1+html", "text/html")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DISTRIBUTION: Final = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".egg")
_FOR_PEOPLE: Final = {"form", "input", "script"}


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One file that an index shows for a project.

    `sha256` is lower-case hex, None when the index shows no such digest. `url` is absolute, without fragment.
    `yanked` files (PEP 592) are still served.
    """

    filename: str
    url: str
    sha256: str | None
    requires_python: str | None = None
    yanked: bool = False
    metadata: IndexFile | None = None
    """The file's core metadata as a file of its own (PEP 658, PEP 714), where the index offers it; installers resolve
    with it."""


def parse_page(body: bytes, *, content_type: str, url: str) -> tuple[IndexFile, ...]:
    """Read a project page.

    Args:
        body: the whole answer.
        content_type: the answer's type, parameters allowed.
        url: where the page was read (after redirects); relative addresses start there.

    Raises:
        Malformed: the answer is no project page of API version 1.
        Unavailable: the page ends in the middle.
    """
    kind = content_type.partition(";")[0].strip().lower()
    text = body.decode("utf-8", errors="replace")
    if kind in {JSON_TYPE, "application/json"}:
        return _parse_json(text, url)
    if kind in HTML_TYPES:
        return _parse_html(text, url)
    raise Malformed(
        f"{url} answered with type {kind or '(none)'}, which is no index page. Check the simple index URL."
    )


def _parse_json(text: str, url: str) -> tuple[IndexFile, ...]:
    try:
        document = json.loads(text)
        version = str(document["meta"]["api-version"])
        entries = document["files"]
        if version.partition(".")[0] != "1":
            raise Malformed(f"{url} speaks version {version} of the simple API; this tool reads version 1.")
        return tuple(_from_entry(entry, url) for entry in entries)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Malformed(
            f"{url} answered with JSON that is no project page (PEP 691): {error}. Check the simple index URL."
        ) from error


def _from_entry(entry: Mapping[str, Any], url: str) -> IndexFile:
    filename, address = str(entry["filename"]), urljoin(url, str(entry["url"])).partition("#")[0]
    offered = entry.get("core-metadata", entry.get("dist-info-metadata", False))
    hashes = offered if isinstance(offered, dict) else {}
    return IndexFile(
        filename=filename,
        url=address,
        sha256=_digest(entry.get("hashes", {}).get("sha256")),
        requires_python=entry.get("requires-python"),
        # a string is the reason why; an empty one still means yanked
        yanked=entry.get("yanked", False) is not False,
        metadata=_metadata(filename, address, hashes.get("sha256")) if offered else None,
    )


def _parse_html(text: str, url: str) -> tuple[IndexFile, ...]:
    page = _Anchors()
    page.feed(text)
    page.close()
    if "html" in page.opened and "html" not in page.closed:
        raise Unavailable(f"{url} broke off in the middle of its page.")
    base = urljoin(url, page.base) if page.base else url
    files = tuple(file for file in (_from_anchor(anchor, base) for anchor in page.anchors) if file)
    if not files and page.opened & _FOR_PEOPLE:
        raise Malformed(
            f"{url} answered with a page for people (a login or an error?), not with an index page. "
            "Check the simple index URL and the credentials."
        )
    return files


def _from_anchor(anchor: Mapping[str, str | None], base: str) -> IndexFile | None:
    address, _, fragment = urljoin(base, anchor.get("href") or "").partition("#")
    filename = unquote(urlsplit(address).path.rpartition("/")[2])
    if not filename.endswith(_DISTRIBUTION):
        return None
    algorithm, _, digest = fragment.partition("=")
    offered = anchor.get("data-core-metadata", anchor.get("data-dist-info-metadata"))
    return IndexFile(
        filename=filename,
        url=address,
        sha256=_digest(digest) if algorithm == "sha256" else None,
        requires_python=anchor.get("data-requires-python"),
        yanked="data-yanked" in anchor,
        metadata=_metadata(filename, address, offered.removeprefix("sha256=")) if offered else None,
    )


def _metadata(filename: str, address: str, sha256: object) -> IndexFile:
    return IndexFile(f"{filename}.metadata", f"{address}.metadata", _digest(sha256))


def _digest(value: object) -> str | None:
    text = str(value).lower()
    return text if _SHA256.fullmatch(text) else None


class _Anchors(HTMLParser):
    """Collects what PEP 503 gives a meaning to: anchors, and the base address."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.anchors: list[dict[str, str | None]] = []
        self.base: str | None = None
        self.opened: set[str] = set()
        self.closed: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.add(tag)
        if tag == "a":
            self.anchors.append(dict(attrs))
        elif tag == "base" and self.base is None:
            self.base = dict(attrs).get("href")

    def handle_endtag(self, tag: str) -> None:
        self.closed.add(tag)
