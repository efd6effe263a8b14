"""Package indexes: pypiserver, which holds only what is uploaded, and devpi, which also passes on the public index.

Both listen on the engine's gateway address, so that one URL serves this machine and every container, and both ask for a
password before an upload.
"""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parts.ground import PartError, cache_dir
from tests.parts.servers import Process, free_port, launch, serving, status_of, wait_until
from tests.parts.shared import shared

_SCRIPTS = Path(sys.executable).parent
# Longer than a working day: what the mirror has seen once it answers without asking the public index again.
_MIRROR_EXPIRY_SECONDS = 86_400
_HTTP_OK = 200
_RUN = "run-"  # how users begin that live for one run


@dataclass(frozen=True)
class Index:
    """A package index that takes uploads from one user; the URLs hold here and in containers alike."""

    upload_url: str
    simple_url: str
    username: str
    password: str

    @property
    def host(self) -> str:
        """What pip wants as `--trusted-host`."""
        return self.simple_url.split("/")[2].rpartition(":")[0]

    def files(self, project: str) -> dict[str, str | None]:
        """SHA-256 by file name of what is served for a project; empty when the index has never heard of it."""
        request = urllib.request.Request(  # noqa: S310 - our own http URL
            f"{self.simple_url}{project}/",
            headers={"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.1"},
        )
        try:
            with _open(request) as answer:
                text, kind = answer.read().decode(), answer.headers.get_content_type()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return {}
            raise
        return _files_of_json(text) if kind.endswith("json") else _files_of_html(text)


def _files_of_json(text: str) -> dict[str, str | None]:
    return {file["filename"]: file["hashes"].get("sha256") for file in json.loads(text)["files"]}


