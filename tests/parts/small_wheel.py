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
    info = f"molecule_ai_workspace_runtime-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    entries = {
        **content,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": b"[console_scripts]\nmolecule-runtime = molecule_runtime.main:main_sync\n",
    }
    record = "".join(f"{path},sha256={_record_hash(data)},{len(data)}\n" for path, data in entries.items())
    entries[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"molecule_ai_workspace_runtime-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    lines = "".join(f"{hashlib.sha256(data).hexdigest()} {name}\n" for name, data in sorted(content.items()))
    return SmallWheel(
        path,
        version,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        hashlib.sha256(lines.encode()).hexdigest(),
    )


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
