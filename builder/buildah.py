"""Builds Dockerfiles with Buildah where there is no Docker Engine: as nobody in particular, which a pod without privileges is.

Buildah is root in a user namespace of its own, and steps run in a chroot there. All that the place must allow is to make
such a namespace. Images are below one folder, which goes with the pod; nothing is shared with other builds.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.dockerfile import with_run_flags
from builder.engine import EngineError, EngineUnavailable, Finished
from builder.login import Login
from builder.oci import Credential, Reference
from builder.stages.image import (
    BuildFailed,
    FullBuild,
    NoBuilder,
    build_options,
    run_logged,
    written_configuration,
)

INPUTS_FOLDER: Final = Path("/dev/shm")  # noqa: S108 -- a folder of the run's own is made there
"""A step's /dev is that of this process: what lies here is seen by every step, and is in no layer."""

_OPTIONS: Final = (
    "--isolation=chroot",
    "--format=docker",
    "--layers",
    "--no-hosts",
    # What is here was fetched at the recorded digest, also where its tag was moved since.
    "--pull=false",
    # A step that may change its root leaves the chroot that it is kept in.
    "--cap-drop=CAP_SYS_CHROOT",
    "--identity-label=false",
)
"""As an engine does it: a layer for each step, and a health check, which no other format has."""
_NOT_MAPPED: Final = b"single mapping"
"""What Buildah says before it goes on with one user alone: an image that has files of two then fails half-way."""
_FORBIDDEN: Final = (b"newuidmap", b"unshare", b"user namespace", b"operation not permitted")
"""How it ends where no user namespace can be made."""


class BuildForbidden(Exception):  # noqa: N818 -- the reason it is reported with
    """Whoever runs this lets nobody make a user namespace; `str()` is what the kernel said."""


