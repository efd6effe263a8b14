"""What `wsr adapter new` does: copies a template under another name, and registers it in a document."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from controller.api.load import InvalidDocument
from controller.api.patterns import NAME_PATTERN, PATTERN_WORDS
from controller.api.registration import register_template
from controller.model.errors import Terminal

_MOST_CHARACTERS: Final = 63
_NOT_OURS: Final = ("__pycache__", ".*_cache", "node_modules", ".venv")
_UNTOUCHED: Final = "Nothing was touched."


def make(name: str, *, like: str, folder: Path, file: Path | None) -> dict[str, Any]:
    """Make `folder` a template `name` like another one, add it to the document in `file`, and return what was made.

    Raises:
        Terminal: Invalid (a name, template, folder or document that cannot be used), Unwritable.
    """
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > _MOST_CHARACTERS:
        raise Terminal("Invalid", f"NAME: {name!r} {PATTERN_WORDS[NAME_PATTERN]}.", fix=_UNTOUCHED)
    source = _templates() / like
    known = sorted(each.name for each in _templates().iterdir() if (each / "adapter.py").is_file())
    if like not in known:
        raise Terminal(
            "Invalid", f"--like: there is no template {like!r}.", fix=f"Name one of: {', '.join(known)}."
        )
    if folder.exists():
        raise Terminal(
            "Invalid", f"{folder} is there already.", fix="Name another folder with --into. " + _UNTOUCHED
        )
    registered = _registered(name, folder, file) if file else None
    try:
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*_NOT_OURS))
        for path in _named(folder, like):
            path.write_text(_renamed(path.read_text(encoding="utf-8"), like, name), encoding="utf-8")
        if file and registered:
            file.write_text(registered, encoding="utf-8")
    except OSError as error:
        raise Terminal(
            "Unwritable", f"{folder} cannot be made: {error.strerror}.", fix="Let this user write there."
        ) from error
    made = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {
        "name": name,
        "folder": str(folder),
        "like": like,
        "files": made,
        "addedTo": str(file) if file else None,
    }


def table(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts as lines for people, with what comes next."""
    document = facts["addedTo"] or "runtime.yaml"
    added = [f"It is in the list of {facts['addedTo']}."] if facts["addedTo"] else []
    return [
        *(f"{facts['folder']}/{file}" for file in facts["files"]),
        f"Made template {facts['name']} like {facts['like']}.",
        *added,
        f"Next: write adapter.py for your framework, then wsr adapter check {facts['folder']} -f {document}",
    ]


def _templates() -> Path:
    """Return where the templates are: in an installed wheel beside the code, else in the repository."""
    installed = Path(str(files("controller"))) / "templates"
    return installed if installed.is_dir() else installed.parents[1] / "templates"


def _registered(name: str, folder: Path, file: Path) -> str:
    directory = os.path.relpath(folder.absolute(), file.absolute().parent)
    try:
        text = file.read_text(encoding="utf-8")
        return register_template(text, name, directory=Path(directory).as_posix(), file=str(file)).text
    except FileNotFoundError:
        raise Terminal("Invalid", f"{file}: there is no such file.", fix=_UNTOUCHED) from None
    except (UnicodeDecodeError, OSError) as error:
        raise Terminal("Invalid", f"{file}: cannot be read: {error}.", fix=_UNTOUCHED) from None
    except InvalidDocument as error:
        raise Terminal("Invalid", f"{error}.", fix=_UNTOUCHED) from None


def _named(folder: Path, like: str) -> list[Path]:
    """Return the files that say what the template is called; elsewhere the word is the framework's."""
    wanted = ("README.md", "adapter.py", "config.yaml", "package.json", "package-lock.json")
    found = [folder / name for name in wanted] + sorted((folder / ".github" / "workflows").glob("*.yml"))
    return [path for path in found if path.is_file() and like in path.read_text(encoding="utf-8")]


def _renamed(text: str, like: str, name: str) -> str:
    text = text.replace(f"workspace-template-{like}", f"workspace-template-{name}")
    # `name` and `runtime` of config.yaml, and the adapter's own name.
    return re.sub(rf'(?m)^( *(?:name|runtime)(?:: | = "?)){re.escape(like)}("?)$', rf"\g<1>{name}\2", text)
