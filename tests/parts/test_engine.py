"""An engine of our own comes up over the remains of a killed run, and goes without a trace."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import engine as engines
from tests.parts.engine import OwnEngine, own_engine, running_engine
from tests.parts.ground import PartError
from tests.parts.servers import Process

APART = ("unshare", "--net")


def processes_naming(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_text().replace("\0", " ")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnEngine]:
    # Under /run: the path of a socket may not be longer than 108 bytes.
    run = Path(f"/run/ws-parts-{os.getpid()}")
    yield OwnEngine(tmp_path / "data", run, APART)
    shutil.rmtree(run, ignore_errors=True)


def test_an_own_engine_lives_until_its_last_user_leaves(own: OwnEngine) -> None:
    with own_engine(own) as endpoint:
        with own_engine(own) as same:
            assert same == endpoint
        assert engines.answers(endpoint)
    assert not engines.answers(own.endpoint)
    assert processes_naming(own.run) == []


def test_what_a_killed_run_left_is_taken_over_and_ended(own: OwnEngine) -> None:
    with own_engine(own, keep=True):
        killed = Process.saved(own.started)
        assert killed is not None
        os.kill(killed.pid, signal.SIGKILL)
        while killed.alive():
            pass
    left = {path.name for path in own.run.rglob("*")}
    assert left >= {"docker.sock", "docker.pid", "containerd.pid"}
    with own_engine(own) as endpoint:
        assert engines.answers(endpoint)
    assert processes_naming(own.run) == []
    assert str(own.data) not in Path("/proc/self/mounts").read_text()


def test_an_engine_that_cannot_start_is_reported_with_its_log_and_leaves_nothing(own: OwnEngine) -> None:
    broken = OwnEngine(own.data, own.run, (*APART, "sh", "-c", 'exec "$0" --no-such-option "$@"'))
    with pytest.raises(PartError, match="no-such-option"), own_engine(broken):
        pass
    assert processes_naming(own.run) == []


def test_a_named_engine_that_does_not_answer_is_not_replaced_by_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(PartError, match="unset DOCKER_HOST"), running_engine():
        pass
