"""Builds a template's Dockerfile as it stands, with exactly the candidate wheel in it and no trace of how it got there.

Every RUN step of a derived Dockerfile gets two mounts: the wheel and a constraint under /dev (a file system of the
container, so that not even an empty mount point stays), and a pip configuration as a BuildKit secret; where npm on this
machine is set to anything, its configuration too, as the root user's.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packaging.utils import parse_wheel_filename

from builder.dockerfile import with_run_flags
from builder.engine import Engine
from builder.login import Login
from builder.npmconf import Npm
from builder.pipconf import Index

INPUTS_MOUNT: Final = "/dev/wsr"
INPUTS_REPOSITORY: Final = "wsr-builder-inputs"
PIP_SECRET: Final = "wsr-pip"  # noqa: S105 -- the name of a mount
NPM_SECRET: Final = "wsr-npm"  # noqa: S105 -- the same
NPM_CA: Final = "npm-ca.crt"
BUILD_TAG: Final = "999999wsr"
"""Beats every other file of the same version: an index may serve that version already (PEP 427, build tag)."""
PATIENCE_SECONDS: Final = 3_600
USUAL_PLACES: Final = "/usr/bin:/usr/local/bin"


class NoBuilder(Exception):  # noqa: N818 -- the word callers decide on
    """No docker command here can build with BuildKit; `str()` says what to install."""


class BuildFailed(Exception):  # noqa: N818 -- the word callers decide on
    """The Dockerfile did not build; `str()` is the end of what the build said."""


@dataclass(frozen=True, slots=True)
class FullBuild:
    """What to build: a template's folder with its Dockerfile, and the wheel that must be in the image.

    `tag` is the full name the image gets; `login` opens private registries of base images; `log` takes what
    the build says, and two builds at the same time have different ones. `fresh` takes nothing from the build cache.
    `bases` are the digests of manifests to start from, by the names in the Dockerfile; an engine has them already.
    """

    directory: Path
    tag: str
    wheel: Path
    index: Index
    log: Path
    npm: Npm = field(default_factory=Npm)
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    login: Login | None = None
    fresh: bool = False
    bases: Mapping[str, str] = field(default_factory=dict)

    def inputs(self) -> dict[str, bytes]:
        """Return the files that steps need besides their configuration: wheel, constraint and CA files, by path."""
        name, version, _, _ = parse_wheel_filename(self.wheel.name)
        files = {
            f"wheels/{_with_build_tag(self.wheel.name)}": self.wheel.read_bytes(),
            "constraint.txt": f"{name}=={version}\n".encode(),
        }
        if self.index.ca_file:
            files["ca.crt"] = self.index.ca_file.read_bytes()
        if self.npm.ca_file:
            files[NPM_CA] = self.npm.ca_file.read_bytes()
        return files


def written_configuration(build: FullBuild, folder: Path, *, inputs: str) -> str:
    """Write the configuration of pip and npm into a folder of ours alone, and return the flags that steps see it by.

    `inputs` is where a step finds the files of `FullBuild.inputs`.
    """
    conf = build.index.to_conf(
        wheels=f"{inputs}/wheels", constraint=f"{inputs}/constraint.txt", ca_file=f"{inputs}/ca.crt"
    )
    (folder / "pip.conf").write_text(conf)  # may hold a password, as npmrc a token
    flags = f"--mount=type=secret,id={PIP_SECRET},target=/etc/pip.conf,mode=0444"
    if npmrc := build.npm.to_npmrc(ca_file=f"{inputs}/{NPM_CA}"):
        (folder / "npmrc").write_text(npmrc)
        flags += f" --mount=type=secret,id={NPM_SECRET},target=/root/.npmrc,mode=0444"
    return flags


async def build_image(engine: Engine, build: FullBuild) -> None:
    """Build and tag an image.

    Raises:
        NoBuilder: there is no docker command with BuildKit.
        BuildFailed: the Dockerfile is missing or a step of it failed.
        EngineError: the engine does not take the inputs.
    """
    command = await buildkit_command()
    dockerfile = build.directory / "Dockerfile"
    if not dockerfile.is_file():
        raise BuildFailed(f"{build.directory} has no Dockerfile. Add one, or name another folder.")
    async with _inputs_image(engine, build) as inputs:
        with tempfile.TemporaryDirectory(prefix="wsr-build-") as name:
            folder = Path(name)
            mount = f"--mount=type=bind,from={inputs},target={INPUTS_MOUNT}"
            flags = f"{mount} {written_configuration(build, folder, inputs=INPUTS_MOUNT)}"
            (folder / "Dockerfile").write_text(with_run_flags(dockerfile.read_text(), flags))
            words = [command, "--host", engine.endpoint, "build", "--progress", "plain"]
            words += ["--network", "host"] if build.index.on_loopback or build.npm.on_loopback else []
            words += [*build_options(build, folder), str(build.directory)]
            await run_logged(words, build, _environment(build, folder))


async def buildkit_command() -> str:
    """Return the path of a docker command whose `build` speaks BuildKit (Debian's has it built in, others by buildx)."""
    places = f"{os.environ.get('PATH', '')}:{USUAL_PLACES}".split(":")
    found = dict.fromkeys(path for place in places if place and (path := shutil.which("docker", path=place)))
    for path in found:
        child = await asyncio.create_subprocess_exec(
            path, "build", "--help",
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        if b"--secret" in (await child.communicate())[0]:
            return path
    tried = ", ".join(found) or "none is on PATH"
    raise NoBuilder(
        f"A full build needs a docker command with BuildKit ({tried}). "
        "Install Debian's docker.io (docker-cli), or the buildx plugin for the one that is there."
    )


def build_options(build: FullBuild, folder: Path) -> list[str]:
    """Return the options that `docker build` and `buildah build` have in common; `folder` has what was written."""
    arguments = ["--file", str(folder / "Dockerfile"), "--tag", build.tag]
    arguments += ["--secret", f"id={PIP_SECRET},src={folder / 'pip.conf'}"]
    if (folder / "npmrc").exists():
        arguments += ["--secret", f"id={NPM_SECRET},src={folder / 'npmrc'}"]
    arguments += ["--platform", build.platform] if build.platform else []
    arguments += ["--no-cache"] if build.fresh else []
    for name, value in sorted(build.build_args.items()):
        arguments += ["--build-arg", f"{name}={value}"]
    for name, value in sorted(build.labels.items()):
        arguments += ["--label", f"{name}={value}"]
    return arguments


def _environment(build: FullBuild, folder: Path) -> dict[str, str]:
    """Write the credentials for bases, and return the environment that names them."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    if build.login:
        build.login.put_into(folder / "docker")
        environment["DOCKER_CONFIG"] = str(folder / "docker")
    return environment


async def run_logged(command: Sequence[str], build: FullBuild, environment: Mapping[str, str]) -> None:
    """Run a build to its end, with all that it says in the build's log; raises BuildFailed."""
    build.log.parent.mkdir(parents=True, exist_ok=True)
    with build.log.open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            await ended_in_time(build, child.wait())
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()


async def ended_in_time(build: FullBuild, code: Awaitable[int]) -> None:
    """Wait for the exit code of a build whose log is complete then; raises BuildFailed when it is too late, or not 0."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            ended = await code
    except TimeoutError as error:
        raise BuildFailed(f"It did not end in {PATIENCE_SECONDS} s. The log is {build.log}.") from error
    if ended:
        raise BuildFailed(f"{_last_words(build.log)} The log is {build.log}.")


def _last_words(log: Path) -> str:
    """Return the lines that tell why, without the progress around them."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()]
    return " / ".join(dict.fromkeys((telling or lines)[-4:]))[-900:] + "."


@contextlib.asynccontextmanager
async def _inputs_image(engine: Engine, build: FullBuild) -> AsyncIterator[str]:
    """Put wheel, constraint and CA file into the engine as an image that only this build mounts."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, data in build.inputs().items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    # named by where its log goes, so that what a killed run left is found and removed by the one that repeats it
    tag = hashlib.sha256(str(build.log.resolve()).encode()).hexdigest()[:12]
    image = f"{INPUTS_REPOSITORY}:{tag}"
    await engine.untag(image)
    await engine.import_tar(archive.getvalue(), repository=INPUTS_REPOSITORY, tag=tag)
    try:
        yield image
    finally:
        await engine.untag(image)


def _with_build_tag(wheel: str) -> str:
    name, version, *rest = wheel.split("-")
    return "-".join([name, version, BUILD_TAG, *rest[-3:]])
