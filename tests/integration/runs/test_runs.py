"""Builder runs as real child processes: what they report, how they fail, and that none outlives its caller.

The child is a builder of a few lines that misbehaves as its argument says, found before the real one by PYTHONPATH.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from builder.contract import Outcome
from controller.clients.runs import Run, Runs
from controller.model.errors import Terminal, Transient

_BUILDER = """
import json, os, signal, subprocess, sys, time

def report(outcome, reason="Built", message="", verb="package", **facts):
    document = {"verb": verb, "outcome": outcome, "reason": reason, "message": message, "facts": facts}
    print(json.dumps(document), flush=True)

def say(text):
    print(text, file=sys.stderr, flush=True)

case, folder = sys.argv[-2:]
with open(folder + "/pid", "w") as file:
    file.write(str(os.getpid()))
match case:
    case "done":
        print("noise before the report")
        for number in range(3):
            say(f"step {number}")
        report("DONE", wheel="x.whl", token=os.environ.get("TOKEN"), home=os.environ.get("HOME"))
    case "of-cascade":
        for number in range(3):
            say(f"step {number}")
        report("DONE", verb="cascade", token=os.environ.get("TOKEN"), home=os.environ.get("HOME"))
    case "failed":
        report("FAILED", "DockerfileFailed", "template echo does not build")
        sys.exit(30)
    case "refused":
        report("REFUSED", "UnresolvedImport", "main.py:3: no module named x")
        sys.exit(10)
    case "retry":
        report("RETRY", "IndexUnavailable", "the index answered 503", retryAfterSeconds=7)
        sys.exit(20)
    case "crash":
        raise RuntimeError("a bug")
    case "silent":
        pass
    case "lies":
        report("DONE")
        sys.exit(1)
    case "other-verb":
        report("DONE", verb="publish")
    case "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    case "long-line":
        sys.stderr.write("x" * 300_000 + "\\nend\\n")
        report("DONE")
    case "stray":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        with open(folder + "/stray", "w") as file:
            file.write(str(child.pid))
        report("DONE")
    case "sleeps":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        with open(folder + "/stray", "w") as file:
            file.write(str(child.pid))
        say("started")
        time.sleep(60)
    case "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("started")
        time.sleep(60)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    package = tmp_path / "path" / "builder"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(_BUILDER)
    return {"PYTHONPATH": str(package.parent), "PATH": os.environ["PATH"], "HOME": "/home/of/the/test"}


@pytest.fixture
def runs(environment: dict[str, str]) -> Runs:
    return Runs(environment, parallel=2)


def run_of(case: str, folder: Path, *, maximum_seconds: float = 30.0) -> Run:
    return Run("package", (case, str(folder)), {"case": case}, maximum_seconds=maximum_seconds)


