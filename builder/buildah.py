"""Builds Dockerfiles with Buildah where there is no Docker Engine: as nobody in particular, which a pod without privileges is.

Buildah is root in a user namespace of its own, and steps run in a chroot there. All that the place must allow is to make
such a namespace. A step that finds a way out of it has whatever its container holds: so Buildah is called in another one
(`builder.steps`), which has no credential: images come to it as folders, and go from it as folders. Both containers have the
folder `place`, with all images, and `contract.BUILDAH_INPUTS`; both go with the pod, and nothing is shared with other builds.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from builder.contract import BUILDAH_INPUTS, BUILDAH_SOCKET
from builder.dockerfile import with_run_flags
from builder.engine import EngineError, EngineUnavailable, Finished
from builder.oci import Descriptor, MediaType, Reference
from builder.stages.image import (
    BuildFailed,
    FullBuild,
    NoBuilder,
    build_options,
    ended_in_time,
    written_configuration,
)
from builder.steps import Steps, Stream

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
class LaidOut:
    """An image that was built: its configuration, and its layers with the files that they lie in."""

    config: dict[str, Any]
    layers: tuple[tuple[Descriptor, Path], ...]


@dataclass(frozen=True, slots=True)
class Buildah:
    """The program, with all that it keeps below `place`; `insecure` are hosts of registries that speak plain HTTP."""

    place: Path
    insecure: tuple[str, ...] = ()

    async def prepare(self) -> None:
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
        ended = await self._call("info")
        said = ended.stderr.lower()
        if _NOT_MAPPED in said or (ended.exit_code and any(word in said for word in _FORBIDDEN)):
            raise BuildForbidden(ended.stderr.decode(errors="replace").strip().partition("\n")[0][-300:])
        if ended.exit_code:
            raise EngineUnavailable(f"Buildah could not begin: {_last_line(ended)}")

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a folder that Buildah sees, and remove it."""
        folder = Path(tempfile.mkdtemp(prefix="wsr-", dir=self.place))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # what steps made of it goes with the pod

    async def take(self, name: str, folder: Path) -> None:
        """Take a base image from a folder (`dir:` of containers-transports(5)) under the name that a Dockerfile has for it."""
        base = Reference.parse(name)
        pulled = await self._told(f"take {name}", "pull", "--quiet", f"dir:{folder}")
        # What a Dockerfile names by its digest is found under any tag of its repository.
        await self._told(
            f"name {name}", "tag", pulled.stdout.decode().strip(), f"{base.name}:{base.tag or 'latest'}"
        )

    async def build(self, build: FullBuild, taken: Mapping[str, str]) -> str:
        """Build an image under `build.tag`, here alone; return what its history tells of us, before each step's command.

        The bases must have been taken: `taken` are their digests here, by those that a Dockerfile may name them by, for of
        an index only the image for the platform is here. What a step copies from other images is fetched as anybody may fetch it.

        Raises:
            BuildFailed: the Dockerfile is missing or a step of it failed.
            EngineUnavailable: what runs steps is gone.
        """
        dockerfile = build.directory / "Dockerfile"
        if not dockerfile.is_file():
            raise BuildFailed(f"{build.directory} has no Dockerfile. Add one, or name another folder.")
        with _inputs(build) as inputs, self.folder() as folder:
            flags = written_configuration(build, folder, inputs=str(inputs))
            (folder / "Dockerfile").write_text(with_run_flags(_renamed(dockerfile.read_text(), taken), flags))
            arguments = {name: _renamed(value, taken) for name, value in build.build_args.items()}
            build = replace(build, build_args=arguments)
            command = [*self._command, "build", *_OPTIONS, *build_options(build, folder)]
            build.log.parent.mkdir(parents=True, exist_ok=True)
            with build.log.open("wb", buffering=0) as log:

                def told(_: Stream, said: bytes) -> None:
                    log.write(said)

                running = self._steps.call([*command, str(build.directory)], self._environment(), told)
                await ended_in_time(build, running)
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

    @contextlib.asynccontextmanager
    async def laid_out(self, image: str) -> AsyncIterator[LaidOut]:
        """Have an image written to a folder, and open it: what steps left there may lead anywhere, and is not followed.

        Raises:
            EngineError: it could not be written, or what was written is no image.
        """
        with self.folder() as folder, contextlib.ExitStack() as opened:
            await self._told(f"write {image}", "push", "--quiet", "--format=v2s2", image, f"dir:{folder}")
            try:
                built = _laid_out(folder, opened)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise EngineError(f"What Buildah wrote of {image} is no image: {error}") from error
            yield built

    @property
    def _steps(self) -> Steps:
        return Steps(self.place / BUILDAH_SOCKET)

    async def _told(self, doing: str, *arguments: str) -> Finished:
        ended = await self._call(*arguments)
        if ended.exit_code:
            raise EngineUnavailable(f"Buildah could not {doing}: {_last_line(ended)}")
        return ended

    async def _call(self, *arguments: str) -> Finished:
        said: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

        def told(stream: Stream, more: bytes) -> None:
            said[stream] += more

        code = await self._steps.call([*self._command, *arguments], self._environment(), told)
        return Finished(code, bytes(said["stdout"]), bytes(said["stderr"]))

    @property
    def _command(self) -> tuple[str, ...]:
        where = (f"--root={self.place / 'images'}", f"--runroot={self.place / 'run' / 'images'}")
        return ("buildah", *where, "--storage-driver=overlay")

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.place / "home"),
            "TMPDIR": str(self.place / "tmp"),
            "XDG_RUNTIME_DIR": str(self.place / "run"),
            "CONTAINERS_REGISTRIES_CONF": str(self.place / "registries.conf"),
        }


