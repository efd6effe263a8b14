"""python -m tools.images --to REGISTRY/FOLDER --tag TAG [NAME…]: makes the images and pushes them.

Prints what each is called now, with its digest. Credentials are those of `docker login`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

from builder.oci import Client, DockerConfig, Platform, Reference, RegistryError
from tools.images.debian import DebianFailed
from tools.images.image import Programs, make_image
from tools.images.python_packages import ROOT, PackagesFailed
from tools.images.recipes import RECIPES, SUITE


def main() -> int:
    """Make and push what the command line says and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.images", description="Make and push images.")
    parser.add_argument("names", nargs="*", choices=[[], *RECIPES], metavar="NAME", help="default: all")
    parser.add_argument("--to", required=True, metavar="REGISTRY/FOLDER", help="where to push them")
    parser.add_argument("--tag", required=True)
    parser.add_argument("--insecure", action="store_true", help="plain HTTP")
    parser.add_argument(
        "--debian",
        default=None,
        metavar="URL",
        help="a mirror of Debian, or a snapshot of it; default: that of this machine's apt",
    )
    given = parser.parse_args()
    try:
        programs = Programs(_uv(), _mmdebstrap(), f"deb {given.debian or _mirror()} {SUITE} main")
        for name in given.names or RECIPES:
            digest = asyncio.run(_push(name, programs, given))
            sys.stdout.write(f"{given.to}/{name}:{given.tag}@{digest}\n")
    except (DebianFailed, PackagesFailed, RegistryError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _push(name: str, programs: Programs, given: argparse.Namespace) -> str:
    image = make_image(
        RECIPES[name], ROOT / "build" / "images", programs, architecture=Platform.here().architecture
    )
    folder = os.environ.get("DOCKER_CONFIG")
    credentials = DockerConfig((Path(folder) if folder else Path.home() / ".docker") / "config.json")
    async with Client(credentials, insecure=given.insecure) as client:
        return await image.push(client, Reference.parse(f"{given.to}/{name}:{given.tag}"))


def _uv() -> str:
    return subprocess.run(
        [ROOT / "tools" / "setup" / "uv.sh"], capture_output=True, text=True, check=True
    ).stdout.strip()


def _mmdebstrap() -> str:
    if not shutil.which("mmdebstrap"):
        subprocess.run([ROOT / "tools" / "setup" / "debian-packages.sh", "mmdebstrap"], check=True)
    return "mmdebstrap"


def _mirror() -> str:
    """Return where this machine's apt gets Debian's main packages of the suite from."""
    listed = subprocess.run(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(REPO_URI) $(CODENAME) $(COMPONENT)",
            "Created-By: Packages",
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    for address, *rest in (line.split() for line in listed.splitlines()):
        if rest == [SUITE, "main"]:
            return address
    raise DebianFailed(
        f"apt on this machine has no source for Debian {SUITE} main; name one with --debian URL."
    )


if __name__ == "__main__":
    sys.exit(main())
