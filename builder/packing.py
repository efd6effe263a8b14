"""Packs the files and folders of a run into an artifact and unpacks them at the same places somewhere else.

A run that is placed on another machine names files by absolute paths; what lies there goes with it, and what it leaves
comes back, each folder as one deterministic tar: the same content is the same digest, and is sent once.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from builder.oci import Blob, Client, Reference
from builder.problems import Refused

ARTIFACT_TYPE: Final = "application/vnd.molecule.runtime.run.v1"
FOLDER: Final = "application/vnd.oci.image.layer.v1.tar"
FILE: Final = "application/octet-stream"
PLACE: Final = "ai.molecule.runtime.path"
"""Annotation of a blob: the absolute path that it belongs at."""
_RUN: Final = "ai.molecule.runtime.run"
_LEFT_OUT: Final = ".git"
"""Not a part of what is built, at any depth: see `template_inputs_sha256`."""


async def send(client: Client, reference: Reference, blobs: Sequence[Blob]) -> str:
    """Store what was packed as one artifact under the reference's tag, and return its digest.

    Another tag is another digest, whatever is in it: a registry deletes digests, and with one all tags on it.
    """
    return await client.put_artifact(
        reference, blobs, artifact_type=ARTIFACT_TYPE, annotations={_RUN: str(reference.tag)}
    )


async def fetch(client: Client, reference: Reference, places: Sequence[Path]) -> None:
    """Put what an artifact holds where it belongs; a folder that was there is replaced by it.

    Raises:
        Refused: something in it belongs at none of `places` nor below one of them, or leads out of its own folder.
    """
    manifest = await client.manifest(reference)
    for layer in manifest.layers:
        named = layer.annotations.get(PLACE)
        if named is None:
            continue  # what stands for the content of an artifact without any
        place = _allowed(named, places)
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix="wsr-run-") as file:
            await client.download(reference, layer, file)
            file.seek(0)
            if layer.media_type == FOLDER:
                _unpack(file, place)
            else:
                with place.open("wb") as target:
                    shutil.copyfileobj(file, target)


def packed(paths: Iterable[Path]) -> list[Blob]:
    """Return files and folders, as far as they exist, as blobs that know where they belong.

    Raises:
        Refused: a folder holds what cannot be packed, or a link that leads out of it.
    """
    return [_blob(path) for path in dict.fromkeys(paths) if path.exists()]


def _blob(path: Path) -> Blob:
    if path.is_dir():
        return Blob(FOLDER, _packed(path), {PLACE: str(path)})
    return Blob(FILE, path.read_bytes(), {PLACE: str(path)})


def _packed(folder: Path) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(_below(folder)):
            info = tar.gettarinfo(path, arcname=path.relative_to(folder).as_posix())
            if not (info.isreg() or info.isdir() or info.issym() or info.islnk()):
                raise Refused("InputRefused", [f"{path} is neither file, folder nor link. Take it away."])
            if info.islnk():  # a second name of a file is a file of its own
                info.type, info.size = tarfile.REGTYPE, path.stat().st_size
            if info.issym() and not _stays_inside(folder, path):
                raise Refused(
                    "InputRefused", [f"{path} is a link that leads out of {folder}. Put a file in its place."]
                )
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = 0
            info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
            if info.isreg():
                with path.open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return archive.getvalue()


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != _LEFT_OUT]
        yield from (Path(root, name) for name in (*folders, *files) if name != _LEFT_OUT)


def _stays_inside(folder: Path, link: Path) -> bool:
    return _leads_inside(folder, link, link.readlink())


def _leads_inside(folder: Path, link: Path, target: Path) -> bool:
    return not target.is_absolute() and Path(os.path.normpath(link.parent / target)).is_relative_to(folder)


def _allowed(named: str, places: Sequence[Path]) -> Path:
    place = Path(named)
    if place.is_absolute() and ".." not in place.parts and any(place.is_relative_to(each) for each in places):
        return place
    raise Refused(
        "ArtifactRefused", [f"An artifact holds {named!r}, which belongs at none of its run's places."]
    )


def _unpack(file: IO[bytes], folder: Path) -> None:
    """Fill a folder from a tar; by hand, since filters came to `tarfile` within 3.11, and Debian's is older."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                _put(tar, member, folder)
    except (tarfile.TarError, ValueError) as error:
        raise Refused(
            "ArtifactRefused", [f"What belongs at {folder} cannot be unpacked: {error}."]
        ) from error


def _put(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Put one member in its place; raises ValueError for one that is, or leads, elsewhere."""
    place = folder / member.name
    above = [parent for parent in place.parents if parent.is_relative_to(folder)]
    if ".." in place.parts or not above or any(parent.is_symlink() for parent in above):
        raise ValueError(f"{member.name} lies outside of it")
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
    elif member.issym() and _leads_inside(folder, place, Path(member.linkname)):
        place.symlink_to(member.linkname)
    elif member.isreg() and (content := tar.extractfile(member)) is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as target:
            shutil.copyfileobj(content, target)
        place.chmod(0o755 if member.mode & 0o100 else 0o644)
    else:
        raise ValueError(f"{member.name} is no file, folder or link in it")