def _laid_out(folder: Path, opened: contextlib.ExitStack) -> LaidOut:
    """Open an image that lies in a folder as manifest.json and blobs by the hex digits of their digests."""

    def opening(name: str, *, flags: int = 0, within: int | None = None) -> int:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | flags, dir_fd=within)
        opened.callback(os.close, descriptor)
        return descriptor

    there = opening(str(folder), flags=os.O_DIRECTORY)

    def file(name: str) -> Path:
        descriptor = opening(name, within=there)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{name} is no file")
        return Path(f"/proc/self/fd/{descriptor}")

    def blob(document: Mapping[str, Any]) -> Path:
        return file(str(document["digest"]).removeprefix("sha256:"))

    manifest = json.loads(file("manifest.json").read_bytes())
    config = json.loads(blob(manifest["config"]).read_bytes())
    found = [(Descriptor.from_document(each), blob(each)) for each in manifest["layers"]]
    if len(found) != len(config["rootfs"]["diff_ids"]):
        raise ValueError(f"it has {len(found)} layers, and its configuration names others")
    if any(layer.media_type != MediaType.DOCKER_LAYER for layer, _ in found):
        raise ValueError("a layer is not compressed")
    return LaidOut(config, tuple(found))


@contextmanager
def _inputs(build: FullBuild) -> Iterator[Path]:
    """Put wheel, constraint and CA files where steps of whatever user see them."""
    folder = Path(tempfile.mkdtemp(prefix="wsr-", dir=BUILDAH_INPUTS))
    try:
        folder.chmod(0o755)
        for name, content in build.inputs().items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        yield folder
    finally:
        shutil.rmtree(folder)


def _renamed(text: str, taken: Mapping[str, str]) -> str:
    for named, here in taken.items():
        text = text.replace(named, here)
    return text


def _last_line(ended: Finished) -> str:
    lines = [line.strip() for line in ended.stderr.decode(errors="replace").splitlines() if line.strip()]
    return (lines or [f"exit code {ended.exit_code}"])[-1].removeprefix("Error: ")[-600:]
