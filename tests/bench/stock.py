"""A package index that has what the releases of a benchmark need and nothing else: each page of it is a few lines.

The public index, also through a mirror, has pages of many megabytes, and pip in an image may take half a minute for one
of them: a baseline that suffers from that would prove nothing.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder.stages.metadata import BACKEND
from tests.parts.ground import REPOSITORY, PartError, cache_dir
from tests.parts.index import Index, running_pypiserver
from tests.templates.generate import DEPENDENCIES


@contextmanager
def stocked_index(
    folder: Path, *, address: str, requirements: Sequence[str] | None = None
) -> Iterator[Index]:
    """An index with what `requirements` need: as a rule the runtime, all templates, and the build backend.

    They are downloaded once per machine and list, from where pip on this machine is set to.

    Raises:
        PartError: they could not be downloaded.
    """
    shutil.copytree(_downloaded(list(requirements or all_requirements())), folder / "packages")
    with running_pypiserver(folder, address=address) as index:
        yield index


def all_requirements() -> list[str]:
    """What the releases of a benchmark need."""
    return [*runtime_requirements(), *(requirement for requirement, _ in DEPENDENCIES.values()), BACKEND]


def runtime_requirements() -> list[str]:
    """What the runtime needs."""
    runtime = (REPOSITORY / "workspace" / "requirements.txt").read_text().splitlines()
    return [line for line in runtime if line and not line.startswith("#")]


def _downloaded(requirements: list[str]) -> Path:
    key = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:12]
    stock = cache_dir("bench") / f"stock-{key}"
    if not stock.exists():
        with tempfile.TemporaryDirectory(dir=stock.parent) as scratch:
            place = Path(scratch)
            _run(sys.executable, "-m", "venv", str(place / "venv"))
            pip = (str(place / "venv" / "bin" / "python"), "-m", "pip", "download", "--only-binary", ":all:")
            _run(*pip, "--dest", str(place / "files"), *requirements)
            (place / "files").rename(stock)
    return stock


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PartError(f"{' '.join(command[:5])} failed: {done.stderr[-800:]}")
