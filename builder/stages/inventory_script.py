"""Runs inside an image with the image's own Python and prints what is installed there, as one JSON document.

It is sent as text, so it uses the standard library only and the syntax of Python 3.8. Arguments: the distribution's
name and its console script. The shebang of an installed console script names the interpreter that really runs it;
the document is about that one.
"""

# ruff: noqa: PTH112, PTH117, PTH118, PTH119, PTH120, PTH123 -- paths of the image are text here; os.path says that

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import stat
import sys
import sysconfig
from typing import Any, Iterable  # noqa: UP035 -- Python 3.8 in an image has no subscriptable collections.abc

AGAIN = "WSR_INVENTORY_SCRIPT"
"""Holds this text for a second start under the interpreter that counts; absent then."""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _interpreter_of(script: str) -> str | None:
    """Return the interpreter in a script's first line, if there is one."""
    found = shutil.which(script)
    if not found:
        return None
    with open(found, "rb") as file:
        first = file.readline(4096).decode(errors="replace").strip()
    path = first[2:].strip() if first.startswith("#!") else ""
    return path if os.path.isabs(path) and os.access(path, os.X_OK) and " " not in path else None


def _environment() -> dict[str, str]:
    """Return the marker variables of PEP 508 for this interpreter."""
    info = sys.implementation.version
    kind = "" if info.releaselevel == "final" else info.releaselevel[0] + str(info.serial)
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": f"{info.major}.{info.minor}.{info.micro}{kind}",
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def _files_below(folder: str) -> set[str]:
    return {os.path.join(where, name) for where, _, names in os.walk(folder) for name in names}


def _byte_code(path: str) -> set[str]:
    """Return the compiled files beside a source, of any interpreter."""
    folder, name = os.path.split(path)
    cache, stem = os.path.join(folder, "__pycache__"), name[:-3] + "."
    if not name.endswith(".py") or not os.path.isdir(cache):
        return set()
    return {file for file in _files_below(cache) if os.path.basename(file).startswith(stem)}


def _installed_files(distributions: Iterable[importlib.metadata.Distribution]) -> set[str]:
    files: set[str] = set()
    for distribution in distributions:
        for entry in distribution.files or []:
            folder, name = os.path.split(str(distribution.locate_file(entry)))
            path = os.path.join(os.path.realpath(folder), name)
            if os.path.lexists(path):
                files.add(path)
                files |= _byte_code(path)
    return files


def _owned_folders(files: set[str], site: str) -> list[str]:
    """Return the top folders below `site` that hold nothing else than these files."""
    below = (os.path.relpath(path, site) for path in files if path.startswith(site + os.sep))
    folders = {os.path.join(site, path.partition(os.sep)[0]) for path in below if os.sep in path}
    return sorted(folder for folder in folders if _files_below(folder) <= files)


def _content_sha256(files: set[str], site: str) -> str:
    """Return the digest of the import package's files, as the project defines `contentSha256`."""
    lines = []
    for path in files:
        relative = os.path.relpath(path, site)
        top, nested, _ = relative.partition(os.sep)
        if not nested or top == os.pardir or top.endswith(".dist-info") or relative.endswith(".pyc"):
            continue
        with open(path, "rb") as file:
            lines.append((relative, hashlib.sha256(file.read()).hexdigest()))
    text = "".join(f"{digest} {relative}\n" for relative, digest in sorted(lines))
    return hashlib.sha256(text.encode()).hexdigest()


def _folder_facts(paths: Iterable[str]) -> dict[str, list[int]]:
    """Return mode, owner and time of every folder on the way to these paths."""
    facts = {}
    for start in paths:
        path = start
        while path != os.path.dirname(path):
            seen = os.lstat(path)
            if stat.S_ISDIR(seen.st_mode):
                facts[path] = [stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid, int(seen.st_mtime)]
            path = os.path.dirname(path)
    return facts


def _nearest_folder(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def main(name: str, script: str) -> None:
    """Print the inventory."""
    wanted, again = _interpreter_of(script), os.environ.pop(AGAIN, "")
    if wanted and again and wanted != sys.executable:
        # by path, not by what it resolves to: the interpreter of a virtual environment is a link to another one's
        os.execv(wanted, [wanted, "-B", "-c", again, name, script])  # noqa: S606 -- no shell is the point
    json.dump(_inventory(name, script, wanted or sys.executable), sys.stdout, sort_keys=True)


def _inventory(name: str, script: str, interpreter: str) -> dict[str, Any]:
    everything = list(importlib.metadata.distributions())
    mine = [found for found in everything if _normal(found.metadata["Name"] or "") == _normal(name)]
    paths = {key: os.path.realpath(value) for key, value in sysconfig.get_paths().items()}
    if mine:
        paths["purelib"] = os.path.realpath(str(mine[0].locate_file("")))
    found_script = shutil.which(script)
    if found_script:
        paths["scripts"] = os.path.dirname(os.path.realpath(found_script))
    files = _installed_files(mine)
    folders = _owned_folders(files, paths["purelib"])
    inside = tuple(folder + os.sep for folder in folders)
    places = {key: paths[key] for key in ("purelib", "platlib", "scripts", "data")}
    places["headers"] = os.path.join(paths["include"], _normal(name))
    installed: dict[str, dict[str, Any]] = {}
    for found in everything:
        key = _normal(found.metadata["Name"] or "")
        installed.setdefault(key, {"version": found.version, "requires": found.requires or []})
    return {
        "interpreter": {
            "path": interpreter,
            "version": platform.python_version(),
            "magic": importlib.util.MAGIC_NUMBER.hex(),
            "cacheTag": sys.implementation.cache_tag,
        },
        "environment": _environment(),
        "paths": places,
        "folders": _folder_facts(_nearest_folder(place) for place in places.values()),
        "runtime": {
            "name": name,
            "versions": sorted(found.version for found in mine),
            "contentSha256": _content_sha256(files, paths["purelib"]) if mine else "",
            "folders": folders,
            "files": sorted(path for path in files if not path.startswith(inside)),
        },
        "installed": installed,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
