"""A process has a writer's name to itself for as long as it lives, and the next one has it again."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from controller.standalone.writer import WriterName

HOLDS = """
import sys
from pathlib import Path
from controller.standalone.writer import WriterName
name = WriterName(Path(sys.argv[1]))
print(name(), flush=True)
sys.stdin.read()
"""


def taken(folder: Path) -> str:
    with closing(WriterName(folder)) as name:
        return name()


def test_it_is_the_same_every_time_and_nothing_is_written_before_it_is_asked_for(tmp_path: Path) -> None:
    name = WriterName(tmp_path / "state")
    assert not (tmp_path / "state").exists()
    first = name()
    assert name() == first
    name.close()
    assert [taken(tmp_path / "state") for _ in range(3)] == [first] * 3
    assert len(first) == 8
    assert first.isalnum()


def test_two_at_once_have_two_and_the_next_ones_have_the_same_two(tmp_path: Path) -> None:
    for _ in range(2):
        with closing(WriterName(tmp_path)) as one, closing(WriterName(tmp_path)) as two:
            names = {one(), two()}
        assert len(names) == 2
        assert taken(tmp_path) in names
    assert len(list(tmp_path.iterdir())) == 2


def test_whoever_is_killed_gives_it_back(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        theirs = holder.stdout.readline().strip()
        assert taken(tmp_path) != theirs
        os.kill(holder.pid, signal.SIGKILL)
    assert taken(tmp_path) == theirs


def test_a_copy_of_the_folder_is_another_writer(tmp_path: Path) -> None:
    first = taken(tmp_path / "state")
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    assert taken(tmp_path / "copy") != first


def test_a_folder_that_cannot_be_written_makes_a_writer_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    names = {taken(tmp_path / "file" / "state") for _ in range(2)}
    assert len(names) == 2
