"""The images of operator and builder, as users get them, in a registry of the tests."""

import asyncio
from pathlib import Path

from builder.oci import Client, Platform, Reference
from tests.parts.base_image import debian_mirror
from tests.parts.ground import cache_dir, need, uv
from tools.images.image import Image, Programs, make_image
from tools.images.recipes import RECIPES, SUITE

ARCHITECTURE = Platform.here().architecture


def our_image(name: str, *, cache: Path | None = None) -> Image:
    """An image by the name of its recipe; what it is made of is kept over runs, in `cache` alone if given."""
    mmdebstrap = need("mmdebstrap", package="mmdebstrap")
    programs = Programs(uv(), mmdebstrap, f"deb {debian_mirror()} {SUITE} main")
    return make_image(RECIPES[name], cache or cache_dir("images"), programs, architecture=ARCHITECTURE)


def push_our_image(name: str, registry: str) -> str:
    """Push it into a registry without passwords; returns its name there, with its digest."""

    async def push() -> str:
        async with Client(insecure=True) as client:
            reference = Reference.parse(f"{registry}/{name}:test")
            return await our_image(name).push(client, reference)

    return f"{registry}/{name}@{asyncio.run(push())}"
