"""Who this is: the version that is installed, and the hash of the files that run."""

import hashlib
import importlib.metadata
from pathlib import Path

PACKAGE = "molecule-ai-workspace-runtime"


def version() -> str:
    """Return what the package's metadata says."""
    return importlib.metadata.version(PACKAGE)


def content_sha256() -> str:
    """Hash the lines `<sha256> <path>` of the package's files, sorted by path, byte code left out."""
    folder = Path(__file__).parent
    lines = {
        file.relative_to(folder.parent).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    text = "".join(f"{lines[path]} {path}\n" for path in sorted(lines))
    return hashlib.sha256(text.encode()).hexdigest()
