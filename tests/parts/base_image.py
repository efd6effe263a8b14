"""The base image of templates: the official slim Python, else a stand-in from Debian packages that looks like it.

Where no registry with the official image is reachable, nothing can be built without this.
"""

import fcntl
import hashlib
import io
import os
import subprocess
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from tests.parts.ground import PartError, cache_dir, need

BASE_IMAGE = "wsr-base/python:3.11-slim"
_OFFICIAL = "python:3.11-slim"
_SUITE = "bookworm"  # the Debian whose python3 is 3.11
_SILENCE_SECONDS = 15  # between two lines of a pull before the registry counts as unreachable
_MMDEBSTRAP = (
    "--variant=minbase",
    "--include=python3,python3-pip,python3-venv,ca-certificates",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    '--aptopt=Apt::Install-Recommends "false"',
    '--customize-hook=rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*',
)
# A virtual environment in /usr/local gives what the official image has: that prefix, `python` and `pip` on PATH,
# site-packages rather than dist-packages, and a pip that may install.
_AS_OFFICIAL = (
    'FROM {parent}\nRUN python3 -m venv /usr/local\nENV PYTHON_VERSION={version}\nCMD ["python3"]\n'
)


def ensure_base_image(endpoint: str, *, tag: str = BASE_IMAGE, official: str = _OFFICIAL) -> str:
    """The reference of the base image in this engine, pulled or made when it is not there.

    Args:
        endpoint: the engine.
        tag: what to call it.
        official: what to pull when a registry has it.

    Raises:
        PartError: neither pulling nor making it worked.
    """
    client = docker.DockerClient(base_url=endpoint, timeout=600)
    try:
        with (cache_dir("base-image") / "lock").open("w") as lock:
            # One for all: made anew, it would have another digest under the hands of whoever uses it already.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _present(client, tag) and not _pulled(endpoint, official, tag):
                _make(client, tag)
    except DockerException as error:
        raise PartError(f"The engine at {endpoint} could not get base image {tag}: {error}") from error
    finally:
        client.close()
    return tag


def _present(client: docker.DockerClient, reference: str) -> bool:
    try:
        client.images.get(reference)
    except ImageNotFound:
        return False
    return True


def _pulled(endpoint: str, official: str, tag: str) -> bool:
    client = docker.APIClient(base_url=endpoint, timeout=_SILENCE_SECONDS)
    try:
        name, _, version = official.rpartition(":")
        for line in client.pull(name, tag=version, stream=True, decode=True):
            if "error" in line:
                return False
        repository, _, label = tag.rpartition(":")
        client.tag(official, repository, tag=label)
    except (APIError, RequestException):
        return False  # no registry, or none that has it: the stand-in is made instead
    finally:
        client.close()
    return True


def _make(client: docker.DockerClient, tag: str) -> None:
    """Import the Debian packages, then lay `_AS_OFFICIAL` over them."""
    parent = f"{tag}-debian"
    repository, _, version = parent.rpartition(":")
    changes = ["ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "ENV LANG=C.UTF-8"]
    client.api.import_image_from_file(str(_debian_tar()), repository=repository, tag=version, changes=changes)
    asked = 'import platform; print(platform.python_version(), end="")'
    python = client.containers.run(parent, ["python3", "-c", asked], remove=True).decode()
    dockerfile = io.BytesIO(_AS_OFFICIAL.format(parent=parent, version=python).encode())
    client.images.build(fileobj=dockerfile, tag=tag, rm=True)


def _debian_tar() -> Path:
    """The packages as a file system; made once per machine and recipe."""
    recipe = hashlib.sha256("\n".join((*_MMDEBSTRAP, _SUITE)).encode()).hexdigest()[:8]
    tar = cache_dir("base-image") / f"{_SUITE}-{recipe}.tar"
    if not tar.exists():
        mmdebstrap = need("mmdebstrap", package="mmdebstrap")
        partial = tar.with_suffix(f".{os.getpid()}.tar")
        source = f"deb {debian_mirror()} {_SUITE} main"
        try:
            done = subprocess.run(
                [mmdebstrap, *_MMDEBSTRAP, _SUITE, str(partial), source],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise PartError(
                    f"mmdebstrap could not make the base image from {source!r}: {done.stderr[-800:]}"
                )
            partial.rename(tar)
        finally:
            partial.unlink(missing_ok=True)
    return tar


def debian_mirror() -> str:
    """Where this machine's apt gets Debian's main packages of the suite from."""
    command = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME) $(COMPONENT)",
        "Created-By: Packages",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        address, *rest = line.split()
        if rest == [_SUITE, "main"]:
            return address
    raise PartError(
        f"apt on this machine has no source for Debian {_SUITE} main; add one, or make {_OFFICIAL} reachable."
    )
