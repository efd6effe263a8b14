"""What counts as public, and what is told when it is gone from one release to the next."""

import json
from pathlib import Path

import pytest

from builder.contract import Outcome, VerifyRun
from builder.problems import Refused
from builder.stages.public_names import PublicName, public_names
from builder.verbs.verify import verify
from tests.parts.small_wheel import make_dependency, make_wheel

MODULE = """\
import os
from molecule_runtime.main import main_sync
from molecule_runtime.base import Base as _Base

LIMIT: int = 1
one, _two = [each for each in (1, 2)]
if LIMIT:
    def run(): inner = 1
class Adapter(_Base):
    name = "a"
    size: int
    _hidden = 1
    def execute(self): ...
    class Kind: ...
"""
BASE = "class Base:\n    def close(self): ...\n"


def names(files: dict[str, str]) -> set[str]:
    return set(public_names({path: text.encode() for path, text in files.items()}, "m"))


def test_public_is_what_has_no_underscore_and_is_defined_here() -> None:
    package = {path: text.encode() for path, text in {"a.py": MODULE, "base.py": BASE}.items()}
    assert public_names(package, "molecule_runtime") == {
        "molecule_runtime.a": PublicName("molecule_runtime/a.py", 0),
        "molecule_runtime.a.LIMIT": PublicName("molecule_runtime/a.py", 5),
        "molecule_runtime.a.one": PublicName("molecule_runtime/a.py", 6),
        "molecule_runtime.a.run": PublicName("molecule_runtime/a.py", 8),
        "molecule_runtime.a.Adapter": PublicName("molecule_runtime/a.py", 9),
        "molecule_runtime.a.Adapter.name": PublicName("molecule_runtime/a.py", 10),
        "molecule_runtime.a.Adapter.size": PublicName("molecule_runtime/a.py", 11),
        "molecule_runtime.a.Adapter.execute": PublicName("molecule_runtime/a.py", 13),
        "molecule_runtime.a.Adapter.Kind": PublicName("molecule_runtime/a.py", 14),
        "molecule_runtime.a.Adapter.close": PublicName("molecule_runtime/base.py", 2),
        "molecule_runtime.base": PublicName("molecule_runtime/base.py", 0),
        "molecule_runtime.base.Base": PublicName("molecule_runtime/base.py", 1),
        "molecule_runtime.base.Base.close": PublicName("molecule_runtime/base.py", 2),
    }


@pytest.mark.parametrize(
    ("files", "public"),
    [
        ({"a.py": "__all__ = ['_x', 'y']\n_x = y = z = 1\n"}, {"m.a", "m.a._x", "m.a.y"}),
        (
            {"a.py": "__all__: list[str] = ['_x']\n__all__ += ('y',)\n_x = y = z = 1\n"},
            {"m.a", "m.a._x", "m.a.y"},
        ),
        ({"a.py": "__all__ = ['_x']\n__all__ += more()\n_x = y = 1\n"}, {"m.a", "m.a.y"}),
        ({"__init__.py": "from m.a import run\nfrom .a import go\nimport os\n"}, {"m", "m.run", "m.go"}),
        ({"_a.py": "x = 1", "_b/c.py": "x = 1", "d/__init__.py": "", "e/f g.py": "x = 1"}, {"m.d"}),
        ({"a.py": "x = = 1"}, {"m.a"}),
        ({"a.py": "class A(A): x = 1\n"}, {"m.a", "m.a.A", "m.a.A.x"}),
        ({"data/x.txt": "x = 1"}, set()),
    ],
)
def test_where_a_line_is_drawn(files: dict[str, str], public: set[str]) -> None:
    assert names(files) == public


BEFORE = {"a.py": "def run(): ...\ndef go(): ...\nclass A:\n    x = 1\n    y = 2\n", "tools/b.py": "z = 1\n"}
AFTER = {"a.py": "def run(): ...\nclass A:\n    x = 1\n"}


def compared(tmp_path: Path, after: dict[str, str], *removed: str) -> tuple[Outcome, list[str], list[str]]:
    before = make_wheel(tmp_path / "before", "0.9", files=BEFORE).path
    wheel = make_wheel(tmp_path / "after", "1.0", files=after).path
    file = tmp_path / "findings"
    report = verify(
        VerifyRun(wheel=wheel, static=True, previous=before, removed=removed, findings=file, format="json")
    )
    findings = json.loads(file.read_text())["findings"]
    told = [f"{each['path']}:{each['line']}: {each['message']} [{each['rule']}]" for each in findings]
    assert report.facts["previous"] == "0.9"
    return report.outcome, told, [each["cure"] for each in findings]


def test_what_is_gone_is_told_where_it_stood_and_only_the_outermost_of_it(tmp_path: Path) -> None:
    outcome, told, cures = compared(tmp_path, AFTER)
    assert outcome is Outcome.REFUSED
    assert told == [
        "molecule_runtime/a.py:2: molecule_runtime.a.go was public here in 0.9, and is gone. [PublicNameRemoved]",
        "molecule_runtime/a.py:5: molecule_runtime.a.A.y was public here in 0.9, and is gone. [PublicNameRemoved]",
        "molecule_runtime/tools/b.py:0: molecule_runtime.tools.b was public here in 0.9, and is gone. [PublicNameRemoved]",
    ]
    assert cures[0] == "Bring it back, or verify with --removed molecule_runtime.a.go if that is meant."


def test_a_named_removal_with_all_below_it_passes(tmp_path: Path) -> None:
    removed = ("molecule_runtime.a.go", "molecule_runtime.a.A.y", "molecule_runtime.tools")
    assert compared(tmp_path, AFTER, *removed) == (Outcome.DONE, [], [])


@pytest.mark.parametrize(
    "name", ["molecule_runtime.a.run", "molecule_runtime.a.g", "molecule_runtime.tools.b.z.q"]
)
def test_a_named_removal_of_what_is_not_gone_is_wrong_use(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused) as caught:
        compared(tmp_path, AFTER, "molecule_runtime.a.go", name)
    assert (caught.value.reason, caught.value.message) == (
        "NothingRemoved",
        f"--removed {name}: nothing of this name was public in 0.9 and is gone. Leave it out, or correct it.",
    )


def test_a_name_that_moved_to_a_base_class_or_is_imported_into_all_is_still_there(tmp_path: Path) -> None:
    after = {
        **BEFORE,
        "base.py": "class Base:\n    y = 2\n\ndef go(): ...\n",
        "a.py": "from molecule_runtime.base import Base, go\n__all__ = ['A', 'go', 'run']\n"
        "def run(): ...\nclass A(Base):\n    x = 1\n",
    }
    assert compared(tmp_path, after) == (Outcome.DONE, [], [])


def test_the_release_before_must_be_a_wheel_of_the_same_package(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0").path
    (broken := tmp_path / "broken-0.9-py3-none-any.whl").write_bytes(b"")
    for before, message in (
        (make_dependency(tmp_path, "other", "0.9"), "other-0.9-py3-none-any.whl is no release of molecule-ai-workspace-runtime. Give the release before."),
        (broken, f"{broken.name}: This cannot be read as an archive: File is not a zip file."),
    ):  # fmt: skip
        with pytest.raises(Refused) as caught:
            verify(VerifyRun(wheel=wheel, static=True, previous=before))
        assert caught.value.message == message
