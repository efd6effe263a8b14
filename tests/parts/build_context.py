"""What an engine builds an image from, made in memory."""

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

Filter = Callable[[tarfile.TarInfo], tarfile.TarInfo | None]


def build_context(dockerfile: str, places: Mapping[str, Path], *, filter: Filter | None = None) -> io.BytesIO:  # noqa: A002 -- that of `TarFile.add`
    """A tar with the Dockerfile and the files and folders of `places`, by their names in it."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, place in places.items():
            tar.add(place, name, filter=filter)
        file = dockerfile.encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(file)
        tar.addfile(entry, io.BytesIO(file))
    context.seek(0)
    return context
