"""The proof finds each kind of mistake that a rewriter or a backend could make, on its own."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from builder.problems import Refused
from builder.stages.prove import prove_package, prove_sdist, prove_wheel

GOOD = {
    "__init__.py": b"",
    "main.py": b"def main_sync(): ...\n",
    "config.py": b"",
    "data/x.txt": b"x",
    "tools/__init__.py": b"",
    "tools/a.py": b"from . import __init__\nfrom ..config import x\nimport molecule_runtime.tools\nimport os\n",
}


def refusal(
    tmp_path: Path, changes: dict[str, bytes | None], source: dict[str, bytes] | None = None
) -> tuple[str, ...]:
    files = {path: data for path, data in (GOOD | changes).items() if data is not None}
    for path, data in (GOOD if source is None else source).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    try:
        prove_package(files, tmp_path, "molecule_runtime")
    except Refused as problem:
        return problem.complaints
    return ()


def test_a_right_package_is_proven(tmp_path: Path) -> None:
    assert refusal(tmp_path, {}) == ()


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        (b"import config\n", "config.py:1: The import of 'config' still names a module of the package without the package."),
        (b"import os, tools.a as b\n", "config.py:1: The import of 'tools.a' still names a module of the package without the package."),
        (b"def f():\n  try:\n    if 1: from tools import a\n  except E: pass\n", "config.py:3: The import of 'tools' still names a module of the package without the package."),
        (b"class A:\n  async def f():\n    match 1:\n      case 1:\n        from config import x\n", "config.py:5: The import of 'config' still names a module of the package without the package."),
        (b"import molecule_runtime.nope\n", "config.py:1: There is no module 'nope' in the package."),
        (b"from molecule_runtime.tools.nope import x\n", "config.py:1: There is no module 'tools.nope' in the package."),
        (b"from .nope import x\n", "config.py:1: There is no module 'nope' in the package."),
        (b"from ..x import y\n", "config.py:1: This relative import leads out of the package."),
        (b"def f():\n  return 1\n  import config\n", "config.py:3: The import of 'config' still names a module of the package without the package."),
        (b"if 0: import os, config\n", "config.py:1: The import of 'config' still names a module of the package without the package."),
        (b"from molecule_runtime.tools import a, nope\n", "config.py:1: 'molecule_runtime.tools' has neither a module nor a name 'nope'."),
        (b"from . import tools, nope\n", "config.py:1: 'molecule_runtime' has neither a module nor a name 'nope'."),
        (b"x = = 1\n", "config.py:1: Python cannot compile this file: invalid syntax."),
        (b"\nreturn 1\n", "config.py:2: Python cannot compile this file: 'return' outside function."),
        (b"def f(a, a): ...\n", "config.py:1: Python cannot compile this file: duplicate argument 'a' in function definition."),
    ],
)  # fmt: skip
def test_an_import_that_would_fail_is_found_at_any_depth(tmp_path: Path, code: bytes, complaint: str) -> None:
    assert refusal(tmp_path, {"config.py": code}, GOOD | {"config.py": code}) == (complaint,)


def through_b(tmp_path: Path, init: bytes) -> tuple[str, ...]:
    source: dict[str, bytes] = GOOD | {
        "tools/__init__.py": init,
        "tools/b/__init__.py": b"b = 1\n",
        "tools/b/c.py": b"",
    }
    moved = b"import os\nimport molecule_runtime.tools.b.c as tools, molecule_runtime.tools as tools\n"
    bare = {"config.py": b"import os\nimport tools.b.c\n"}
    return refusal(tmp_path, {**source, "config.py": moved}, source | bare)


@pytest.mark.parametrize("init", [b"b = 1\n", b"from .b import b\n", b"def b(): ...\n"])
def test_an_import_that_goes_through_a_name_given_to_something_else_is_found(
    tmp_path: Path, init: bytes
) -> None:
    assert through_b(tmp_path, init) == (
        "config.py:2: This import goes through 'molecule_runtime.tools.b', a name that its package gives to something else than the module.",
    )


@pytest.mark.parametrize(
    "init",
    [
        b"def f():\n  b = 1\n",
        b"from . import b\n",
        b"from molecule_runtime.tools import b\n",
        b"import molecule_runtime.tools.b as b\n",
    ],
)
def test_an_import_that_goes_through_modules_alone_is_accepted(tmp_path: Path, init: bytes) -> None:
    assert through_b(tmp_path, init) == ()


_DIFFERS = "config.py:1: This differs from the source in more than what its imports must say."
_BINDS = "config.py:1: This import does not load and bind what it does in the source."


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (b"x = 1\n", b"x = 2\n", _DIFFERS),
        (b"f(1)\n", b"f(True)\n", _DIFFERS),
        (b"import os\nx = 1\n", b"x = 1\n", _DIFFERS),
        (b"def f(a): ...\n", b"def f(a=1): ...\n", _DIFFERS),
        (b"'import config'\nimport config\n", b"'import molecule_runtime.config'\nimport molecule_runtime.config as config\n", _DIFFERS),
        (b"x = 'main.y'\n", b"x = 'molecule_runtime.main.y'\n", _DIFFERS),
        (b"f('os.path')\n", b"f('molecule_runtime.os.path')\n", _DIFFERS),
        (b"f('main')\n", b"f('molecule_runtime.config')\n", _DIFFERS),
        (b"import config\n", b"import molecule_runtime.config\n", _BINDS),
        (b"import tools.a\n", b"import molecule_runtime.tools.a as tools\n", _BINDS),
        (b"import tools.a\n", b"import molecule_runtime.tools as tools\n", _BINDS),
        (b"import tools.a as b\n", b"import molecule_runtime.tools.a as a\n", _BINDS),
        (b"import config, main\n", b"import molecule_runtime.main as main, molecule_runtime.config as config\n", _BINDS),
        (b"from main import x\n", b"from molecule_runtime.config import x\n", _BINDS),
        (b"from main import x\n", b"from molecule_runtime.main import y as x\n", _BINDS),
        (b"from other import main\n", b"from molecule_runtime import main\n", _BINDS),
        (b"from . import main\n", b"from .tools import a\n", _BINDS),
        (b"import os\n", b"from os import path\n", _BINDS),
    ],
)  # fmt: skip
def test_what_differs_from_the_source_beyond_the_move_is_found(
    tmp_path: Path, before: bytes, after: bytes, complaint: str
) -> None:
    assert refusal(tmp_path, {"config.py": after}, GOOD | {"config.py": before}) == (complaint,)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"import config", b"import molecule_runtime.config as config"),
        (b"import tools.a", b"import molecule_runtime.tools.a as tools, molecule_runtime.tools as tools"),
        (b"import os, tools.a as b\nimport sys\n", b"import os, molecule_runtime.tools.a as b\nimport sys\n"),
        (b"from main import (x,\r\n  y) # z\r\nx\r\n", b"from molecule_runtime.main import (x,\r\n  y) # z\r\nx\r\n"),
        (b"if 0: import main; import os\n", b"if 0: import molecule_runtime.main as main; import os\n"),
        (b"# coding: latin-1\n'\xe9'; import main; '\xfc'", b"# coding: latin-1\n'\xe9'; import molecule_runtime.main as main; '\xfc'"),
        (b'"""\nimport main\n"""\nimport main\n', b'"""\nimport main\n"""\nimport molecule_runtime.main as main\n'),
        (b"f('main:x', f'tools.{y}', ['tools.%s' % y])", b"f('molecule_runtime.main:x', f'molecule_runtime.tools.{y}', ['molecule_runtime.tools.%s' % y])"),
        (b"__import__('main')", b"__import__('molecule_runtime.main', fromlist=('__name__',))"),
    ],
)  # fmt: skip
def test_what_a_move_must_change_is_accepted(tmp_path: Path, before: bytes, after: bytes) -> None:
    assert refusal(tmp_path, {"config.py": after}, GOOD | {"config.py": before}) == ()


def test_missing_added_and_changed_files_are_found(tmp_path: Path) -> None:
    assert refusal(tmp_path, {"data/x.txt": b"y", "tools/a.py": None, "more.py": b""}) == (
        "data/x.txt: This file differs from the source, and is no Python.",
        "more.py: This file of the package is not in the source.",
        "tools/a.py: This file of the source is missing from the package.",
    )


@pytest.mark.parametrize(
    ("main", "complaint"),
    [
        (b"", "main.py:1: The console script needs a function 'main_sync' here. Define it with def."),
        (b"main_sync = 1\n", "main.py:1: The console script needs a function 'main_sync' here. Define it with def."),
        (b"def main_sync(): ...\nmain_sync = 1\n", "main.py:2: The console script needs a function 'main_sync' here. Define it with def."),
        (b"async def main_sync(): ...\n", "main.py:1: The console script cannot await 'main_sync'. Define it without async."),
        (b"def main_sync(argv): ...\n", "main.py:1: The console script calls 'main_sync' without arguments. Give them defaults."),
        (b"def main_sync(*, a): ...\n", "main.py:1: The console script calls 'main_sync' without arguments. Give them defaults."),
        (b"from molecule_runtime.config import main_sync\n", "config.py:1: The console script needs a function 'main_sync' here. Define it with def."),
        (None, "main.py: The console script needs main.main_sync, and there is no module 'main'."),
    ],
)  # fmt: skip
def test_a_console_script_that_cannot_be_called_is_found(
    tmp_path: Path, main: bytes | None, complaint: str
) -> None:
    source = {path: data for path, data in (GOOD | {"main.py": main}).items() if data is not None}
    assert refusal(tmp_path, {"main.py": main}, source) == (complaint,)


@pytest.mark.parametrize(
    "main",
    [
        b"def main_sync(argv=None, *rest, a=1, **more): ...\n",
        b"from molecule_runtime.config import run as main_sync\n",
    ],
)
def test_a_console_script_that_can_be_called_is_accepted(tmp_path: Path, main: bytes) -> None:
    source = GOOD | {"main.py": main, "config.py": b"def run(): ...\n"}
    assert refusal(tmp_path, {**source}, source) == ()


def wheel(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_wheel_must_hold_the_proven_bytes_and_its_script_and_nothing_else(tmp_path: Path) -> None:
    right = {"m/a.py": b"1", "x-1.dist-info/entry_points.txt": b"[console_scripts]\nrun = m.main:main_sync\n"}
    script = ("run", "m.main:main_sync")
    prove_wheel(wheel(tmp_path, right), {"a.py": b"1"}, module="m", script=script)
    with pytest.raises(Refused) as caught:
        prove_wheel(
            wheel(tmp_path, {"m/a.py": b"2", "other.pth": b"", "x-1.dist-info/entry_points.txt": b""}),
            {"a.py": b"1", "b.txt": b""},
            module="m",
            script=script,
        )
    assert caught.value.complaints == (
        "x-1-py3-none-any.whl: m/a.py is not what was put in. The build backend changed or dropped it.",
        "x-1-py3-none-any.whl: m/b.txt is not what was put in. The build backend changed or dropped it.",
        "x-1-py3-none-any.whl: holds more than the package and its metadata: other.pth, x-1.dist-info.",
        "x-1-py3-none-any.whl: its console script run does not call m.main:main_sync.",
    )


def sdist(folder: Path, files: dict[str, bytes | None]) -> Path:
    path = folder / "x-1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"x-1/{name}")
            if data is None:
                member.type, member.linkname = tarfile.SYMTYPE, "a.py"
            member.size = len(data or b"")
            archive.addfile(member, io.BytesIO(data or b""))
    return path


def test_an_sdist_must_hold_the_bytes_of_the_tree_and_nothing_else(tmp_path: Path) -> None:
    tree: dict[str, bytes] = {"m/a.py": b"1", "m/b.py": b"1", "pyproject.toml": b"[project]", "LICENSE": b""}
    prove_sdist(sdist(tmp_path, {**tree, "PKG-INFO": b"Name: x"}), tree)
    with pytest.raises(Refused) as caught:
        prove_sdist(
            sdist(tmp_path, {"m/a.py": b"2", "m/b.py": None, "m/c.py": b"", "pyproject.toml": b"[project]"}),
            tree,
        )
    assert caught.value.reason == "ProofFailed"
    assert caught.value.complaints == (
        "x-1.tar.gz: x-1/LICENSE is not what was put in. The build backend changed or dropped it.",
        "x-1.tar.gz: x-1/m/a.py is not what was put in. The build backend changed or dropped it.",
        "x-1.tar.gz: x-1/m/b.py is not what was put in. The build backend changed or dropped it.",
        "x-1.tar.gz: x-1/m/c.py was not put in. The build backend added it.",
        "x-1.tar.gz: holds no metadata, x-1/PKG-INFO.",
    )
