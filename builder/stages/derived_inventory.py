"""Derives the inventory of an image from its layers: for platforms whose programs cannot be run here.

It says what `inventory_script.py` says when that runs in the image, but for the kernel, which is no part of an image.
"""

from __future__ import annotations

import importlib.util
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from packaging.utils import canonicalize_name

from builder.inventory import Folder, Inventory, NotInventoried
from builder.stages._layer_installation import Installation, content_sha256, installed_of
from builder.stages._layer_tree import FILE, FOLDER, Entry, Tree, Unreadable, read_layer

__all__ = ["Entry", "derive_inventory", "layer_entries"]

_USUAL_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "arm": "armv7l"}
"""What Python calls the machine of a platform, where the names differ."""
_INTERPRETER: Final = re.compile(r"python(3)\.(\d+)")
_DISTRIBUTION: Final = re.compile(r"[^/]+\.(dist|egg)-info")


def layer_entries(file: IO[bytes], *, where: str) -> list[Entry]:
    """Return what an image's layer (named `where` in an error) holds, for `derive_inventory`; raises NotInventoried."""
    try:
        return read_layer(file)
    except Unreadable as error:
        raise NotInventoried(f"{where} cannot be read: {error}.") from error


def derive_inventory(
    layers: Iterable[Iterable[Entry]],
    config: Mapping[str, Any],
    *,
    package: str,
    script: str,
) -> Inventory:
    """Return what an image holds.

    Args:
        layers: lowest first.
        config: the image's configuration.
        package: name of the runtime's distribution.
        script: name of its console script; the interpreter in its first line is the one that counts.

    Raises:
        NotInventoried: no CPython that can be recognised in it, or no runtime.
    """
    image = _Image(Tree(layers), config)
    place = image.place(script)
    everything = [found for site in image.sites(place) for found in image.distributions(site)]
    mine = [found for found in everything if canonicalize_name(found.name) == canonicalize_name(package)]
    if not mine:
        raise NotInventoried(
            f"It holds no {package} in {' or '.join(image.sites(place)) or 'its Python'}: "
            "a full build is an image that the template's Dockerfile gives, with the runtime installed."
        )
    files = {path for found in mine for path in image.installed_files(found)}
    purelib = mine[0].site
    folders = image.owned_folders(files, purelib)
    paths = image.paths(place, purelib, package)
    return Inventory(
        interpreter=place.interpreter,
        python_version=place.version,
        magic=image.magic(files, place.cache_tag),
        cache_tag=place.cache_tag,
        environment=image.environment(place),
        paths=paths,
        folders=image.folder_facts(paths.values()),
        runtime_versions=tuple(sorted(found.version for found in mine)),
        runtime_content_sha256=content_sha256(mine[0]),
        runtime_folders=tuple(folders),
        runtime_files=tuple(
            sorted(path for path in files if not path.startswith(tuple(f"{folder}/" for folder in folders)))
        ),
        installed=installed_of(everything),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """The interpreter that counts: its path as scripts name it, its version, and where it looks for things."""

    interpreter: str
    version: str
    minor: str
    prefix: str
    base_prefix: str
    script: str | None
    with_base: bool

    @property
    def cache_tag(self) -> str:
        return f"cpython-3{self.minor}"


class _Image:
    """What can be asked of an image whose files are known and cannot be run."""

    def __init__(self, tree: Tree, config: Mapping[str, Any]) -> None:
        self._tree = tree
        self._config = config

    def place(self, script: str) -> _Place:
        """Return the interpreter that runs the console script, else the first one on PATH."""
        found = self._which(script)
        named = self._interpreter_of(found) if found else None
        interpreter = named or self._which("python3") or self._which("python")
        if interpreter is None:
            raise NotInventoried("It has no python3 on its PATH.")
        real = self._tree.resolve(interpreter)
        match = _INTERPRETER.fullmatch(posixpath.basename(real))
        if match is None:
            raise NotInventoried(f"Its {interpreter} is {real}, which is no python3.N of CPython.")
        prefix, base_prefix = _above(interpreter), _above(real)
        settings = self._settings(prefix)
        if settings is None:
            prefix = base_prefix
        elif settings.get("home"):
            base_prefix = posixpath.dirname(settings["home"])
        with_base = (settings or {}).get("include-system-site-packages", "false").lower() == "true"
        return _Place(
            interpreter, self._version(real, match[2]), match[2], prefix, base_prefix, found, with_base
        )

    def sites(self, place: _Place) -> list[str]:
        """Return the folders that its Python looks for distributions in, without links and each once.

        That of the script comes first: where a user installs for himself it is another one than the interpreter's.
        """
        named = f"python3.{place.minor}"
        prefixes = [_above(place.script), place.prefix] if place.script else [place.prefix]
        if place.prefix == place.base_prefix or place.with_base:
            prefixes += [place.base_prefix, posixpath.join(place.base_prefix, "local")]
        folders = [f"{prefix}/{lib}/{named}" for prefix in prefixes for lib in ("lib", "lib64")]
        folders += [f"{prefix}/lib/python3" for prefix in prefixes]
        places = [f"{folder}/{kind}-packages" for folder in folders for kind in ("site", "dist")]
        return list(dict.fromkeys(self._tree.resolve(path) for path in places if self._tree.find(path)))

    def distributions(self, site: str) -> Iterator[Installation]:
        """Yield what is installed in one of these folders."""
        for name in self._tree.names(site):
            if _DISTRIBUTION.fullmatch(name):
                found = Installation(self._tree, site, name)
                if any(found.read_text(file) for file in ("METADATA", "PKG-INFO", "")) and found.name:
                    yield found

    def installed_files(self, found: Installation) -> Iterator[str]:
        """Yield the files of a distribution that are there, byte code of any interpreter included."""
        for line in found.record():
            folder, name = posixpath.split(posixpath.normpath(posixpath.join(found.site, line[0])))
            folder = self._tree.resolve(folder)
            if name in self._tree.names(folder):
                yield f"{folder}/{name}"
                if name.endswith(".py"):
                    cache = f"{folder}/__pycache__"
                    compiled = self._tree.names(cache)
                    yield from (f"{cache}/{one}" for one in compiled if one.startswith(name[:-2]))

    def owned_folders(self, files: set[str], site: str) -> list[str]:
        """Return the top folders below a site folder that hold nothing else than these files."""
        below = (path.removeprefix(f"{site}/") for path in files if path.startswith(f"{site}/"))
        folders = {f"{site}/{path.partition('/')[0]}" for path in below if "/" in path}
        return sorted(folder for folder in folders if files.issuperset(self._tree.files_below(folder)))

    def paths(self, place: _Place, purelib: str, package: str) -> dict[str, str]:
        """Return the folders of the install scheme that the runtime is installed by."""
        named = f"python3.{place.minor}"
        data = posixpath.dirname(posixpath.dirname(posixpath.dirname(purelib)))
        scripts = posixpath.dirname(self._tree.resolve(place.script)) if place.script else f"{data}/bin"
        headers = self._tree.resolve(f"{place.base_prefix}/include/{named}")
        return {
            "purelib": purelib,
            "platlib": purelib,
            "scripts": scripts,
            "data": data,
            "headers": f"{headers}/{canonicalize_name(package)}",
        }

    def magic(self, files: set[str], cache_tag: str) -> str:
        """Return the magic number (hex) of the runtime's byte code, else ours for the same Python, else nothing.

        A release of Python never changes it within a minor version.
        """
        compiled = (self._tree.find(path) for path in sorted(files) if path.endswith(f".{cache_tag}.pyc"))
        ours = importlib.util.MAGIC_NUMBER.hex() if cache_tag == sys.implementation.cache_tag else ""
        return next((facts.content.hex() for facts in compiled if facts and facts.content), ours)

    def environment(self, place: _Place) -> dict[str, str]:
        """Return the marker variables of PEP 508, as far as an image tells them."""
        architecture = str(self._config.get("architecture") or "")
        return {
            "implementation_name": "cpython",
            "implementation_version": place.version.replace("rc", "c"),
            "os_name": "posix",
            "platform_machine": _MACHINES.get(architecture, architecture),
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": place.version,
            "python_version": f"3.{place.minor}",
            "sys_platform": "linux",
        }

    def folder_facts(self, paths: Iterable[str]) -> dict[str, Folder]:
        """Return mode, owner and time of every folder on the way to these paths."""
        found = {}
        for start in paths:
            path = start
            while path != "/":
                facts = self._tree.find(path)
                if facts and facts.kind == FOLDER:
                    found[path] = Folder(facts.mode, facts.uid, facts.gid, facts.mtime)
                path = posixpath.dirname(path)
        return found

    def _which(self, name: str) -> str | None:
        variables = (self._config.get("config") or {}).get("Env") or []
        search = next((text[5:] for text in variables if text.startswith("PATH=")), _USUAL_PATH)
        places = (posixpath.join(folder, name) for folder in search.split(":") if folder and name)
        return next((path for path in places if self._is_program(path)), None)

    def _is_program(self, path: str) -> bool:
        facts = self._tree.find(path)
        return facts is not None and facts.kind == FILE and bool(facts.mode & 0o111)

    def _interpreter_of(self, script: str) -> str | None:
        facts = self._tree.find(script)
        path = facts.content.decode(errors="replace")[2:].strip() if facts else ""
        return path if path.startswith("/") and " " not in path and self._is_program(path) else None

    def _settings(self, prefix: str) -> dict[str, str] | None:
        """Return what `pyvenv.cfg` says; None when the prefix is no virtual environment."""
        facts = self._tree.find(f"{prefix}/pyvenv.cfg")
        if facts is None:
            return None
        lines = (line.partition("=") for line in facts.content.decode(errors="replace").splitlines())
        return {key.strip().lower(): value.strip() for key, equals, value in lines if equals}

    def _version(self, real: str, minor: str) -> str:
        """Return the version that is written in the interpreter, or in the library that it is a front of."""
        library = f"{_above(real)}/lib/libpython3.{minor}.so.1.0"
        for path in (real, library):
            facts = self._tree.find(path)
            if facts and facts.content:
                return facts.content.decode()
        raise NotInventoried(f"Neither its {real} nor {library} tells a version of Python.")


def _above(program: str) -> str:
    return posixpath.dirname(posixpath.dirname(program))
