"""Asks git which commit a folder is at: for the records, never for a decision."""

from __future__ import annotations

import asyncio
from pathlib import Path

_SECONDS = 10.0


async def commit_of(directory: Path) -> str | None:
    """Return the commit of a folder in a git work tree, or None: no git, no repository, or uncommitted changes."""
    head = await _git(directory, "rev-parse", "HEAD")
    if head is None or await _git(directory, "status", "--porcelain", "--", ".") != "":
        return None
    return head


async def _git(directory: Path, *arguments: str) -> str | None:
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            "-C",
            str(directory),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return output.decode(errors="replace").strip() if process.returncode == 0 else None
