"""Which imports a wheel must declare a distribution for, and which it may do without."""

from pathlib import Path

import pytest

from builder.archive import Archive
from builder.stages.declared import third_party_imports, undeclared
from tests.parts.small_wheel import make_wheel

PROVIDERS = {
    "yaml": ["PyYAML"],
    "google.protobuf": ["protobuf"],
    "google.rpc": ["googleapis-common-protos"],
    "late": ["late"],
}


def told(tmp_path: Path, code: str, *requires: str) -> list[str]:
    archive = Archive.read(make_wheel(tmp_path, "1.0", files={"a.py": code}).path)
    imports = third_party_imports(archive, "molecule_runtime")
    return list(map(str, undeclared(imports, requires, PROVIDERS)))


@pytest.mark.parametrize(
    "code",
    [
        "import os.path, molecule_runtime.main\nfrom . import main\nfrom __future__ import annotations\n",
        "import yaml\n",
        "from google import protobuf\n",
        "import google.protobuf as p\n",
    ],
)
def test_what_is_declared_or_needs_no_declaration_is_fine(tmp_path: Path, code: str) -> None:
    assert told(tmp_path, code, "pyyaml>=6", "Protobuf") == []


def test_a_distribution_of_an_extra_counts_as_declared_by_its_name(tmp_path: Path) -> None:
    assert told(tmp_path, "import my_tool.x\n", "my-tool>=1; extra == 'tool'") == []


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("import os\n\nimport yaml\n", "molecule_runtime/a.py:3: 'yaml' is imported and comes with pyyaml, which the wheel does not declare. [UndeclaredImport]"),
        ("from google import rpc\n", "molecule_runtime/a.py:1: 'google' is imported and comes with googleapis-common-protos, which the wheel does not declare. [UndeclaredImport]"),
        ("def f():\n    class A:\n        from nowhere.x import y, z\n", "molecule_runtime/a.py:3: 'nowhere.x' is imported, and nothing that the wheel's dependencies install provides it. [UndeclaredImport]"),
        ("try:\n    pass\nexcept ValueError:\n    import late\n", "molecule_runtime/a.py:4: 'late' is imported and comes with late, which the wheel does not declare. [UndeclaredImport]"),
        ("try:\n    import os\nexcept ImportError:\n    pass\nelse:\n    import late\n", "molecule_runtime/a.py:6: 'late' is imported and comes with late, which the wheel does not declare. [UndeclaredImport]"),
        ("if not TYPE_CHECKING:\n    import late\n", "molecule_runtime/a.py:2: 'late' is imported and comes with late, which the wheel does not declare. [UndeclaredImport]"),
        ("import typing as t\nif t.TYPE_CHECKING:\n    import os\nelse:\n    import late\n", "molecule_runtime/a.py:5: 'late' is imported and comes with late, which the wheel does not declare. [UndeclaredImport]"),
        ("if DEBUG:\n    import late\n", "molecule_runtime/a.py:2: 'late' is imported and comes with late, which the wheel does not declare. [UndeclaredImport]"),
    ],
)  # fmt: skip
def test_what_nobody_declared_is_told_at_every_depth(tmp_path: Path, code: str, finding: str) -> None:
    assert told(tmp_path, code) == [finding]


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    import late\nexcept ImportError:\n    late = None\n",
        "try:\n    import os\nexcept (KeyError, ModuleNotFoundError):\n    import late\n",
        "def f():\n    try:\n        if 1:\n            import late\n    except Exception: ...\n",
        "try:\n    import late\nexcept:\n    pass\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from late import X\n",
        "import typing as t\nif t.TYPE_CHECKING:\n    import late\n",
        "if not TYPE_CHECKING:\n    import os\nelse:\n    import late\n",
        "import sys\nif sys.version_info < (3, 11):\n    import late\n",
        "import os\nif os.name == 'nt':\n    import late\n",
    ],
)
def test_what_the_package_goes_on_without_is_a_note(tmp_path: Path, code: str) -> None:
    [note] = told(tmp_path, code)
    assert note.endswith(
        ": note: 'late' is imported where it is there, and no declared distribution provides it. [OptionalImport]"
    )
