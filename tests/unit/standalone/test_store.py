"""The state of an object on one machine: whole after every crash, one writer, and nothing lost but progress."""

import asyncio
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.api.status import HistoryEntry, Status
from controller.model.errors import Terminal
from controller.standalone.store import FileStore, object_folder, read_document, saved_status, sole_runner

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
STATUS = Status(
    observed_generation=1,
    resolved_version="0.1.0",
    history=(HistoryEntry(version="0.1.0", verdict="InProgress", started_time=NOON),),
)
DOCUMENT = """\
apiVersion: runtime.molecule.ai/v1alpha1
kind: WorkspaceRuntime
metadata: {name: molecule-runtime, namespace: molecule}
spec:
  version: "0.1.0"
  source: {directory: workspace}
  package: {index: {uploadURL: http://index/, simpleURL: http://index/simple/}}
  registry: {mode: Engine, artifacts: records}
  templates: [{name: echo, image: ws/echo, build: {directory: echo}}]
  targets: {dockerHosts: [{name: local, endpoint: unix:///var/run/docker.sock}]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "runtime.yaml"
    path.write_text(DOCUMENT)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def generation(store: FileStore) -> int:
    return asyncio.run(store.read()).generation


def status(store: FileStore) -> Status:
    return asyncio.run(store.read()).status


def write(store: FileStore, what: Status = STATUS) -> None:
    asyncio.run(store.read())
    asyncio.run(store.write(what))


# --- what is kept


def test_an_object_begins_at_generation_one_with_an_empty_status(file: Path, folder: Path) -> None:
    store = FileStore(file, folder)
    assert (generation(store), status(store)) == (1, Status())


def test_the_generation_grows_when_the_spec_changes_and_only_then(file: Path, folder: Path) -> None:
    store = FileStore(file, folder)
    assert [generation(store), generation(store)] == [1, 1]
    file.write_text("# a comment\n" + DOCUMENT.replace("namespace: molecule", "namespace: other"))
    assert generation(store) == 1
    file.write_text(DOCUMENT.replace("0.1.0", "0.1.1"))
    assert [generation(store), generation(store)] == [2, 2]
    file.write_text(DOCUMENT)
    assert generation(store) == 3


def test_the_next_process_goes_on_with_generation_and_status(file: Path, folder: Path) -> None:
    write(FileStore(file, folder))
    file.write_text(DOCUMENT.replace("0.1.0", "0.1.1"))
    write(FileStore(file, folder))
    later = FileStore(file, folder)
    assert (generation(later), status(later)) == (2, STATUS)


def test_verbs_that_only_look_see_the_status_last_written(file: Path, folder: Path) -> None:
    assert saved_status(folder) is None
    write(FileStore(file, folder))
    assert saved_status(folder) == STATUS


def test_each_object_has_a_folder_of_its_own(file: Path, tmp_path: Path) -> None:
    document = read_document(file)
    assert object_folder(tmp_path, document) == tmp_path / "objects" / "molecule.molecule-runtime"


# --- what is lost


def test_a_lost_state_folder_costs_history_and_nothing_else(file: Path, folder: Path) -> None:
    write(FileStore(file, folder))
    (folder / "status.json").unlink()
    fresh = FileStore(file, folder)
    assert (generation(fresh), status(fresh)) == (1, Status())


@pytest.mark.parametrize("content", [b"", b"{", b'{"generation": "many"}', b"\xff\xfe", b"[]"])
def test_a_state_file_that_cannot_be_read_is_kept_aside(file: Path, folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "status.json").write_bytes(content)
    store = FileStore(file, folder)
    assert saved_status(folder) is None
    assert (generation(store), status(store)) == (1, Status())
    assert (folder / "status.unreadable").read_bytes() == content
    write(store)
    assert status(FileStore(file, folder)) == STATUS


def test_state_of_another_release_is_read_as_far_as_it_is_known(file: Path, folder: Path) -> None:
    write(FileStore(file, folder))
    path = folder / "status.json"
    content = json.loads(path.read_text())
    content["wave"] = {"later": "release"}
    content["status"]["approvals"] = 3
    path.write_text(json.dumps(content))
    assert status(FileStore(file, folder)) == STATUS


def test_a_state_file_that_is_no_file_says_so(file: Path, folder: Path) -> None:
    (folder / "status.json").mkdir(parents=True)
    with pytest.raises(Terminal) as caught:
        generation(FileStore(file, folder))
    assert str(caught.value) == (
        f"{folder}/status.json cannot be read: Is a directory. Make it a readable file, or remove it: only progress"
        " and history are lost."
    )


# --- writing

CRASH_BETWEEN = """
import os, sys
from pathlib import Path
from controller.standalone.files import write_atomically
Path.replace = lambda self, target: os._exit(9)
write_atomically(Path(sys.argv[1]), "the new content, which is rather longer than the old one")
"""


def test_a_crash_between_writing_and_renaming_leaves_the_old_file_whole(file: Path, folder: Path) -> None:
    write(FileStore(file, folder))
    path = folder / "status.json"
    before = path.read_bytes()
    ended = subprocess.run([sys.executable, "-c", CRASH_BETWEEN, path], check=False)
    assert ended.returncode == 9
    assert len(list(folder.iterdir())) == 2
    assert path.read_bytes() == before
    write(FileStore(file, folder), STATUS.model_copy(update={"resolved_version": "0.1.1"}))
    assert [entry.name for entry in folder.iterdir()] == ["status.json"]


def test_a_full_disk_is_told_with_the_cure_and_leaves_the_old_file(
    file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(file, folder)
    write(store)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Terminal) as caught:
        write(store, Status())
    assert str(caught.value) == (
        f"{folder}/status.json cannot be written: No space left on device. Free space there, or name another folder"
        " with --state DIR."
    )
    assert [entry.name for entry in folder.iterdir()] == ["status.json"]
    assert status(store) == STATUS
    assert status(FileStore(file, folder)) == STATUS


# --- the document


def test_a_document_that_is_not_there_is_told_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(Terminal) as caught:
        read_document(tmp_path / "none.yaml")
    assert (
        str(caught.value) == f"{tmp_path}/none.yaml: there is no such file. Name the document with -f FILE."
    )


def test_a_document_that_is_no_text_is_told_so(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Terminal, match=r"cannot be read: .* Make it a readable UTF-8 text file\.$"):
        read_document(file)


def test_a_document_that_is_not_valid_says_that_nothing_was_touched(file: Path) -> None:
    file.write_text(DOCUMENT.replace("version", "verison"))
    with pytest.raises(Terminal) as caught:
        read_document(file)
    assert caught.value.reason == "Invalid"
    assert caught.value.message.splitlines()[0] == f"{file}:4: spec.version: is required and missing"
    assert caught.value.fix == "Nothing was touched."


# --- one runner

HOLD_LOCK = """
import sys
from pathlib import Path
from controller.standalone.store import sole_runner
with sole_runner(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_runner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_runner_is_refused_and_told_who_holds_the_object(folder: Path) -> None:
    with other_runner(folder) as other:
        with pytest.raises(Terminal) as caught, sole_runner(folder):
            pytest.fail("two runners on one object")
        assert caught.value.reason == "AlreadyRunning"
        assert str(caught.value) == (
            f"Another wsr run (process {other.pid}) works on this object with state folder {folder}. Let it finish or"
            " stop it; two of them on one object would undo each other's work."
        )
        other.kill()
        other.wait()
        with sole_runner(folder):
            pass


def test_a_runner_that_left_is_in_nobodys_way(folder: Path) -> None:
    with sole_runner(folder):
        pass
    with sole_runner(folder):
        pass


def test_children_of_a_runner_do_not_hold_its_lock_on(folder: Path) -> None:
    with sole_runner(folder):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with sole_runner(folder):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_state_folder_that_cannot_be_made_is_told_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Terminal) as caught, sole_runner(tmp_path / "file" / "state"):
        pytest.fail("there is no such folder")
    assert str(caught.value) == (
        f"{tmp_path}/file/state cannot be written: Not a directory. Make it writable, or name another folder with"
        " --state DIR."
    )
