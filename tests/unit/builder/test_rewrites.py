"""Rewriting, as pairs of files before and after, and as bytes that must not change."""

import codecs
from pathlib import Path

import pytest

from builder.problems import Refused
from builder.stages._modules import index_modules
from builder.stages.collect import Collected
from builder.stages.rewrite import Rewritten, rewrite

PAIRS = Path(__file__).parents[2] / "golden" / "rewrites"
SOURCE = {
    path.relative_to(PAIRS / "source").as_posix(): path.read_bytes()
    for path in (PAIRS / "source").rglob("*.py")
}
CASES = sorted(path.name.removesuffix(".before.py") for path in PAIRS.glob("*.before.py"))


def rewritten(files: dict[str, bytes]) -> Rewritten:
    """Rewrite the golden source with more files."""
    all_files = SOURCE | files
    return rewrite(Collected(all_files, index_modules(all_files)), "molecule_runtime")


def subject(content: bytes) -> bytes:
    return rewritten({"subject.py": content}).files["subject.py"]


@pytest.mark.parametrize("case", CASES)
def test_a_file_reads_after_the_rewrite_as_its_pair_says(case: str) -> None:
    result = rewritten({f"{case}.py": (PAIRS / f"{case}.before.py").read_bytes()})
    assert result.files[f"{case}.py"] == (PAIRS / f"{case}.after.py").read_bytes()
    findings = PAIRS / f"{case}.findings.txt"
    told = [str(finding) for finding in result.findings if finding.path == f"{case}.py"]
    assert told == (findings.read_text().splitlines() if findings.exists() else [])


def test_the_modules_of_the_source_itself_need_no_change() -> None:
    assert rewritten({}).files == SOURCE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"import config\r\nx = 1\r\n", b"import molecule_runtime.config as config\r\nx = 1\r\n"),
        (b"import config\rx = 1\r", b"import molecule_runtime.config as config\rx = 1\r"),
        (b"x = 1\rfrom config import (VALUE,\r  load)\r", b"x = 1\rfrom molecule_runtime.config import (VALUE,\r  load)\r"),
        (b"a = 1\r\nb = 2\rc = 3\nimport config\n", b"a = 1\r\nb = 2\rc = 3\nimport molecule_runtime.config as config\n"),
        (b"from config import (VALUE,\r\n  load)\n", b"from molecule_runtime.config import (VALUE,\r\n  load)\n"),
        (b"import config", b"import molecule_runtime.config as config"),
        (b"\x0cimport config\n\x0c\n", b"\x0cimport molecule_runtime.config as config\n\x0c\n"),
        (b"if 1:\n\timport config\n\t \n  \n", b"if 1:\n\timport molecule_runtime.config as config\n\t \n  \n"),
        (b"x = '''\n  \n'''\nimport config # \n   ", b"x = '''\n  \n'''\nimport molecule_runtime.config as config # \n   "),
        ("é = 'ü'; import config\n".encode(), "é = 'ü'; import molecule_runtime.config as config\n".encode()),
        (codecs.BOM_UTF8 + b"import config\n", codecs.BOM_UTF8 + b"import molecule_runtime.config as config\n"),
        (
            b"# -*- coding: latin-1 -*-\nx = '\xe9'; import config # \xfc\n",
            b"# -*- coding: latin-1 -*-\nx = '\xe9'; import molecule_runtime.config as config # \xfc\n",
        ),
        (
            b"#!/bin/python\n# vim: set fileencoding=shift_jis :\nx = '\x83\x5c'; import config\n",
            b"#!/bin/python\n# vim: set fileencoding=shift_jis :\nx = '\x83\x5c'; import molecule_runtime.config as config\n",
        ),
    ],
    ids=["crlf", "cr", "cr-inside", "mixed", "crlf-inside", "no-end", "form-feed", "tabs", "spaces", "utf8", "bom", "latin1", "sjis"],
)  # fmt: skip
def test_bytes_outside_of_a_changed_statement_stay(before: bytes, after: bytes) -> None:
    assert subject(before) == after


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"from adapters.nope import x\n", 1, "No module 'adapters.nope' in the source: there is neither adapters/nope.py nor adapters/nope/. Correct the import or add the module."),
        (b"\nimport adapters.nope\n", 2, "No module 'adapters.nope' in the source: there is neither adapters/nope.py nor adapters/nope/. Correct the import or add the module."),
        (b"import config.sub\n", 1, "No module 'config.sub' in the source: 'config' is a module, config.py, and has no modules below it. Correct the import or add the module."),
        (b"from adapters import nope\n", 1, "'nope' is neither a name in adapters/__init__.py nor a module beside it. Correct the import or add what it names."),
        (b"from adapters import base, KIND, nope\n", 1, "'nope' is neither a name in adapters/__init__.py nor a module beside it. Correct the import or add what it names."),
        (b"def f():\n  try: import adapters.nope\n  except ImportError: pass\n", 2, "No module 'adapters.nope' in the source: there is neither adapters/nope.py nor adapters/nope/. Correct the import or add the module."),
        (b"from .nope import x\n", 1, "No module 'nope' in the source: there is neither nope.py nor nope/. Correct the import or add the module."),
        (b"from molecule_runtime.nope import x\n", 1, "No module 'nope' in the source: there is neither nope.py nor nope/. Correct the import or add the module."),
        (b"from .. import x\n", 1, "This relative import leads out of the package."),
        (b"import importlib\nimportlib.import_module('adapters.nope')\n", 2, "No module 'adapters.nope' in the source: there is neither adapters/nope.py nor adapters/nope/. Correct the import or add the module."),
        (b"__import__('adapters.base')\n", 1, "__import__('adapters.base') cannot be moved into a package. Use importlib.import_module."),
        (b"x = (\n", 1, "Python cannot read this file: '(' was never closed."),
        (b"a = 1\nb = = 2\n", 2, "Python cannot read this file: invalid syntax."),
        (b"a = 1\n\0\n", 2, "Python cannot read this file: it holds a null byte."),
        (b"a = 1\nb = '\xff'\n", 2, "Byte 0xff is not utf-8. Save the file as UTF-8, or declare its encoding in line 1."),
        (b"b = '\xff'\n", 1, "Byte 0xff is not utf-8. Save the file as UTF-8, or declare its encoding in line 1."),
        (b"# coding: klingon\n", 1, "Python cannot read this file: unknown encoding: klingon. Save it as UTF-8."),
        (b"# coding: utf-7\nx = 'a+AOk-b~'\n", 1, "Encoding utf-7 cannot be written back byte for byte. Save the file as UTF-8."),
        (b"x = " + b"-" * 100_000 + b"1\n", 1, "Python cannot read this file: it is nested too deeply."),
    ],
)  # fmt: skip
def test_what_cannot_succeed_is_refused_with_path_line_and_cure(
    content: bytes, line: int, message: str
) -> None:
    with pytest.raises(Refused) as caught:
        subject(content)
    assert caught.value.complaints == (f"subject.py:{line}: {message}",)