def _files_of_html(text: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for piece in text.split('href="')[1:]:
        address, _, fragment = piece.partition('"')[0].partition("#")
        found[address.rpartition("/")[2]] = fragment.removeprefix("sha256=") or None
    return found


@contextmanager
def running_pypiserver(folder: Path, *, address: str, port: int | None = None) -> Iterator[Index]:
    """A pypiserver that keeps its packages in `folder` and serves nothing else.

    Args:
        folder: packages, password file and log.
        address: where to listen; the engine's `gateway` to be reached from containers.
        port: to come back where it was; without it, a free one.

    Raises:
        PartError: it did not come up.
    """
    command, index = pypiserver(folder, address=address, port=port or free_port(address))
    with serving(
        command,
        answers=lambda: status_of(f"{index.upload_url}healthz") == _HTTP_OK,
        what="pypiserver",
        log=folder / "pypiserver.log",
    ):
        yield index


def pypiserver(folder: Path, *, address: str, port: int) -> tuple[list[str], Index]:
    """The command line of a pypiserver that keeps its packages in `folder`, and what it then is.

    Its password is made once for a folder.
    """
    packages, password_file = folder / "packages", folder / "password"
    packages.mkdir(parents=True, exist_ok=True)
    if not password_file.exists():
        password_file.write_text(secrets.token_urlsafe(12))
    password = password_file.read_text()
    # SHA-1 is what every htpasswd reader knows without a bcrypt backend.
    digest = base64.b64encode(hashlib.sha1(password.encode(), usedforsecurity=False).digest()).decode()
    (folder / "htpasswd").write_text(f"ci:{{SHA}}{digest}\n")
    command = [str(_SCRIPTS / "pypi-server"), "run", "-i", address, "-p", str(port), "-a", "update"]
    command += ["-P", str(folder / "htpasswd"), "--disable-fallback", "--health-endpoint", "/healthz"]
    base = f"http://{address}:{port}"
    return [*command, str(packages)], Index(f"{base}/", f"{base}/simple/", "ci", password)


class _Devpi:
    """The one devpi-server of this user: its mirror of the public index outlives runs, so warm runs download nothing."""

    def __init__(self, home: Path, address: str) -> None:
        self.home, self._address = home, address
        self._data, self._state, self._log = home / "server", home / "server.json", home / "devpi.log"
        self._process = home / "server.process"

    @property
    def base(self) -> str:
        """Where it is now."""
        port = json.loads(self._state.read_text())["port"]
        return f"http://{self._address}:{port}"

    def answers(self) -> bool:
        return self._state.exists() and status_of(f"{self.base}/+api") == _HTTP_OK

    def start(self) -> None:
        self.end()
        password_file = self.home / "root-password"
        if not (self._data / ".serverversion").exists():
            password_file.write_text(secrets.token_urlsafe(16))
            password_file.chmod(0o600)
            self._initialise(password_file.read_text())
        port = free_port(self._address)
        self._state.write_text(json.dumps({"port": port}))
        command = [str(_SCRIPTS / "devpi-server"), "--serverdir", str(self._data), "--request-timeout", "30"]
        command += ["--mirror-cache-expiry", str(_MIRROR_EXPIRY_SECONDS)]
        command += ["--listen", f"{self._address}:{port}", "--listen", f"127.0.0.1:{port}"]
        # Deriving the key of login tokens at devpi's own strength costs 5 s of every start; these tokens live one run.
        command += ["--argon2-time-cost", "1", "--argon2-memory-cost", "1024"]
        self._log.unlink(missing_ok=True)
        process = launch(command, log=self._log, environment={"PYTHONWARNINGS": "ignore"})
        process.save(self._process)
        wait_until(self.answers, what="devpi-server", process=process, log=self._log, seconds=90)
        self._point_mirror()
        self._sweep()

    def end(self) -> None:
        if process := Process.saved(self._process):
            process.end()
        self._process.unlink(missing_ok=True)

    def root(self) -> dict[str, str]:
        """Headers of the server's own user."""
        return _login(self.base, "root", (self.home / "root-password").read_text())

    def _initialise(self, password: str) -> None:
        # one word: a password may begin with a dash
        options = ("--serverdir", str(self._data), f"--root-passwd={password}")
        command = [str(_SCRIPTS / "devpi-init"), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PartError(f"devpi-init refused {self._data}: {done.stderr[-800:]}")

    def _sweep(self) -> None:
        """Remove the indexes of runs that were killed or kept: while nobody serves them, nobody uses them."""
        root = self.root()
        for user, about in _call("GET", f"{self.base}/", None, root)["result"].items():
            if user.startswith(_RUN):
                for index in about["indexes"]:
                    _remove_index(f"{self.base}/{user}/{index}", root)
                _call("DELETE", f"{self.base}/{user}", None, root)

    def _point_mirror(self) -> None:
        """Before the first look-up: without `mirror_no_project_list` devpi loads the public index's whole list."""
        wanted = {"mirror_no_project_list": True}
        if upstream := _configured_upstream():
            wanted["mirror_url"] = upstream  # type: ignore[assignment]
        _call(
            "PATCH",
            f"{self.base}/root/pypi",
            [f"{key}={value}" for key, value in wanted.items()],
            self.root(),
        )


@contextmanager
def running_devpi(*, address: str, keep: bool = False) -> Iterator[Index]:
    """A fresh, private index on the machine's devpi-server; what it lacks comes from the public index through a cache.

    Nobody can upload another file under a name that exists (`volatile=False`), and a project uploaded here hides the
    public one of the same name.

    Args:
        address: where to listen; the engine's `gateway` to be reached from containers.
        keep: leave index and server up at the end.

    Raises:
        PartError: the server does not come up or refuses the index.
    """
    server = _Devpi(cache_dir("devpi"), address)
    with shared(server.home, answers=server.answers, start=server.start, end=server.end, keep=keep):
        user, password = f"{_RUN}{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        _call("PUT", f"{server.base}/{user}", {"password": password}, server.root())
        owner = _login(server.base, user, password)
        index = f"{server.base}/{user}/stable"
        _call("PUT", index, {"type": "stage", "bases": ["root/pypi"], "volatile": False}, owner)
        try:
            yield Index(f"{index}/", f"{index}/+simple/", user, password)
        finally:
            if not keep:
                _remove_index(index, owner)
                _call("DELETE", f"{server.base}/{user}", None, server.root())


def _remove_index(index: str, owner: dict[str, str]) -> None:
    """Remove an index with its files; devpi lets only a volatile one go."""
    _call("PATCH", index, ["volatile=True"], owner)
    _call("DELETE", index, None, owner)


def _configured_upstream() -> str | None:
    """The index that this machine is set to use; None means the tool's default."""
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        if os.environ.get(name):
            return os.environ[name]
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _login(base: str, user: str, password: str) -> dict[str, str]:
    answer = _call("POST", f"{base}/+login", {"user": user, "password": password}, {})
    token = base64.b64encode(f"{user}:{answer['result']['password']}".encode()).decode()
    return {"X-Devpi-Auth": token}


def _call(verb: str, url: str, body: object, headers: dict[str, str]) -> Any:  # noqa: ANN401 - devpi's JSON
    request = urllib.request.Request(  # noqa: S310 - our own http URL
        url,
        method=verb,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json", **headers},
    )
    try:
        with _open(request) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise PartError(
            f"devpi answered {error.code} to {verb} {url}: {error.read().decode()[:400]}"
        ) from error


def _open(request: urllib.request.Request) -> Any:  # noqa: ANN401 - http.client.HTTPResponse
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)
