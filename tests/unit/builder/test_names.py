"""Names that no import could use inside the package, or that would mean something else."""

import pytest

from builder.problems import Refused
from builder.stages._modules import index_modules
from builder.stages.collect import Collected, check_names


def complaints(*paths: str) -> tuple[str, ...]:
    try:
        check_names(Collected(dict.fromkeys(paths, b""), index_modules(paths)), "molecule_runtime")
    except Refused as refusal:
        return refusal.complaints
    return ()


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("my-tool.py", "my-tool.py:1: No import can name 'my-tool': it is no identifier, or a keyword. Rename the file."),
        ("adapters/class.py", "adapters/class.py:1: No import can name 'class': it is no identifier, or a keyword. Rename the file."),
        ("2fa/__init__.py", "2fa/__init__.py:1: No import can name '2fa': it is no identifier, or a keyword. Rename the folder."),
        ("molecule_runtime.py", "molecule_runtime.py: The name 'molecule_runtime' is the package's own. Rename it."),
        ("time.py", "time.py: Python's own 'time' comes before this in every import, so nothing reaches it. Rename it."),
        ("os/__init__.py", "os/__init__.py: Python's own 'os' comes before this in every import, so nothing reaches it. Rename it."),
        ("fast.cpython-311.so", "fast.cpython-311.so: Compiled code cannot ship in a package that is pure Python. Make it a dependency."),
    ],
)  # fmt: skip
def test_a_name_that_cannot_work_is_refused(path: str, complaint: str) -> None:
    assert complaints(path) == (complaint,)


def test_python_below_a_folder_of_data_needs_no_module_name() -> None:
    assert (
        complaints(
            "skills/web-search/run-me.py", "skills/web-search/SKILL.md", "adapters/os.py", "données.py"
        )
        == ()
    )


def test_the_index_follows_pythons_own_order() -> None:
    index = index_modules(["a.py", "a/__init__.py", "b.py", "b/c.py", "d/e/f.py", "x-y/z.py"])
    kinds = {name: (module.kind.name, module.path) for name, module in index.modules.items()}
    assert kinds == {
        "": ("PACKAGE", "__init__.py"),
        "a": ("PACKAGE", "a/__init__.py"),
        "b": ("MODULE", "b.py"),
        "b.c": ("MODULE", "b/c.py"),
        "d": ("NAMESPACE", "d/"),
        "d.e": ("NAMESPACE", "d/e/"),
        "d.e.f": ("MODULE", "d/e/f.py"),
    }
