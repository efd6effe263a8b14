"""The layers of Python packages: what the lock file pins, and our own; with byte code, since a start must not compile them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.images.byte_code import compiled
from tools.images.recipes import PYTHON, SITE, Recipe

ROOT: Final = Path(__file__).resolve().parents[2]
_WHEELS: Final = {"amd64": "x86_64-manylinux_2_36", "arm64": "aarch64-manylinux_2_36"}
"""By what images call a processor: what its wheels are called, for the libc of the suite."""
_WSR: Final = "#!/usr/local/bin/python\nfrom controller.cli.main import main\n\nmain()\n"


class PackagesFailed(Exception):  # noqa: N818 -- the word callers print
    """The packages could not be had; the text says what was said of it."""


def expect_python() -> None:
    """Raise PackagesFailed when another Python runs this than the images have."""
    if sys.version_info[:2] != PYTHON:
        wanted = ".".join(map(str, PYTHON))
        raise PackagesFailed(
            f"The images have Python {wanted}, whose byte code only it makes. Run this with it."
        )


def requirements(recipe: Recipe, uv: str) -> str:
    """Return what the image gets from the lock file, with versions and hashes."""
    options = ("--frozen", "--no-emit-project", "--no-header", "--no-annotate", "--format=requirements-txt")
    return _uv(uv, "export", *options, *recipe.dependencies)


def installed(requirements_text: str, folder: Path, *, uv: str, architecture: str) -> Mapping[str, Path]:
    """Install into `folder`; return the files by their path in the image, byte code included.

    Raises:
        PackagesFailed: an index or the lock file says no.
    """
    listed = folder.with_suffix(".txt")
    listed.write_text(requirements_text)
    _uv(
        uv,
        *("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"),
        *(f"--python-platform={_WHEELS[architecture]}", f"--python-version={'.'.join(map(str, PYTHON))}"),
        *("--link-mode=copy", "--no-compile-bytecode", f"--target={folder}", "-r", str(listed)),
    )
    # What says when and by whom something was installed, and programs that name this machine's interpreter.
    for name in (
        "*.dist-info/INSTALLER",
        "*.dist-info/REQUESTED",
        "*.dist-info/uv_cache.json",
        "*.dist-info/RECORD",
    ):
        for file in folder.glob(name):
            file.unlink()
    left_out = {folder / "bin", folder / ".lock"}
    _compile(folder)
    return {
        f"{SITE}/{file.relative_to(folder)}": file
        for file in folder.rglob("*")
        if file.is_file() and not left_out & {file, *file.parents}
    }


def sources_of(recipe: Recipe) -> list[Path]:
    """Return the files of our packages, sorted."""
    found = (file for name in recipe.ours for file in (ROOT / name).rglob("*") if file.is_file())
    return sorted(file for file in found if "__pycache__" not in file.parts)


def own(recipe: Recipe, folder: Path) -> Mapping[str, Path | bytes | str]:
    """Copy our packages into `folder` and compile them; return the files by their path in the image."""
    for file in sources_of(recipe):
        there = folder / file.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(file.read_bytes())
    _compile(folder)
    files: dict[str, Path | bytes | str] = {
        f"{SITE}/{file.relative_to(folder)}": file for file in folder.rglob("*") if file.is_file()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    metadata = f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n"
    if "controller" in recipe.ours:
        dist_info = f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        files[f"{SITE}/{dist_info}/METADATA"] = metadata.encode()
        wsr = folder / "wsr"
        wsr.write_text(_WSR)
        wsr.chmod(0o755)
        files["usr/local/bin/wsr"] = wsr
    return files | {"usr/local/bin/python": "/usr/bin/python3"}


def _compile(folder: Path) -> None:
    sources = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.py")}
    for name, code in compiled(sources, f"/{SITE}"):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(code)


def _uv(uv: str, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [uv, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PackagesFailed(f"uv {arguments[0]} failed: {done.stderr.strip()[-800:]}")
    return done.stdout
