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
from collections.abc import AsyncIterator, Mapping
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
            flags = (
                f"--mount=type=bind,from={inputs},target={INPUTS_MOUNT}"
                f" --mount=type=secret,id={PIP_SECRET},target=/etc/pip.conf,mode=0444"
            )
            if npmrc := build.npm.to_npmrc(ca_file=f"{INPUTS_MOUNT}/{NPM_CA}"):
                (folder / "npmrc").write_text(npmrc)  # may hold a token, as pip.conf a password
                flags += f" --mount=type=secret,id={NPM_SECRET},target=/root/.npmrc,mode=0444"
            (folder / "Dockerfile").write_text(with_run_flags(dockerfile.read_text(), flags))
            arguments = _arguments(build, folder)
            await _run(
                [command, "--host", engine.endpoint, "build", *arguments], build, _environment(build, folder)
            )


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


def _arguments(build: FullBuild, folder: Path) -> list[str]:
    arguments = ["--progress", "plain", "--file", str(folder / "Dockerfile"), "--tag", build.tag]
    arguments += ["--secret", f"id={PIP_SECRET},src={folder / 'pip.conf'}"]
    if (folder / "npmrc").exists():
        arguments += ["--secret", f"id={NPM_SECRET},src={folder / 'npmrc'}"]
    arguments += ["--platform", build.platform] if build.platform else []
    arguments += ["--no-cache"] if build.fresh else []
    arguments += ["--network", "host"] if build.index.on_loopback or build.npm.on_loopback else []
    for name, value in sorted(build.build_args.items()):
        arguments += ["--build-arg", f"{name}={value}"]
    for name, value in sorted(build.labels.items()):
        arguments += ["--label", f"{name}={value}"]
    return [*arguments, str(build.directory)]


def _environment(build: FullBuild, folder: Path) -> dict[str, str]:
    """Write the files that the build reads besides its context, and return the environment that names them."""
    conf = build.index.to_conf(
        wheels=f"{INPUTS_MOUNT}/wheels",
        constraint=f"{INPUTS_MOUNT}/constraint.txt",
        ca_file=f"{INPUTS_MOUNT}/ca.crt",
    )
    (folder / "pip.conf").write_text(conf)  # may hold a password; the folder is ours alone (mode 0700)
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    if build.login:
        build.login.put_into(folder / "docker")
        environment["DOCKER_CONFIG"] = str(folder / "docker")
    return environment


async def _run(command: list[str], build: FullBuild, environment: Mapping[str, str]) -> None:
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
            async with asyncio.timeout(PATIENCE_SECONDS):
                code = await child.wait()
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            if isinstance(error, TimeoutError):
                raise BuildFailed(
                    f"It did not end in {PATIENCE_SECONDS} s. The log is {build.log}."
                ) from error
            raise
    if code:
        raise BuildFailed(f"{_last_words(build.log)} The log is {build.log}.")


def _last_words(log: Path) -> str:
    """Return the lines that tell why, without the progress around them."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()]
    return " / ".join(dict.fromkeys((telling or lines)[-4:]))[-900:] + "."


@contextlib.asynccontextmanager
async def _inputs_image(engine: Engine, build: FullBuild) -> AsyncIterator[str]:
    """Put wheel, constraint and CA file into the engine as an image that only this build mounts."""
    name, version, _, _ = parse_wheel_filename(build.wheel.name)
    files = {
        f"wheels/{_with_build_tag(build.wheel.name)}": build.wheel.read_bytes(),
        "constraint.txt": f"{name}=={version}\n".encode(),
    }
    if build.index.ca_file:
        files["ca.crt"] = build.index.ca_file.read_bytes()
    if build.npm.ca_file:
        files[NPM_CA] = build.npm.ca_file.read_bytes()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, data in files.items():
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
