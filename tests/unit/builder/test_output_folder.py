"""The output folder: the tool's own earlier output is replaced, anybody else's stays and stops the build."""

import contextlib
import stat
from pathlib import Path

import pytest

from builder.problems import Refused
from builder.stages._folder import MARKER, fill_folder

FIRST = {"a/one.py": (b"1", 0o644), "a/b/two.py": (b"2", 0o755), "top.txt": (b"t", 0o644)}
SECOND = {"a/one.py": (b"changed", 0o644), "c.txt": (b"c", 0o644)}


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER
    }


def test_earlier_output_is_replaced_with_nothing_left_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    fill_folder(folder, FIRST)
    assert content(folder) == {path: data for path, (data, _) in FIRST.items()}
    fill_folder(folder, SECOND)
    assert content(folder) == {path: data for path, (data, _) in SECOND.items()}
    assert not (folder / "a" / "b").exists()


def test_modes_do_not_depend_on_the_users_mask(tmp_path: Path) -> None:
    fill_folder(tmp_path, FIRST)
    modes = {path: stat.S_IMODE((tmp_path / path).stat().st_mode) for path in FIRST}
    assert modes == {path: mode for path, (_, mode) in FIRST.items()}


@pytest.mark.parametrize("path", ["notes.txt", "a/extra.py", "dist/x.whl", ".env"])
def test_a_foreign_file_is_kept_and_stops_the_build(tmp_path: Path, path: str) -> None:
    fill_folder(tmp_path, FIRST)
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("mine")
    before = content(tmp_path)
    with pytest.raises(Refused) as caught:
        fill_folder(tmp_path, SECOND)
    assert caught.value.message == (
        f"{tmp_path}: {path} is not this tool's own output. Move it away, or choose another folder."
    )
    assert content(tmp_path) == before


def test_output_that_somebody_edited_is_kept_and_stops_the_build(tmp_path: Path) -> None:
    fill_folder(tmp_path, FIRST)
    (tmp_path / "top.txt").write_text("edited")
    with pytest.raises(Refused) as caught:
        fill_folder(tmp_path, SECOND)
    assert caught.value.message == (
        f"{tmp_path}: top.txt was changed after it was built. Move it away, or choose another folder."
    )
    assert (tmp_path / "top.txt").read_text() == "edited"


def test_a_link_in_place_of_own_output_is_foreign(tmp_path: Path) -> None:
    fill_folder(tmp_path / "out", FIRST)
    (tmp_path / "same").write_bytes(b"t")
    (tmp_path / "out" / "top.txt").unlink()
    (tmp_path / "out" / "top.txt").symlink_to(tmp_path / "same")
    with pytest.raises(Refused, match=r"top\.txt was changed after it was built"):
        fill_folder(tmp_path / "out", SECOND)
    assert (tmp_path / "same").read_bytes() == b"t"


def test_a_folder_with_a_broken_marker_holds_nothing_of_ours(tmp_path: Path) -> None:
    fill_folder(tmp_path, FIRST)
    (tmp_path / MARKER).write_text("{}")
    with pytest.raises(Refused, match="is not this tool's own output"):
        fill_folder(tmp_path, FIRST)


def test_byte_code_that_python_left_beside_modules_stops_nothing(tmp_path: Path) -> None:
    fill_folder(tmp_path, FIRST)
    (tmp_path / "a" / "b" / "__pycache__").mkdir()
    (tmp_path / "a" / "b" / "__pycache__" / "two.cpython-311.pyc").write_bytes(b"")
    fill_folder(tmp_path, SECOND)
    assert not (tmp_path / "a" / "b").exists()


def test_an_empty_folder_of_somebody_else_stays(tmp_path: Path) -> None:
    fill_folder(tmp_path, FIRST)
    (tmp_path / "mine").mkdir()
    fill_folder(tmp_path, SECOND)
    assert (tmp_path / "mine").is_dir()


@pytest.mark.parametrize("written", range(5))
def test_a_run_that_was_cut_off_anywhere_is_repaired_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    fill_folder(tmp_path, FIRST)
    left = [written]
    whole = Path.write_bytes

    def cut(path: Path, data: bytes) -> int:
        if left[0] == 0:
            whole(path, data[: len(data) // 2])
            raise KeyboardInterrupt
        left[0] -= 1
        return whole(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", cut)
        with contextlib.suppress(KeyboardInterrupt):
            fill_folder(tmp_path, SECOND)
    fill_folder(tmp_path, SECOND)
    assert content(tmp_path) == {path: data for path, (data, _) in SECOND.items()}


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(Refused, match=r"this is a file\. Name a folder for the build tree"):
        fill_folder(tmp_path / "out", FIRST)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused) as caught:
        fill_folder(tmp_path / "file" / "out", FIRST)
    assert (caught.value.reason, caught.value.message) == (
        "NotWritable",
        f"{tmp_path}/file/out: cannot be written (Not a directory). Choose another folder.",
    )
