"""Small real wheels of the runtime's name and console script, for tests that need bytes to install and little in them."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NAME = "molecule-ai-workspace-runtime"
_MAIN = """\
from importlib import metadata


def main_sync():
    print("molecule-runtime", metadata.version("molecule-ai-workspace-runtime"))
"""


@dataclass(frozen=True)
class SmallWheel:
    """A wheel file with the digests that a cascade is told."""

    path: Path
    version: str
    sha256: str
    content_sha256: str


def make_wheel(
    folder: Path, version: str, *, files: Mapping[str, str] | None = None, requires: Sequence[str] = ()
) -> SmallWheel:
    """A wheel of the runtime with `main.py` and the given files (paths in the package)."""
    package = {"__init__.py": "", "main.py": _MAIN, **(files or {})}
    content = {f"molecule_runtime/{path}": text.encode() for path, text in package.items()}
    script = b"[console_scripts]\nmolecule-runtime = molecule_runtime.main:main_sync\n"
    path = _write(folder, (NAME, version, requires), content, {"entry_points.txt": script})
    lines = "".join(f"{hashlib.sha256(data).hexdigest()} {name}\n" for name, data in sorted(content.items()))
    wheel_sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return SmallWheel(path, version, wheel_sha256, hashlib.sha256(lines.encode()).hexdigest())


def make_dependency(
    folder: Path, name: str, version: str, *, files: Sequence[str] = (), requires: Sequence[str] = ()
) -> Path:
    """A wheel of anything else, with empty modules: the given files, or one of its name."""
    modules = files or (f"{name.replace('-', '_')}.py",)
    return _write(folder, (name, version, requires), dict.fromkeys(modules, b""), {})


def alter(wheel: Path, changes: Mapping[str, bytes | None], *, record: bool = True) -> Path:
    """Put files into a wheel, or take them out (None); RECORD is made anew unless it is among them or told not to be.

    `*` in front of a path stands for the wheel's `.dist-info` folder.
    """
    with zipfile.ZipFile(wheel) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    folder = next(name.partition("/")[0] for name in entries if name.endswith(".dist-info/RECORD"))
    given = {path.replace("*", folder): data for path, data in changes.items()}
    entries = {path: data for path, data in (entries | given).items() if data is not None}
    if record and f"{folder}/RECORD" not in given:
        del entries[f"{folder}/RECORD"]
        entries[f"{folder}/RECORD"] = _record(folder, entries)
    _zip(wheel, entries)
    return wheel


def _write(
    folder: Path,
    identity: tuple[str, str, Sequence[str]],
    content: Mapping[str, bytes],
    more: Mapping[str, bytes],
) -> Path:
    name, version, requires = identity
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    wheel = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    described = {"METADATA": metadata.encode(), "WHEEL": wheel, **more}
    entries = {**content, **{f"{stem}.dist-info/{file}": data for file, data in described.items()}}
    entries[f"{stem}.dist-info/RECORD"] = _record(f"{stem}.dist-info", entries)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    _zip(path, entries)
    return path


def _zip(path: Path, entries: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in entries.items():
            archive.writestr(zipfile.ZipInfo(file), data)


def _record(folder: str, entries: Mapping[str, bytes]) -> bytes:
    lines = "".join(f"{path},sha256={_record_hash(data)},{len(data)}\n" for path, data in entries.items())
    return f"{lines}{folder}/RECORD,,\n".encode()


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