def alive(pid_file: Path) -> bool:
    try:
        state = Path(f"/proc/{pid_file.read_text()}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def gone(pid_file: Path) -> bool:
    for _ in range(150):
        if not alive(pid_file):
            return True
        await asyncio.sleep(0.02)
    return False


async def test_a_run_reports_its_last_line_and_streams_its_log(runs: Runs, tmp_path: Path) -> None:
    log: list[str] = []
    report = await runs.run(run_of("done", tmp_path), progress=log.append)
    assert report.outcome is Outcome.DONE
    assert report.facts["wheel"] == "x.whl"
    assert log == ["step 0", "step 1", "step 2"]


async def test_a_run_gets_the_inherited_environment_and_its_own_and_nothing_else(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "of somebody else")
    plain = await runs.run(run_of("done", tmp_path))
    assert plain.facts["token"] is None
    assert plain.facts["home"] == "/home/of/the/test"
    own = Run("package", ("done", str(tmp_path)), {}, environment={"TOKEN": "mine"})
    assert "mine" in (await runs.run(own)).facts.values()
    assert "mine" not in repr(own)


def cascade_of(folder: Path, **environment: str) -> Run:
    return Run("cascade", ("of-cascade", str(folder)), {}, environment=environment, maximum_seconds=30)


@pytest.fixture
async def prepared(environment: dict[str, str], tmp_path: Path) -> AsyncIterator[Runs]:
    """Runs of which one that imports something is under way, and has imported it."""
    verbs = tmp_path / "path" / "builder" / "verbs"
    verbs.mkdir()
    (verbs / "__init__.py").touch()
    (verbs / "cascade.py").write_text(
        f"import os\nwith open({str(tmp_path / 'ready')!r}, 'a') as file: file.write(str(os.getpid()))"
    )
    async with aclosing(Runs(environment, parallel=2)) as runs:
        runs.prepare("cascade")
        runs.prepare("cascade")
        assert await begun(tmp_path / "ready")
        yield runs


async def test_a_run_that_was_prepared_differs_in_nothing_but_its_imports(
    prepared: Runs, tmp_path: Path
) -> None:
    log: list[str] = []
    order = cascade_of(tmp_path, TOKEN="mine")  # noqa: S106 -- not secret
    report = await prepared.run(order, progress=log.append)
    assert (report.facts["token"], report.facts["home"]) == ("mine", "/home/of/the/test")
    assert log == ["step 0", "step 1", "step 2"]
    assert (tmp_path / "pid").read_text() == (tmp_path / "ready").read_text()
    assert await gone(tmp_path / "pid")
    again = await prepared.run(cascade_of(tmp_path))
    assert again.facts["token"] is None
    assert (tmp_path / "pid").read_text() != (tmp_path / "ready").read_text()


async def test_a_prepared_run_that_ended_meanwhile_is_started_anew(prepared: Runs, tmp_path: Path) -> None:
    os.kill(int((tmp_path / "ready").read_text()), signal.SIGKILL)
    assert await gone(tmp_path / "ready")
    await asyncio.sleep(0.1)
    report = await prepared.run(cascade_of(tmp_path))
    assert report.outcome is Outcome.DONE


async def test_what_was_prepared_and_not_needed_goes_with_its_caller(prepared: Runs, tmp_path: Path) -> None:
    assert alive(tmp_path / "ready")
    await prepared.aclose()
    assert await gone(tmp_path / "ready")


async def test_a_failure_that_has_a_name_is_a_report(runs: Runs, tmp_path: Path) -> None:
    report = await runs.run(run_of("failed", tmp_path))
    assert (report.outcome, report.reason) == (Outcome.FAILED, "DockerfileFailed")


async def test_a_refused_input_is_terminal_with_the_runs_own_words(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(Terminal) as caught:
        await runs.run(run_of("refused", tmp_path))
    assert (caught.value.reason, caught.value.message) == ("UnresolvedImport", "main.py:3: no module named x")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("retry", "builder package: the index answered 503"),
        ("crash", "builder package ended with exit code 1 and no report; its last output was ''"),
        ("silent", "builder package ended with exit code 0 and no report; its last output was ''"),
        ("lies", "builder package ended with exit code 1, but its report is of package: DONE"),
        ("other-verb", "builder package ended with exit code 0, but its report is of publish: DONE"),
        ("killed", "builder package was killed by SIGKILL"),
    ],
)
async def test_whatever_else_ends_a_run_is_worth_another_try(
    runs: Runs, tmp_path: Path, case: str, said: str
) -> None:
    with pytest.raises(Transient) as caught:
        await runs.run(run_of(case, tmp_path))
    assert str(caught.value) == said


