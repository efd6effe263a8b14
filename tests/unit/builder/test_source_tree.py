"""Which files count as source, and what their common hash depends on."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.contract import tree_sha256
from builder.problems import Refused
from builder.tree import read_tree


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "lib").mkdir(parents=True)
    (folder / "main.py").write_text("def main_sync(): ...\n")
    (folder / "lib" / "needed.py").write_text("")
    return folder


def shipped(source: Path) -> list[str]:
    return [file.path for file in read_tree(source).shipped]


def put(source: Path, *paths: str) -> None:
    for path in paths:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text("x = 1\n")


def test_everything_ships_but_the_declared_exclusions(source: Path) -> None:
    put(
        source,
        "Dockerfile",
        "run.sh",
        "pytest.ini",
        "requirements.txt",
        "conftest.py",
        "tests/test_a.py",
        "tests/deep/b.py",
    )
    put(
        source,
        ".env",
        ".github/x.yml",
        "lib/.hidden",
        "__pycache__/a.pyc",
        "lib/__pycache__/b.pyc",
        "lib/old.pyc",
    )
    put(source, "py.typed", "prompts/system.md", "lib/data.bin")
    assert shipped(source) == ["lib/data.bin", "lib/needed.py", "main.py", "prompts/system.md", "py.typed"]


def test_exclusion_is_by_path_so_that_the_same_name_deeper_ships(source: Path) -> None:
    deeper = [
        "lib/Dockerfile",
        "lib/conftest.py",
        "lib/pytest.ini",
        "lib/requirements.txt",
        "lib/run.sh",
        "lib/tests/t.py",
    ]
    put(source, *deeper)
    assert shipped(source) == sorted([*deeper, "lib/needed.py", "main.py"])


@pytest.mark.parametrize(
    "change",
    [
        lambda source: put(source, "new.py"),
        lambda source: put(source, "requirements.txt"),
        lambda source: (source / "main.py").write_text("changed"),
        lambda source: (source / "main.py").chmod(0o755),
        lambda source: (source / "main.py").rename(source / "other.py"),
    ],
    ids=["new", "requirements", "bytes", "mode", "name"],
)
def test_the_hash_changes_with_all_that_the_package_is_made_of(
    source: Path, change: Callable[[Path], object]
) -> None:
    before = tree_sha256(source)
    change(source)
    assert tree_sha256(source) != before


def test_the_hash_stays_when_only_what_never_ships_changes(source: Path) -> None:
    put(source, "tests/test_a.py", ".env")
    before = tree_sha256(source)
    put(source, "tests/test_b.py", "run.sh", "lib/__pycache__/x.pyc")
    (source / "main.py").chmod(0o600)
    os.utime(source / "main.py", (1, 1))
    assert tree_sha256(source) == before


def test_links_inside_the_source_are_followed(source: Path) -> None:
    (source / "alias.py").symlink_to("main.py")
    (source / "vendored").symlink_to("lib")
    assert shipped(source) == ["alias.py", "lib/needed.py", "main.py", "vendored/needed.py"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "../outside.py",
            "link: The link leaves the source folder (../outside.py). Put the file itself here.",
        ),
        ("nowhere", "link: The link leads nowhere (nowhere). Remove or repair it."),
        ("link", "link: The link leads to itself. Remove or repair it."),
        (".", "link: The link leads back to a folder on the way to it, in a loop. Remove it."),
    ],
)
def test_links_that_leave_or_loop_are_refused(source: Path, target: str, message: str) -> None:
    (source.parent / "outside.py").write_text("")
    (source / "link").symlink_to(target)
    with pytest.raises(Refused) as caught:
        read_tree(source)
    assert caught.value.complaints == (message,)


def test_two_links_that_loop_through_each_other_are_refused(source: Path) -> None:
    (source / "a").mkdir()
    (source / "b").mkdir()
    (source / "a" / "to_b").symlink_to("../b")
    (source / "b" / "to_a").symlink_to("../a")
    with pytest.raises(Refused) as caught:
        read_tree(source)
    assert [complaint.partition(":")[0] for complaint in caught.value.complaints] == [
        "a/to_b/to_a",
        "b/to_a/to_b",
    ]


def test_links_among_what_does_not_ship_are_nobodys_concern(source: Path) -> None:
    (source / "tests").mkdir()
    (source / "tests" / "link").symlink_to("/etc")
    assert shipped(source) == ["lib/needed.py", "main.py"]


def test_what_is_no_file_is_refused(source: Path) -> None:
    os.mkfifo(source / "pipe")
    with pytest.raises(Refused) as caught:
        read_tree(source)
    assert (
        caught.value.message
        == "pipe: This is neither a file nor a folder; a package cannot hold it. Remove it."
    )


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        tree_sha256(tmp_path / "nope")
    assert (
        caught.value.message
        == f"{tmp_path}/nope: there is no such folder. Name the folder that holds the source."
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"new\nline.py", "new\\nline.py"),
        (b"latin-\xe9.py", "latin-\\udce9.py"),
        (b"bell\x07.txt", "bell\\x07.txt"),
    ],
)
def test_a_name_that_no_package_can_hold_is_refused(source: Path, name: bytes, shown: str) -> None:
    (source / os.fsdecode(name)).write_text("")
    with pytest.raises(Refused) as caught:
        read_tree(source)
    assert caught.value.complaints == (
        f"{shown}: The name has characters that no package can hold. Rename the file.",
    )


def test_a_file_that_is_gone_when_it_is_read_is_refused(source: Path) -> None:
    tree = read_tree(source)
    (source / "main.py").unlink()
    (source / "lib" / "needed.py").unlink()
    (source / "lib" / "needed.py").mkdir()
    with pytest.raises(Refused) as caught:
        tree.read()
    assert (caught.value.reason, caught.value.complaints) == (
        "NotReadable",
        (
            "lib/needed.py: This file cannot be read: Is a directory.",
            "main.py: This file cannot be read: No such file or directory.",
        ),
    )


def test_links_that_go_round_in_a_chain_are_refused(source: Path) -> None:
    (source / "one").symlink_to("two")
    (source / "two").symlink_to("one")
    with pytest.raises(Refused) as caught:
        read_tree(source)
    assert caught.value.complaints == (
        "one: The link leads to itself. Remove or repair it.",
        "two: The link leads to itself. Remove or repair it.",
    )


def test_an_absolute_link_out_of_the_source_is_refused(source: Path) -> None:
    (source / "lib" / "secret.txt").symlink_to("/etc/hostname")
    with pytest.raises(Refused) as caught:
        read_tree(source)
    assert caught.value.complaints == (
        "lib/secret.txt: The link leaves the source folder (/etc/hostname). Put the file itself here.",
    )
