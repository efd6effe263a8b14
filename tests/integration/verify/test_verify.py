"""The verb on whole wheels, with a real pip, a real index and real processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from builder.contract import Outcome, Report, VerifyRun
from builder.problems import Refused, TryAgain
from builder.stages.clean_install import index_of_pip
from builder.verbs.verify import verify
from tests.contract.lying_proxy import lying_proxy
from tests.integration.verify.mini_runtime import mini_wheel, running
from tests.parts.ground import REPOSITORY
from tests.parts.index import Index, running_pypiserver
from tests.parts.servers import free_port
from tests.parts.small_wheel import alter, make_dependency

WSR = Path(sys.executable).parent / "wsr"


@dataclass(frozen=True)
class Shelf:
    """An index, and the folder whose files it serves."""

    index: Index
    folder: Path

    @property
    def url(self) -> str:
        return self.index.simple_url


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("index")
    with running_pypiserver(folder, address="127.0.0.1") as index:
        yield Shelf(index, folder / "packages")


@pytest.fixture
def shelf(served: Shelf) -> Iterator[Shelf]:
    """An empty one."""
    yield served
    for file in served.folder.iterdir():
        file.unlink()


def told(wheel: Path, shelf: Shelf, **given: Any) -> tuple[Report, list[str]]:  # noqa: ANN401 -- fields of VerifyRun
    file = wheel.parent / "findings"
    report = verify(VerifyRun(wheel=wheel, index_url=shelf.url, findings=file, format="json", **given))
    findings = json.loads(file.read_text())["findings"]
    return report, [f"{each['path']}:{each['line']}: {each['message']} [{each['rule']}]" for each in findings]


def test_the_newest_lower_final_release_is_what_a_wheel_is_compared_with(
    tmp_path: Path, shelf: Shelf
) -> None:
    for version in ("0.8", "0.9", "1.0rc1", "1.0.dev2", "1.1"):
        mini_wheel(shelf.folder, version, code=f"since_{version.replace('.', '_')} = 1\n")
    report, findings = told(mini_wheel(tmp_path), shelf)
    assert report.outcome is Outcome.REFUSED
    assert report.facts["previous"] == "0.9"
    assert findings == [
        "molecule_runtime/more.py:1: molecule_runtime.more.since_0_9 was public here in 0.9, and is gone. [PublicNameRemoved]"
    ]
    report, findings = told(
        tmp_path / "molecule_ai_workspace_runtime-1.0-py3-none-any.whl",
        shelf,
        removed=("molecule_runtime.more.since_0_9",),
    )
    assert (report.outcome, findings) == (Outcome.DONE, [])


def test_a_first_release_is_said_to_be_one(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    mini_wheel(shelf.folder, "1.0rc1")
    report, findings = told(mini_wheel(tmp_path), shelf)
    assert (report.outcome, findings, report.facts["previous"]) == (Outcome.DONE, [], None)
    assert capsys.readouterr().err.splitlines() == [
        "No release before 1.0 to compare with: this is the first one.",
        "Installing into a clean environment.",
        "Booting it and holding two turns.",
    ]


def test_a_removal_from_a_first_release_is_wrong_use(tmp_path: Path, shelf: Shelf) -> None:
    with pytest.raises(Refused) as caught:
        told(mini_wheel(tmp_path), shelf, removed=("molecule_runtime.x",))
    assert (caught.value.reason, caught.value.message) == (
        "NothingRemoved",
        "--removed molecule_runtime.x: there is no release before 1.0. Leave it out.",
    )


def test_what_the_index_does_not_have_is_told_at_the_requirement(tmp_path: Path, shelf: Shelf) -> None:
    make_dependency(shelf.folder, "there", "1.0")
    report, findings = told(mini_wheel(tmp_path, requires=("there>=1", "nowhere-at-all>=2")), shelf)
    assert report.outcome is Outcome.REFUSED
    assert findings == [
        "molecule_ai_workspace_runtime-1.0.dist-info/METADATA:5: pip: Could not find a version that satisfies the requirement nowhere-at-all>=2 (from molecule-ai-workspace-runtime) (from versions: none) [DependencyUnresolvable]"
    ]


async def test_a_release_that_pip_passed_over_is_not_told_as_the_cause(tmp_path: Path, shelf: Shelf) -> None:
    def yank(request: web.Request, answer: web.Response) -> web.Response:
        assert isinstance(answer.body, bytes)
        body = answer.body.replace(b"<a href", b'<a data-yanked="broken" href')
        return web.Response(body=body, content_type="text/html") if "carrier" in request.path else answer

    make_dependency(shelf.folder, "carrier", "1.0")
    wheel = mini_wheel(tmp_path, requires=("carrier>=2",))
    async with lying_proxy(shelf.url.split("/")[2]) as proxy:
        proxy.spoil = yank
        given = VerifyRun(wheel=wheel, index_url=f"http://{proxy.address}/simple/")
        report = await asyncio.to_thread(verify, given)
    assert report.message == (
        "molecule_ai_workspace_runtime-1.0.dist-info/METADATA:4: pip: Could not find a version that satisfies the requirement "
        "carrier>=2 (from molecule-ai-workspace-runtime) (from versions: none) [DependencyUnresolvable]"
    )


def test_a_python_that_the_wheel_does_not_admit_is_told_at_its_field(tmp_path: Path, shelf: Shelf) -> None:
    wheel = mini_wheel(tmp_path)
    metadata = (
        "Metadata-Version: 2.1\nName: molecule-ai-workspace-runtime\nVersion: 1.0\nRequires-Python: >=99\n"
    )
    _, [finding] = told(alter(wheel, {"*/METADATA": metadata.encode()}), shelf)
    python = ".".join(map(str, sys.version_info[:3]))
    assert finding == (
        "molecule_ai_workspace_runtime-1.0.dist-info/METADATA:4: pip: Package 'molecule-ai-workspace-runtime' requires "
        f"a different Python: {python} not in '>=99' [DependencyUnresolvable]"
    )


def test_what_only_a_dependency_brings_is_not_declared(tmp_path: Path, shelf: Shelf) -> None:
    make_dependency(shelf.folder, "carrier", "1.0", files=("freight/crate.py",), requires=("cargo",))
    make_dependency(shelf.folder, "cargo", "1.0", files=("freight/box.py",))
    code = "from freight import crate\n\ndef late():\n    from freight import box\n\ntry:\n    import absent\nexcept ImportError:\n    pass\n"
    report, findings = told(mini_wheel(tmp_path, code=code, requires=("carrier",)), shelf)
    assert (report.outcome, report.facts["notes"]) == (Outcome.REFUSED, 1)
    assert findings == [
        "molecule_runtime/more.py:4: 'freight' is imported and comes with cargo, which the wheel does not declare. [UndeclaredImport]",
        "molecule_runtime/more.py:7: 'absent' is imported where it is there, and no declared distribution provides it. [OptionalImport]",
    ]


def test_what_the_wheel_brings_itself_needs_no_declaration(tmp_path: Path, shelf: Shelf) -> None:
    wheel = alter(mini_wheel(tmp_path, code="import beside\n"), {"beside/__init__.py": b""})
    assert told(wheel, shelf)[1] == []


def test_what_does_not_fit_together_once_installed_is_told(tmp_path: Path, shelf: Shelf) -> None:
    foreign = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: cp27-none-win32\n"
    alter(make_dependency(shelf.folder, "foreign", "1.0"), {"*/WHEEL": foreign})
    report, findings = told(mini_wheel(tmp_path, requires=("foreign",)), shelf)
    assert report.outcome is Outcome.REFUSED
    assert findings == [
        "molecule_ai_workspace_runtime-1.0.dist-info/METADATA:0: pip check: foreign 1.0 is not supported on this platform [DependencyConflict]"
    ]


def test_a_wheel_that_does_not_boot_is_refused_and_the_log_is_passed_on(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    report, findings = told(mini_wheel(tmp_path, case="says why"), shelf)
    assert (report.outcome, report.reason) == (Outcome.REFUSED, "ProofFailed")
    assert findings == [
        "molecule_runtime/main.py:0: The process ended with exit code 78 before it served its agent card; its last words: Configuration error: x is wrong. [BootFailed]"
    ]
    assert capsys.readouterr().err.splitlines()[-1] == "  Configuration error: x is wrong"


def test_a_hanging_boot_ends_at_the_deadline(tmp_path: Path, shelf: Shelf) -> None:
    _, [finding] = told(mini_wheel(tmp_path, case="hangs"), shelf, deadline_seconds=1.0)
    assert finding.endswith(
        "served no agent card within 1 s; the last attempt: nothing listens. [BootFailed]"
    )


def test_a_run_that_is_ended_leaves_no_process_and_no_folder(tmp_path: Path, shelf: Shelf) -> None:
    wheel = mini_wheel(tmp_path, case="hangs")
    (scratch := tmp_path / "scratch").mkdir()
    command = [sys.executable, "-m", "builder", "verify", f"--wheel={wheel}", f"--index-url={shelf.url}"]
    with subprocess.Popen(
        command, env=os.environ | {"TMPDIR": str(scratch)}, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as run:
        deadline = time.monotonic() + 60
        while not any(word.endswith("/molecule-runtime") for word in running(scratch)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run.terminate()
        assert run.wait(20) == 128 + signal.SIGTERM
    assert (running(scratch), list(scratch.iterdir())) == ([], [])


def test_an_index_that_is_down_is_no_first_release_and_no_fault_of_the_wheel(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/simple/"
    wheel = mini_wheel(tmp_path / "new")
    for previous in (None, mini_wheel(tmp_path / "old", "0.9")):
        with pytest.raises(TryAgain) as caught:
            verify(VerifyRun(wheel=wheel, index_url=url, previous=previous))
        assert caught.value.reason == "IndexUnavailable"
        assert caught.value.message == (
            f"{url}molecule-ai-workspace-runtime/ cannot be reached: Connection refused."
        )


async def test_an_index_that_fails_at_a_dependency_is_no_fault_of_the_wheel(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(request: web.Request, answer: web.Response) -> web.Response:
        return web.Response(status=503) if "carrier" in request.path else answer

    monkeypatch.setenv("PIP_RETRIES", "0")
    make_dependency(shelf.folder, "carrier", "1.0")
    wheel = mini_wheel(tmp_path, requires=("carrier",))
    async with lying_proxy(shelf.url.split("/")[2]) as proxy:
        proxy.spoil = spoil
        url = f"http://{proxy.address}/simple/"
        with pytest.raises(TryAgain) as caught:
            await asyncio.to_thread(verify, VerifyRun(wheel=wheel, index_url=url))
    assert (caught.value.reason, caught.value.message) == (
        "IndexUnavailable",
        f"{url}carrier/ answered 503.",
    )


def test_without_a_setting_pip_tells_its_own_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert index_of_pip(None).url.startswith("https://")
    monkeypatch.setenv("PIP_INDEX_URL", "http://packages.example/simple/")
    assert index_of_pip(None).url == "http://packages.example/simple/"
    assert index_of_pip("http://other.example/simple/").url == "http://other.example/simple/"


def test_a_named_index_is_the_only_one(tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dependency(tmp_path / "elsewhere", "elsewhere", "1.0")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "elsewhere"))
    wheel = mini_wheel(tmp_path, requires=("elsewhere",))
    _, [finding] = told(wheel, shelf)
    assert "[DependencyUnresolvable]" in finding
    monkeypatch.setenv("PIP_INDEX_URL", shelf.url)
    assert verify(VerifyRun(wheel=wheel)).outcome is Outcome.DONE