def test_all_complaints_of_all_files_are_told_together() -> None:
    with pytest.raises(Refused) as caught:
        rewritten({"one.py": b"import adapters.nope\nimport config.x\n", "two.py": b"(\n"})
    assert [complaint.partition(" ")[0] for complaint in caught.value.complaints] == [
        "one.py:1:",
        "one.py:2:",
        "two.py:1:",
    ]
    assert caught.value.message.endswith("(and 2 more)")


@pytest.mark.parametrize(
    "init",
    [
        b"nope = 1\n",
        b"if x:\n  nope: int\n",
        b"try: from os import path as nope\nexcept E as nope: pass\n",
        b"def set():\n  global nope\n",
        b"for a, (nope, *b) in []: pass\n",
        b"with open(x) as nope: pass\n",
        b"match x:\n  case {'a': nope}: pass\n",
        b"def __getattr__(name): ...\n",
        b"from config import *\n",
        b"globals()['nope'] = 1\n",
        b"(nope := 1)\n",
        b"class nope: pass\n",
        b"import enum\n@enum.global_enum\nclass Flags(enum.Flag): nope = 1\n",
    ],
)
def test_a_name_that_a_package_may_have_is_not_refused(init: bytes) -> None:
    result = rewritten({"things/__init__.py": init, "subject.py": b"from things import nope\n"})
    assert result.files["subject.py"] == b"from molecule_runtime.things import nope\n"


def test_a_module_that_seems_to_lack_a_name_is_told_and_not_refused() -> None:
    result = rewritten({"subject.py": b"from config import VALUE, nope\n"})
    assert [str(finding) for finding in result.findings] == [
        "subject.py:1: config.py gives itself no name 'nope' that can be seen without running it."
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = 1\r\rb = (2,\r'config.VALUE')\r", 4),
        (b"@f(\n  'config.VALUE')\ndef g(): ...\n", 2),
        (b"class C:\n  def g(self, a=f'config.VALUE'): ...\n", 2),
        (b"match x:\n  case 1:\n    try: ...\n    except E: y = {'config.VALUE': 1}\n", 4),
        ("é = 'ü'\nwith f('config.VALUE'): pass\n".encode(), 2),
    ],
)
def test_a_string_that_reads_like_a_reference_is_told_with_its_line_wherever_it_stands(
    content: bytes, line: int
) -> None:
    result = rewritten({"subject.py": content})
    assert [str(finding) for finding in result.findings] == [
        f"subject.py:{line}: The string 'config.VALUE' reads like a reference into the source; it is left as it is."
    ]
    assert result.files["subject.py"] == content