async def test_the_time_a_run_asks_for_is_passed_on(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(Transient) as caught:
        await runs.run(run_of("retry", tmp_path))
    assert caught.value.retry_after == 7
    with pytest.raises(Transient) as caught:
        await runs.run(run_of("crash", tmp_path))
    assert caught.value.retry_after is None


async def test_a_line_of_any_length_does_not_stop_the_log(runs: Runs, tmp_path: Path) -> None:
    log: list[str] = []
    report = await runs.run(run_of("long-line", tmp_path), progress=log.append)
    assert report.outcome is Outcome.DONE
    assert log[-1] == "end"
    assert max(len(line) for line in log) <= 16_384


async def test_a_run_that_takes_too_long_is_ended_with_what_it_started(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(Transient, match="builder package ran longer than 1 s and was ended"):
        await runs.run(run_of("sleeps", tmp_path, maximum_seconds=1))
    assert await gone(tmp_path / "pid")
    assert await gone(tmp_path / "stray")


async def test_a_stray_that_keeps_the_pipes_open_does_not_hold_the_caller(runs: Runs, tmp_path: Path) -> None:
    begun = time.monotonic()
    report = await runs.run(run_of("stray", tmp_path))
    assert report.outcome is Outcome.DONE
    assert time.monotonic() - begun < 30
    assert await gone(tmp_path / "stray")


async def started(runs: Runs, run: Run) -> "asyncio.Task[object]":
    running = asyncio.Event()
    task: asyncio.Task[object] = asyncio.create_task(runs.run(run, progress=lambda _: running.set()))
    await asyncio.wait_for(running.wait(), 10)
    return task


async def test_cancellation_ends_the_run_with_what_it_started(runs: Runs, tmp_path: Path) -> None:
    task = await started(runs, run_of("sleeps", tmp_path))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(tmp_path / "pid")
    assert await gone(tmp_path / "stray")


async def test_a_run_that_ignores_the_request_to_end_is_killed(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.clients.runs.GRACE_SECONDS", 0.2)
    task = await started(runs, run_of("stubborn", tmp_path))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(tmp_path / "pid")


async def test_a_second_cancellation_while_it_ends_still_kills_it(runs: Runs, tmp_path: Path) -> None:
    task = await started(runs, run_of("stubborn", tmp_path))
    task.cancel()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(tmp_path / "pid")


async def test_no_run_outlives_a_caller_that_is_killed(environment: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import asyncio\n"
        "from controller.clients.runs import Run, Runs\n"
        f"run = Run('package', ('sleeps', {str(tmp_path)!r}), {{}})\n"
        f"asyncio.run(Runs({environment!r}, parallel=1).run(run))\n"
    )
    caller = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    try:
        assert await begun(tmp_path / "stray")
        caller.send_signal(signal.SIGKILL)
        await caller.wait()
        assert await gone(tmp_path / "pid")
        assert await gone(tmp_path / "stray")
    finally:
        for file in (tmp_path / "pid", tmp_path / "stray"):
            with suppress(ProcessLookupError, FileNotFoundError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)


async def begun(pid_file: Path) -> bool:
    for _ in range(200):
        if alive(pid_file):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_folder_named_builder_where_the_caller_stands_is_not_run(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = tmp_path / "here" / "builder"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").touch()
    (foreign / "__main__.py").write_text("raise SystemExit(42)")
    monkeypatch.chdir(foreign.parent)
    report = await Runs(environment, parallel=1).run(run_of("done", tmp_path))
    assert report.outcome is Outcome.DONE


async def test_no_more_runs_than_allowed_go_at_a_time(environment: dict[str, str], tmp_path: Path) -> None:
    runs = Runs(environment, parallel=1)
    first = await started(runs, run_of("sleeps", tmp_path))
    second_folder = tmp_path / "second"
    second_folder.mkdir()
    second = asyncio.create_task(runs.run(run_of("done", second_folder)))
    await asyncio.sleep(0.3)
    assert not (second_folder / "pid").exists()
    first.cancel()
    assert (await second).outcome is Outcome.DONE


def test_equal_inputs_are_the_same_run_wherever_they_lie() -> None:
    one = Run("package", ("--out", "/a"), {"tree": "1", "version": "2"})
    same = Run("package", ("--out", "/b"), {"version": "2", "tree": "1"})
    assert one.identity == same.identity
    assert one.identity != Run("verify", ("--out", "/a"), one.inputs).identity
    assert one.identity != Run("package", ("--out", "/a"), {"tree": "1", "version": "3"}).identity
