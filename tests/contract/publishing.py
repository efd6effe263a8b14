"""What tests of publication share: releases small enough to make in place, and a proxy that makes a real index fail."""

import asyncio
import gzip
import hashlib
import io
import ssl
import tarfile
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from builder.contract import PublishRun
from tests.parts.index import Index

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
_HOP_BY_HOP = {
    "transfer-encoding",
    "content-encoding",
    "content-length",
    "connection",
    "host",
    "accept-encoding",
}


@dataclass(frozen=True)
class Made:
    """A release on disk: its folder, and the sha256 of its files by name, the wheel first."""

    folder: Path
    project: str
    sha256: dict[str, str]

    @property
    def wheel(self) -> Path:
        return self.folder / next(iter(self.sha256))

    @property
    def sdist(self) -> Path:
        return self.folder / list(self.sha256)[1]


def make_release(folder: Path, project: str, version: str = "0.1.0", *, salt: str = "") -> Made:
    """Make wheel and sdist of a project; `salt` makes other bytes of the same names."""
    folder.mkdir(parents=True)
    stem = f"{project.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\nSummary: {salt or 'plain'}\n"
    wheel, sdist = folder / f"{stem}-py3-none-any.whl", folder / f"{stem}.tar.gz"
    about = f"{stem}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in {
            "METADATA": metadata,
            "WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
            "RECORD": "",
        }.items():
            archive.writestr(zipfile.ZipInfo(f"{about}/{name}"), content)
    tar = io.BytesIO()
    with tarfile.TarFile(fileobj=tar, mode="w") as out:
        for name, content in {"PKG-INFO": metadata, "pyproject.toml": ""}.items():
            info = tarfile.TarInfo(f"{stem}/{name}")
            info.size = len(content)
            out.addfile(info, io.BytesIO(content.encode()))
    sdist.write_bytes(gzip.compress(tar.getvalue(), mtime=0))
    return Made(
        folder, project, {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (wheel, sdist)}
    )


def credentials_of(folder: Path, username: str, password: str) -> Path:
    """Make the folder of a Secret."""
    folder.mkdir()
    (folder / "username").write_text(username + "\n")
    (folder / "password").write_text(password + "\n")
    return folder


def given(made: Made, index: Index, credentials: Path | None, *, deadline: float = 20.0) -> PublishRun:
    """Order the publication of a release, to be served within `deadline` seconds."""
    return PublishRun(
        files=(made.folder,),
        upload_url=index.upload_url,
        simple_url=index.simple_url,
        deadline_seconds=deadline,
        credentials=credentials,
    )


@dataclass
class Proxy:
    """Stands before a real index: passes everything on, except what a fault answers instead."""

    index: Index
    """The index as seen through the proxy."""
    behind: str
    faults: list[Fault] = field(default_factory=list)
    headers: Callable[[dict[str, str]], dict[str, str]] = lambda sent: sent
    """What becomes of the headers on the way to the index."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request, in order."""

    @property
    def uploads(self) -> int:
        return sum(method == "POST" for method, _ in self.seen)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        for fault in self.faults:
            if (instead := await fault(request)) is not None:
                return instead
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method,
                self.behind + request.path_qs,
                data=await request.read(),
                headers=self.headers(headers),
                allow_redirects=False,
            ) as answer,
        ):
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


@asynccontextmanager
async def proxy_before(index: Index, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Run a proxy on loopback before a real index; with `tls` it speaks HTTPS."""
    behind = "/".join(index.simple_url.split("/")[:3])
    runner = web.AppRunner(web.Application(client_max_size=1 << 24))
    proxy = Proxy(index, behind)
    runner.app.router.add_route("*", "/{path:.*}", proxy.answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    here = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    proxy.index = Index(
        index.upload_url.replace(behind, here),
        index.simple_url.replace(behind, here),
        index.username,
        index.password,
    )
    try:
        yield proxy
    finally:
        await runner.cleanup()


def on_upload(response: Callable[[], web.StreamResponse]) -> Fault:
    """Answer uploads with this instead."""

    async def fault(request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(0)
        if request.method != "POST":
            return None
        await request.read()
        return response()

    return fault


def on_page(response: Callable[[], web.StreamResponse], *, times: int | None = None) -> Fault:
    """Answer reads of project pages with this instead, so many times."""
    left = [times]

    async def fault(request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(0)
        if request.method != "GET" or "simple/" not in request.path or left[0] == 0:
            return None
        left[0] = None if left[0] is None else left[0] - 1
        return response()

    return fault