def test_a_folder_without_init_is_a_package_and_its_modules_are_checked() -> None:
    assert rewritten({"spaces/inner.py": b"", "subject.py": b"from spaces import inner\n"}).files[
        "subject.py"
    ] == (b"from molecule_runtime.spaces import inner\n")
    with pytest.raises(Refused, match=r"subject.py:1: No module 'spaces.other' in the source"):
        rewritten({"spaces/inner.py": b"", "subject.py": b"from spaces import other\n"})


def test_a_module_of_the_folder_wins_over_a_standard_one_and_a_bare_folder_does_not() -> None:
    assert (
        rewritten({"json.py": b"", "subject.py": b"import json\n"}).files["subject.py"]
        == b"import molecule_runtime.json as json\n"
    )
    assert (
        rewritten({"json/data.py": b"", "subject.py": b"import json\n"}).files["subject.py"]
        == b"import json\n"
    )


def test_a_name_bound_by_something_else_too_makes_a_call_uncertain() -> None:
    content = b"import importlib\nimportlib = other()\nimportlib.import_module('config')\n"
    result = rewritten({"subject.py": content})
    assert result.files["subject.py"] == content
    assert len(result.findings) == 1


def test_an_init_that_gives_a_modules_name_to_something_else_is_refused() -> None:
    with pytest.raises(
        Refused, match=r"__init__.py:1: 'config' is bound here and is also the module config.py"
    ):
        rewritten({"__init__.py": b"from config import load as config\n"})
    assert rewritten({"__init__.py": b"import config\nfrom . import events\n"}).files["__init__.py"] == (
        b"import molecule_runtime.config as config\nfrom . import events\n"
    )


_HIDES = "Inside the package this import goes through rooms.deep, a name that rooms/__init__.py gives to something else than the module. Write from rooms.deep import leaf, or rename one."


def beside_rooms(init: bytes, statement: bytes) -> bytes:
    files = {"rooms/__init__.py": init, "rooms/deep/__init__.py": b"deep = 1\n", "rooms/deep/leaf.py": b""}
    return rewritten(files | {"subject.py": statement}).files["subject.py"]


@pytest.mark.parametrize(
    ("init", "line", "statement"),
    [
        (b"deep = 1\n", 1, b"import rooms.deep.leaf\n"),
        (b"from .deep import deep\n", 2, b"\nimport rooms.deep.leaf\n"),
        (b"def deep(): ...\n", 1, b"import os, rooms.deep.leaf\n"),
    ],
)
def test_a_dotted_import_through_a_name_that_is_no_module_is_refused(
    init: bytes, line: int, statement: bytes
) -> None:
    with pytest.raises(Refused) as caught:
        beside_rooms(init, statement)
    assert caught.value.complaints == (f"subject.py:{line}: {_HIDES}",)


@pytest.mark.parametrize(
    "init",
    [
        b"def f():\n  deep = 1\n",
        b"from . import deep\n",
        b"from rooms import deep\n",
        b"import rooms.deep as deep\n",
        b"try: from . import deep\nexcept E: deep = None\n",
    ],
)
def test_a_dotted_import_through_modules_alone_is_moved(init: bytes) -> None:
    assert beside_rooms(init, b"import rooms.deep.leaf\n") == (
        b"import molecule_runtime.rooms.deep.leaf as rooms, molecule_runtime.rooms as rooms\n"
    )


def test_other_forms_do_not_go_through_names() -> None:
    statements = b"from rooms.deep import leaf\nimport rooms.deep\nimport rooms.deep as x\n"
    assert beside_rooms(b"deep = 1\n", statements) == (
        b"from molecule_runtime.rooms.deep import leaf\n"
        b"import molecule_runtime.rooms.deep as rooms, molecule_runtime.rooms as rooms\n"
        b"import molecule_runtime.rooms.deep as x\n"
    )


def test_stubs_are_rewritten_too() -> None:
    files = SOURCE | {"config.pyi": b"from adapters.base import BaseAdapter\n"}
    result = rewrite(Collected(files, index_modules(files)), "molecule_runtime")
    assert result.files["config.pyi"] == b"from molecule_runtime.adapters.base import BaseAdapter\n"


def test_what_is_left_out_of_the_package_cannot_be_imported_by_what_ships() -> None:
    files = SOURCE | {"subject.py": b"def f():\n    from tests.fakes import Fake\nimport conftest\n"}
    collected = Collected(files, index_modules(files, ["tests/fakes.py", "conftest.py"]))
    with pytest.raises(Refused) as caught:
        rewrite(collected, "molecule_runtime")
    assert caught.value.complaints == (
        "subject.py:2: This imports 'tests', which is left out of the package. Move what is needed to a place that ships.",
        "subject.py:3: This imports 'conftest', which is left out of the package. Move what is needed to a place that ships.",
    )
