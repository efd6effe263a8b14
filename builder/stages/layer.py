"""Makes the one layer that puts a wheel on a full build and hides the runtime that is there, and the image around it.

The same wheel on the same full build gives the same bytes: sorted, owner 0, time 0, compressed without a name.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import importlib.util
import io
import json
import os
import posixpath
import tarfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, Literal

import installer
from installer.destinations import WheelDestination
from installer.records import Hash, RecordEntry
from installer.scripts import Script
from installer.sources import WheelFile
from installer.utils import Scheme, construct_record_file, fix_shebang

from builder.engine import Engine
from builder.inventory import Folder, Inventory
from builder.oci import sha256_digest
from builder.stages import bytecode_script

FOLDER_MODE: Final = 0o755
FILE_MODE: Final = 0o644
SCRIPT_MODE: Final = 0o755
CREATED: Final = "1970-01-01T00:00:00Z"
"""Fixed, so that a second run makes the same image; when it was built stands in the release record."""
COMPRESSION: Final = 6
"""9, the default of Python, takes five times as long for one hundredth less."""
OPAQUE: Final = ".wh..wh..opq"
HIDDEN: Final = ".wh."
INSTALLER_NAME: Final = b"workspace-runtime-builder\n"

_NEW_FOLDER: Final = Folder(FOLDER_MODE, 0, 0, 0)
_SOURCES_FILE: Final = "wsr-sources.json"
_STEP: Final = "append "


class NotAppendable(Exception):  # noqa: N818 -- the word callers decide on
    """The wheel cannot be laid over this image; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as tar and compressed, with the digests of both, and whether byte code is in it."""

    archive: bytes = field(repr=False)
    compressed: bytes = field(repr=False)
    diff_id: str
    digest: str
    compiled: bool = True


@dataclass(frozen=True, slots=True)
class Compiler:
    """A full build whose Python can be run in an engine to compile; `image` is asked for its name only when needed."""

    engine: Engine
    inventory: Inventory
    image: Callable[[], Awaitable[str]]

    def compiles_for(self, inventory: Inventory) -> bool:
        """Tell whether the Python of an image reads what this one writes; the machine makes no difference."""
        return bool(inventory.magic) and inventory.magic == self.inventory.magic


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    mode: int = FILE_MODE


async def make_layer(wheel: Path, inventory: Inventory, *, compiler: Compiler | None) -> Layer:
    """Return the layer that replaces the runtime described by `inventory` with the one in `wheel`.

    Args:
        wheel: a pure-Python wheel.
        inventory: of the full build below.
        compiler: makes the byte code where ours is another; without one the layer then has none.

    Raises:
        NotAppendable: a source does not compile there, or the wheel is for one platform only.
        EngineError: the compiler's Python could not be run.
    """
    files = _installed(wheel, inventory)
    sources = {path: file.data for path, file in files.items() if path.endswith(".py")}
    byte_code = await _byte_code(sources, inventory, compiler)
    for path, compiled in byte_code.items():
        folder, name = posixpath.split(path)
        files[f"{folder}/__pycache__/{name[:-3]}.{inventory.cache_tag}.pyc"] = _File(compiled)
    archive = _archive(files, inventory)
    data = await asyncio.to_thread(_compressed, archive)
    return Layer(archive, data, sha256_digest(archive), sha256_digest(data), bool(byte_code))


def layer_key(wheel_sha256: str, inventory: Inventory, *, compiled: bool = True) -> str:
    """Return what the layer depends on, and nothing more: templates with the same key share the same layer.

    `compiled` tells whether there is a compiler for it. Plain folders get no entry, so when they were made has no say: that differs between any two full builds.
    """
    document = {
        "wheel": wheel_sha256,
        "interpreter": [inventory.interpreter, inventory.magic, inventory.cache_tag, compiled],
        "paths": dict(inventory.paths),
        "hidden": [inventory.runtime_folders, inventory.runtime_files],
        "folders": {
            path: None if folder.plain else [folder.mode, folder.uid, folder.gid, folder.mtime]
            for path, folder in inventory.folders.items()
        },
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def is_appended(config: Mapping[str, Any]) -> bool:
    """Tell whether an image was itself made by `appended_config`: no full build, then."""
    history = config.get("history") or [{}]
    return str(history[-1].get("created_by", "")).startswith(_STEP)


def appended_config(
    base: Mapping[str, Any], layer: Layer, *, labels: Mapping[str, str], what: str, why: str = ""
) -> dict[str, Any]:
    """Return the configuration of the image: that of its base with labels, one layer and one history entry more.

    The entry says that `what` was appended and, as its comment, `why`.
    """
    run = {**base.get("config", {}), "Labels": {**(base.get("config", {}).get("Labels") or {}), **labels}}
    entry = {"created": CREATED, "created_by": f"{_STEP}{what}"} | ({"comment": why} if why else {})
    history = [*base.get("history", []), entry]
    root = {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], layer.diff_id]}
    kept = {
        key: base[key] for key in ("architecture", "os", "variant", "os.version", "author") if base.get(key)
    }
    return {**kept, "created": CREATED, "config": run, "rootfs": root, "history": history}


class _Memory(WheelDestination):
    """Keeps what `installer` installs by its absolute path, with the interpreter of the image in its scripts."""

    def __init__(self, paths: Mapping[str, str], interpreter: str) -> None:
        self._paths = paths
        self._interpreter = interpreter
        self.files: dict[str, _File] = {}

    def write_file(
        self,
        scheme: Scheme,
        path: str | os.PathLike[str],
        stream: BinaryIO,
        is_executable: bool,  # noqa: FBT001 -- the base class's signature
    ) -> RecordEntry:
        """Take one file of the wheel."""
        if scheme == "scripts":
            with fix_shebang(stream, self._interpreter) as fixed:
                return self._keep(scheme, str(path), fixed.read(), SCRIPT_MODE)
        return self._keep(scheme, str(path), stream.read(), SCRIPT_MODE if is_executable else FILE_MODE)

    def write_script(
        self, name: str, module: str, attr: str, section: Literal["console", "gui"]
    ) -> RecordEntry:
        """Make a console script."""
        name, data = Script(name, module, attr, section).generate(self._interpreter, kind="posix")
        return self._keep(Scheme("scripts"), name, data, SCRIPT_MODE)

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str, records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        """Write RECORD, with paths relative to the site folder as pip writes them."""

        def prefix(other: Scheme) -> str | None:
            return (
                None if other == scheme else posixpath.relpath(self._paths[other], self._paths[scheme]) + "/"
            )

        with construct_record_file(records, prefix) as stream:
            self._keep(scheme, record_file_path, stream.read(), FILE_MODE)

    def _keep(self, scheme: Scheme, path: str, data: bytes, mode: int) -> RecordEntry:
        place = posixpath.normpath(posixpath.join(self._paths[scheme], path))
        if not place.startswith(self._paths[scheme].rstrip("/") + "/"):
            raise NotAppendable(f"The wheel wants to write {path!r}, outside of its place.")
        self.files[place] = _File(data, mode)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        return RecordEntry(path, Hash("sha256", digest), len(data))


def _installed(wheel: Path, inventory: Inventory) -> dict[str, _File]:
    destination = _Memory(inventory.paths, inventory.interpreter)
    with WheelFile.open(wheel) as source:
        if not wheel.name.endswith("-none-any.whl"):
            raise NotAppendable(
                f"{wheel.name} is made for one platform; only pure-Python wheels can be appended."
            )
        installer.install(source, destination, {"INSTALLER": INSTALLER_NAME})
    return destination.files


async def _byte_code(
    sources: Mapping[str, bytes], inventory: Inventory, compiler: Compiler | None
) -> dict[str, bytes]:
    try:
        if inventory.magic == importlib.util.MAGIC_NUMBER.hex():
            return {path: bytecode_script.byte_code(source, path) for path, source in sources.items()}
    except SyntaxError as error:
        raise NotAppendable(
            f"{error.filename}:{error.lineno}: {error.msg}, under the image's Python."
        ) from error
    if compiler is None:
        return {}
    packed = json.dumps(
        {path: base64.b64encode(source).decode() for path, source in sources.items()}
    ).encode()
    text = resources.files("builder.stages").joinpath("bytecode_script.py").read_text()
    command = [compiler.inventory.interpreter, "-I", "-B", "-c", text, f"/{_SOURCES_FILE}"]
    name = await compiler.image()
    finished = await compiler.engine.run(
        name, command, files=_tar([(_SOURCES_FILE, packed, _info(_SOURCES_FILE, FILE_MODE))])
    )
    if finished.exit_code:
        said = finished.stderr.decode(errors="replace").strip()[-400:]
        raise NotAppendable(
            f"The wheel does not compile under Python {compiler.inventory.python_version} of {name}: {said}"
        )
    return {path: base64.b64decode(data) for path, data in json.loads(finished.stdout).items()}


def _compressed(archive: bytes) -> bytes:
    """Return it as gzip; in a thread, as zlib lets other templates go on meanwhile."""
    compressed = io.BytesIO()
    with gzip.GzipFile(
        fileobj=compressed, mode="wb", mtime=0, filename="", compresslevel=COMPRESSION
    ) as packed:
        packed.write(archive)
    return compressed.getvalue()


def _archive(files: Mapping[str, _File], inventory: Inventory) -> bytes:
    entries = [(path, file.data, _info(path, file.mode)) for path, file in files.items()]
    markers = [*_opaque_markers(files, inventory), *_whiteouts(files, inventory)]
    entries += [(path, b"", _info(path, FILE_MODE)) for path in markers]
    places = {parent for path, *_ in entries for parent in _parents(path)}
    entries += [(path, b"", info) for path in places if (info := _folder_info(path, inventory))]
    return _tar(sorted(entries, key=lambda entry: PurePosixPath(entry[0]).parts))


def _opaque_markers(files: Mapping[str, _File], inventory: Inventory) -> Iterator[str]:
    """Yield what hides the old content of folders that the new runtime fills again.

    A whiteout of such a folder beside the folder itself would bring the old files back.
    """
    filled = {parent for path in files for parent in _parents(path)}
    yield from (f"{folder}/{OPAQUE}" for folder in inventory.runtime_folders if folder in filled)


def _whiteouts(files: Mapping[str, _File], inventory: Inventory) -> Iterator[str]:
    """Yield what hides old files and folders that the new runtime does not have."""
    present = {parent for path in files for parent in _parents(path)} | files.keys()
    for path in (*inventory.runtime_folders, *inventory.runtime_files):
        if path not in present:
            folder, name = posixpath.split(path)
            yield f"{folder}/{HIDDEN}{name}"


def _parents(path: str) -> Iterator[str]:
    while (path := posixpath.dirname(path)) != "/":
        yield path


def _folder_info(path: str, inventory: Inventory) -> tarfile.TarInfo | None:
    """Return the entry of a folder, or None for one that must be left as it is.

    NOTE: an engine with a graph driver gives an existing folder that has no entry root as owner and mode 0755
    (20.10, overlay2); one that is anything else therefore gets an entry that repeats what it is.
    """
    known = inventory.folders.get(path)
    if known:
        return None if known.plain else _info(path, known.mode, folder=known)
    below_site = path.startswith((inventory.paths["purelib"] + "/", inventory.paths["platlib"] + "/"))
    return _info(path, FOLDER_MODE, folder=_NEW_FOLDER) if below_site else None


def _info(path: str, mode: int, *, folder: Folder | None = None) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.mode = mode
    if folder:
        info.type, info.uid, info.gid, info.mtime = tarfile.DIRTYPE, folder.uid, folder.gid, folder.mtime
    return info


def _tar(entries: Iterable[tuple[str, bytes, tarfile.TarInfo]]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for _, data, info in entries:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()