@dataclass(frozen=True, slots=True)
class Buildah:
    """The program, with all that it keeps below `place`.

    `login` and `ca_file` are for registries that are read; `insecure` are hosts of registries that speak plain HTTP.
    """

    place: Path
    login: Login | None = None
    ca_file: Path | None = None
    insecure: tuple[str, ...] = ()

    async def build(self, build: FullBuild) -> str:
        """Build an image under `build.tag`, here alone; return what its history tells of us, before each step's command.

        Raises:
            NoBuilder, BuildForbidden: nothing can be built here.
            BuildFailed: the Dockerfile is missing or a step of it failed.
            EngineError: a base cannot be had, or Buildah does not work here.
        """
        dockerfile = build.directory / "Dockerfile"
        if not dockerfile.is_file():
            raise BuildFailed(f"{build.directory} has no Dockerfile. Add one, or name another folder.")
        await self._prepare()
        for name, digest in build.bases.items():
            await self._pull(Reference.parse(name), digest, platform=build.platform)
        with _inputs(build) as inputs, tempfile.TemporaryDirectory(prefix="build-", dir=self.place) as folder:
            flags = written_configuration(build, Path(folder), inputs=str(inputs))
            (Path(folder) / "Dockerfile").write_text(with_run_flags(dockerfile.read_text(), flags))
            command = [*self._command, "build", *_OPTIONS, *build_options(build, Path(folder))]
            await run_logged([*command, str(build.directory)], build, self._environment())
        return flags

    async def run(
        self, image: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """Run a command in a container of an image, and remove it.

        Raises:
            EngineError: no such image, or it has no such program.
        """
        made = await self._told(f"make a container of {image}", "from", "--pull-never", image)
        container = made.stdout.decode().strip()
        try:
            variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
            ended = await self._call("run", "--isolation=chroot", *variables, container, "--", *command)
        finally:
            await self._call("rm", container)
        if ended.exit_code and b"executable file not found" in ended.stderr:
            raise EngineError(f"{image} has no {command[0]}: {_last_line(ended)}")
        return ended

    async def push(self, repository: str, tag: str, *, credential: Credential | None = None) -> None:
        """Send an image to its registry, in the format that engines of every age take; layers that it has are not sent.

        Raises:
            EngineError: the registry refused, or the way to it failed.
        """
        name = f"{repository}:{tag}"
        with tempfile.TemporaryDirectory(prefix="push-", dir=self.place) as folder:
            auth = Path(folder) / "auth.json"
            auth.write_text(_auth(Reference.parse(name).host, credential))
            ended = await self._call("push", "--format=v2s2", f"--authfile={auth}", name, f"docker://{name}")
        if ended.exit_code:
            raise EngineError(f"Buildah could not push {name}: {_last_line(ended)}")

    async def _prepare(self) -> None:
        """Make the folders, and find out whether anything can be built here.

        Raises:
            NoBuilder: the program is not installed.
            BuildForbidden: it may make no user namespace, or mount nothing in it.
            EngineUnavailable: it does not work here for another cause.
        """
        if shutil.which("buildah") is None:
            raise NoBuilder("A full build without a Docker Engine needs Buildah, and there is none on PATH.")
        for name in ("home", "run", "tmp"):
            (self.place / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        # Names without a host are those of Docker Hub, as for the docker command.
        lines = ['unqualified-search-registries = ["docker.io"]']
        lines += [f'[[registry]]\nlocation = "{host}"\ninsecure = true' for host in self.insecure]
        (self.place / "registries.conf").write_text("\n".join(lines) + "\n")
        if self.login and not (self.place / "docker").exists():
            self.login.put_into(self.place / "docker")
        ended = await self._call("info")
        said = ended.stderr.lower()
        if _NOT_MAPPED in said or (ended.exit_code and any(word in said for word in _FORBIDDEN)):
            raise BuildForbidden(ended.stderr.decode(errors="replace").strip().partition("\n")[0][-300:])
        if ended.exit_code:
            raise EngineUnavailable(f"Buildah could not begin: {_last_line(ended)}")

    async def _pull(self, base: Reference, digest: str, *, platform: str) -> None:
        """Put a base here under its name at a digest, so that the build starts from it."""
        exact = f"{base.name}@{digest}"
        options = [f"--platform={platform}"] if platform else []
        await self._told(f"pull {exact}", "pull", *options, f"docker://{exact}")
        if base.digest is None:
            await self._told(f"name {exact}", "tag", exact, f"{base.name}:{base.tag or 'latest'}")

    async def _told(self, doing: str, *arguments: str) -> Finished:
        ended = await self._call(*arguments)
        if ended.exit_code:
            raise EngineUnavailable(f"Buildah could not {doing}: {_last_line(ended)}")
        return ended

    async def _call(self, *arguments: str) -> Finished:
        child = await asyncio.create_subprocess_exec(
            *self._command,
            *arguments,
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            stdout, stderr = await child.communicate()
        except asyncio.CancelledError:
            child.kill()
            await child.wait()
            raise
        return Finished(child.returncode or 0, stdout, stderr)

    @property
    def _command(self) -> tuple[str, ...]:
        where = (f"--root={self.place / 'images'}", f"--runroot={self.place / 'run' / 'images'}")
        return ("buildah", *where, "--storage-driver=overlay")

    def _environment(self) -> dict[str, str]:
        given = {
            **os.environ,
            "HOME": str(self.place / "home"),
            "TMPDIR": str(self.place / "tmp"),
            "XDG_RUNTIME_DIR": str(self.place / "run"),
            "CONTAINERS_REGISTRIES_CONF": str(self.place / "registries.conf"),
        }
        if self.login:
            given["REGISTRY_AUTH_FILE"] = str(self.place / "docker" / "config.json")
        if self.ca_file:
            given["SSL_CERT_FILE"] = str(self.ca_file)
        return given


@contextmanager
def _inputs(build: FullBuild) -> Iterator[Path]:
    """Put wheel, constraint and CA files where steps of whatever user see them."""
    folder = Path(tempfile.mkdtemp(prefix="wsr-", dir=INPUTS_FOLDER))
    try:
        folder.chmod(0o755)
        for name, content in build.inputs().items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        yield folder
    finally:
        shutil.rmtree(folder)


def _auth(host: str, credential: Credential | None) -> str:
    if credential is None:
        return json.dumps({"auths": {}})
    if credential.identity_token:
        return json.dumps({"auths": {host: {"identitytoken": credential.identity_token}}})
    pair = f"{credential.username}:{credential.password}"
    return json.dumps({"auths": {host: {"auth": base64.b64encode(pair.encode()).decode()}}})


def _last_line(ended: Finished) -> str:
    lines = [line.strip() for line in ended.stderr.decode(errors="replace").splitlines() if line.strip()]
    return (lines or [f"exit code {ended.exit_code}"])[-1].removeprefix("Error: ")[-600:]
