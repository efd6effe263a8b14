"""The images of operator and builder, as users get them, in a registry of the tests."""

import asyncio
import fcntl
from functools import lru_cache
from pathlib import Path

from builder.oci import Client, Platform, Reference
from tests.parts.base_image import debian_mirror
from tests.parts.ground import cache_dir, need, uv
from tools.images.image import Image, Programs, make_image
from tools.images.recipes import RECIPES, SUITE

ARCHITECTURE = Platform.here().architecture


@lru_cache
def our_image(name: str, *, cache: Path | None = None) -> Image:
    """An image by the name of its recipe; what it is made of is kept over runs, in `cache` alone if given, and read once in a run."""
    mmdebstrap = need("mmdebstrap", package="mmdebstrap")
    programs = Programs(uv(), mmdebstrap, f"deb {debian_mirror()} {SUITE} main")
    home = cache or cache_dir("images")
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be at the same layer
        return make_image(RECIPES[name], home, programs, architecture=ARCHITECTURE)


def push_our_image(name: str, registry: str) -> str:
    """Push it into a registry without passwords; returns its name there, with its digest."""

    async def push() -> str:
        async with Client(insecure=True) as client:
            reference = Reference.parse(f"{registry}/{name}:test")
            return await our_image(name).push(client, reference)

    return f"{registry}/{name}@{asyncio.run(push())}"
