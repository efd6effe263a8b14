"""Say which build of the runtime and of its adapter this process runs, computed from what is on disk.

The controller believes a workspace only what the workspace computes itself, so nothing here is taken from
labels, the environment or the image.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

DISTRIBUTION = "molecule-ai-workspace-runtime"
BUILD_RECORD = "extra_metadata/build.json"
SOURCE_VERSION = "0+source"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The running build. `commit` is None where the build did not know it."""

    package: str
    version: str
    content_sha256: str
    commit: str | None


def read_identity() -> Identity:
    """Read version and commit from the installed distribution and hash the package's files.

    Run from a source tree (no package around this module) the version is `0+source` and the commit None.
    """
    package = Path(__file__).resolve().parent
    version, commit = _installed() if __package__ else (SOURCE_VERSION, None)
    return Identity(
        package=DISTRIBUTION, version=version, content_sha256=folder_sha256(package), commit=commit
    )


def _installed() -> tuple[str, str | None]:
    """Read what was installed beside this package, as wheels are: `importlib.metadata` is a tenth of the start."""
    beside = Path(__file__).resolve().parent.parent
    match list(beside.glob(f"{DISTRIBUTION.replace('-', '_')}-*.dist-info")):
        case [folder]:
            return _read(lambda name: _text(folder / name))
        case _:
            return _from_metadata()


def _from_metadata() -> tuple[str, str | None]:
    from importlib import metadata  # noqa: PLC0415 - slow to import and hardly ever needed

    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return SOURCE_VERSION, None
    return _read(distribution.read_text)


def _read(read_text: Callable[[str], str | None]) -> tuple[str, str | None]:
    headers = (read_text("METADATA") or "").partition("\n\n")[0].splitlines()
    version = next((line.partition(":")[2].strip() for line in headers if line.startswith("Version:")), "")
    record: Any = json.loads(read_text(BUILD_RECORD) or "{}")
    commit = record.get("commit") if isinstance(record, dict) else None
    return version or SOURCE_VERSION, commit if isinstance(commit, str) else None


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None


def folder_sha256(folder: Path) -> str:
    """Hash a package folder as `contentSha256` is defined.

    SHA-256 over lines `<sha256 of the file> <posix path>`, sorted by path, each ended by a newline; paths
    start with the folder's own name, as they do in a wheel. Byte code is left out.
    """
    return _digest(folder.parent, _files(folder))


def adapter_sha256(module: ModuleType) -> str | None:
    """Hash an adapter the same way: a package's folder, or the one file of a plain module.

    None for a module without a file (built in memory).
    """
    if module.__file__ is None:
        return None
    path = Path(module.__file__).resolve()
    return folder_sha256(path.parent) if hasattr(module, "__path__") else _digest(path.parent, [path])


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix != ".pyc" and "__pycache__" not in path.parts and path.is_file():
            yield path


def _digest(root: Path, files: Iterable[Path]) -> str:
    paths = {path.relative_to(root).as_posix(): path for path in files}
    total = hashlib.sha256()
    for name in sorted(paths):
        total.update(f"{hashlib.sha256(paths[name].read_bytes()).hexdigest()} {name}\n".encode())
    return total.hexdigest()
