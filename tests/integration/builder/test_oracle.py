"""A rewriter of another make, upon LibCST, moves the imports of any source to the same bytes as ours."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import libcst as cst
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from builder.stages._modules import index_modules
from builder.stages.collect import Collected
from builder.stages.rewrite import rewrite
from builder.tree import read_tree
from tests.integration.builder.generated_programs import Program, programs
from tests.parts.ground import REPOSITORY

PACKAGE = "molecule_runtime"
PAIRS = REPOSITORY / "tests" / "golden" / "rewrites"

# What LibCST 1.9 does not write back as it read it: blank lines at the end that hold spaces, and the last line end where
# lines end in a lone CR. There, and nowhere else, our bytes go through its printer before they are compared.
_LOST_BY_LIBCST: Final = re.compile(rb"(?:\A|[\r\n])[ \t\f\r\n]*[ \t\f][ \t\f\r\n]*\Z|\r\Z")


class Mover(cst.CSTTransformer):
    """Moves imports of the modules named into the package; every other node stays as it is."""

    def __init__(self, first_party: frozenset[str]) -> None:
        super().__init__()
        self._first_party = first_party

    def leave_ImportFrom(  # noqa: N802 -- LibCST finds it by this name
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom:
        named = original_node.module
        if original_node.relative or named is None or _head(named).value not in self._first_party:
            return updated_node
        return updated_node.with_changes(module=_inside(named))

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:  # noqa: N802 -- as above
        moved = [each for alias in original_node.names for each in self._moved(alias)]
        return updated_node.with_changes(names=moved)

    def _moved(self, alias: cst.ImportAlias) -> list[cst.ImportAlias]:
        head = _head(alias.name)
        if head.value not in self._first_party:
            return [alias]
        moved = alias.with_changes(name=_inside(alias.name))
        if alias.asname:
            return [moved]
        bound = moved.with_changes(asname=cst.AsName(cst.Name(head.value)))
        if isinstance(alias.name, cst.Name):
            return [bound]
        first = bound.with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")))
        return [first, bound.with_changes(name=_inside(cst.Name(head.value)))]


def _head(name: cst.Attribute | cst.Name) -> cst.Name:
    while isinstance(name, cst.Attribute):
        assert isinstance(name.value, cst.Attribute | cst.Name)
        name = name.value
    return name


def _inside(name: cst.Attribute | cst.Name) -> cst.Attribute:
    if isinstance(name, cst.Name):
        return cst.Attribute(cst.Name(PACKAGE), name)
    assert isinstance(name.value, cst.Attribute | cst.Name)
    return name.with_changes(value=_inside(name.value))


def first_party(paths: list[str]) -> frozenset[str]:
    """Say which names a folder on sys.path gives: its modules, and its folders that hold any, at any depth."""
    files = {path.removesuffix(".py") for path in paths if path.endswith(".py") and "/" not in path}
    folders = {path.partition("/")[0] for path in paths if path.endswith(".py") and "/" in path}
    with_init = {folder for folder in folders if f"{folder}/__init__.py" in paths}
    return frozenset(files | with_init | (folders - sys.stdlib_module_names)) - {"__init__"}


def check(files: Mapping[str, bytes]) -> None:
    ours = rewrite(Collected(files, index_modules(files)), PACKAGE).files
    mover = Mover(first_party(list(files)))
    for path, raw in files.items():
        if not path.endswith(".py"):
            continue
        module = cst.parse_module(raw)
        expected = module.visit(mover).bytes
        if module.bytes == raw:
            assert ours[path] == expected, path
        else:
            assert _LOST_BY_LIBCST.search(raw), f"LibCST lost something else of {path}: {raw!r}"
            assert cst.parse_module(ours[path]).bytes == expected, path


GOLDEN = {
    path.relative_to(PAIRS / "source").as_posix(): path.read_bytes()
    for path in (PAIRS / "source").rglob("*.py")
}


@pytest.mark.parametrize(
    "before",
    # what a string means is for the pairs to say: no rule of imports reaches there
    [path for path in sorted(PAIRS.glob("*.before.py")) if path.name != "strings.before.py"],
    ids=lambda path: path.name.partition(".")[0],
)
def test_both_move_the_golden_inputs_alike(before: Path) -> None:
    check({**GOLDEN, "subject.py": before.read_bytes()})


def test_both_move_the_runtime_of_this_project_alike() -> None:
    tree = read_tree(REPOSITORY / "workspace")
    contents = tree.read()
    shipped = {file.path: contents[file.path] for file in tree.shipped}
    assert len(shipped) > 20
    check(shipped)


@st.composite
def _sources(draw: st.DrawFn) -> Mapping[str, bytes]:
    """A program's files with line ends and last lines of all kinds."""
    program: Program = draw(programs(strings=False))
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    tail = draw(
        st.sampled_from(
            [b"", b"\n", b"  \n", b"\n\t\n \n", b"# end", b"\x0c\n", b"import config", b"import config ; "]
        )
    )
    return {
        path: (content.replace(b"\r\n", b"\n") + (tail if path.endswith("main.py") else b"")).replace(
            b"\n", end
        )
        for path, content in program.files.items()
    }


_SETTINGS = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
    database=None,
)


@settings(_SETTINGS, max_examples=15)
@given(_sources())
def test_both_move_generated_programs_alike(files: Mapping[str, bytes]) -> None:
    check(files)


@pytest.mark.long
@settings(_SETTINGS, max_examples=600)
@given(_sources())
def test_both_move_many_generated_programs_alike(files: Mapping[str, bytes]) -> None:
    check(files)
