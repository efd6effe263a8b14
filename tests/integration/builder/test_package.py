"""The `package` verb on real trees: the same behaviour as the bare source, the same bytes every time, installable."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from builder.contract import Outcome, PackageRun, Report, tree_sha256
from builder.problems import Refused
from builder.verbs.package import package

ROOT = Path(__file__).parents[3]
PAIRS = ROOT / "tests" / "golden" / "rewrites"
EXECUTED = ("imports", "from_imports", "places")
"""Cases whose code can run: the others import relatively at the top, or refer to what is not there."""

_NAMESPACES = """
import importlib, json, sys, types
prefix, cases = sys.argv[1], sys.argv[2:]
def told(value):
    if isinstance(value, types.ModuleType):
        return "module " + value.__name__.removeprefix(prefix)
    if isinstance(value, (type, types.FunctionType)):
        return type(value).__name__ + " " + value.__module__.removeprefix(prefix) + "." + value.__qualname__
    return repr(value)
def names(case):
    found = vars(importlib.import_module(prefix + case))
    return {name: told(value) for name, value in found.items() if not name.startswith("__")}
result = {case: names(case) for case in cases}
result["loaded"] = sorted(n.removeprefix(prefix) for n in sys.modules if n.removeprefix(prefix).partition(".")[0] in ("config", "events", "adapters"))
print(json.dumps(result, sort_keys=True))
"""


_INSTALLED = """
from pathlib import Path
from molecule_runtime.main import main_sync
from molecule_runtime.identity import folder_sha256
folder = Path(main_sync.__code__.co_filename).parent
print(folder, folder_sha256(folder))
"""
"""The runtime hashes itself by its own code: both must agree, or no container would ever be proven."""


def run_python(folder: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _NAMESPACES, *arguments],
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        check=True,
        capture_output=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    shutil.copytree(PAIRS / "source", folder)
    return folder


def given(source: Path, **changes: Any) -> PackageRun:  # noqa: ANN401 -- any field of a run
    fields = {
        "source": source,
        "version": "0.1.0",
        "out": source.parent / "tree",
        "dist": source.parent / "dist",
    }
    return PackageRun(**{**fields, **changes})


def refusal(run: PackageRun) -> Refused:
    with pytest.raises(Refused) as caught:
        package(run)
    return caught.value


def test_every_name_means_in_the_package_what_it_meant_in_the_bare_source(source: Path) -> None:
    for case in EXECUTED:
        shutil.copy(PAIRS / f"{case}.before.py", source / f"{case}.py")
    package(given(source, dist=None))
    bare = run_python(source, "", *EXECUTED)
    assert run_python(source.parent / "tree", "molecule_runtime.", *EXECUTED) == bare
    assert bare["imports"]["adapters"] == "module adapters"
    assert bare["loaded"] == [
        "adapters",
        "adapters.base",
        "adapters.deep",
        "adapters.deep.leaf",
        "config",
        "events",
    ]


def test_modules_that_import_each_other_in_a_circle_still_do(source: Path) -> None:
    (source / "one.py").write_text("import two\nA = 1\ndef total(): return A + two.B\n")
    (source / "two.py").write_text("import one\nimport circle.left\nB = 2\n")
    (source / "circle").mkdir()
    (source / "circle" / "__init__.py").write_text("")
    (source / "circle" / "left.py").write_text("import circle.right\nC = circle\n")
    (source / "circle" / "right.py").write_text(
        "import circle.left as left\nimport circle.left\nD = circle\n"
    )
    package(given(source, dist=None))
    cases = ("one", "two", "circle.left", "circle.right")
    assert run_python(source.parent / "tree", "molecule_runtime.", *cases) == run_python(source, "", *cases)


def test_twice_is_the_same_bytes_whatever_mask_time_place_and_environment(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = package(given(source, commit="c0ffee")).facts
    copy = tmp_path / "elsewhere" / "other"
    shutil.copytree(source, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    (copy.parent / ".gitignore").write_text("*.txt\n")
    (copy.parent / ".hgignore").write_text("x\n")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("HATCH_BUILD_HOOKS_ONLY", "true")
    before = os.umask(0o077)
    try:
        second = package(given(copy, commit="c0ffee")).facts
    finally:
        os.umask(before)
    for kind in ("wheel", "sdist"):
        assert second[kind]["sha256"] == first[kind]["sha256"]
        for facts in (first, second):
            assert hashlib.sha256(Path(facts[kind]["file"]).read_bytes()).hexdigest() == facts[kind]["sha256"]
    assert second["contentSha256"] == first["contentSha256"]
    assert first["treeSha256"] == tree_sha256(source)


def test_the_backend_alone_builds_the_same_bytes_from_the_tree(source: Path, tmp_path: Path) -> None:
    facts = package(given(source)).facts
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "by-hand")]
    subprocess.run([*command, str(source.parent / "tree")], check=True, capture_output=True)
    for kind in ("wheel", "sdist"):
        by_hand = tmp_path / "by-hand" / Path(facts[kind]["file"]).name
        assert hashlib.sha256(by_hand.read_bytes()).hexdigest() == facts[kind]["sha256"]


def test_the_wheel_holds_what_the_contract_says(source: Path) -> None:
    (source / "requirements.txt").write_text("httpx>=0.28 # because\n")
    (source / "py.typed").write_text("")
    (source / "prompts").mkdir()
    (source / "prompts" / "old.pyo").write_bytes(b"\0\1")
    (source / "conftest.py").write_text("import pytest\n")
    (source.parent / ".git").mkdir()
    (source.parent / ".gitignore").write_text("*\n")
    facts = package(given(source, version="v0.1.0-rc1", commit="c0ffee")).facts
    assert facts["version"] == "0.1.0rc1"
    assert facts["provenOn"][0] == "3.11"
    assert facts["requires"] == ("httpx>=0.28",)
    with zipfile.ZipFile(facts["wheel"]["file"]) as archive:
        names = archive.namelist()
        about = "molecule_ai_workspace_runtime-0.1.0rc1.dist-info"
        record = json.loads(archive.read(f"{about}/extra_metadata/build.json"))
        metadata = archive.read(f"{about}/METADATA").decode()
        scripts = archive.read(f"{about}/entry_points.txt").decode()
        lines = sorted(
            (name, hashlib.sha256(archive.read(name)).hexdigest())
            for name in names
            if name.startswith("molecule_runtime/")
        )
    shipped = {path.removeprefix("molecule_runtime/") for path, _ in lines}
    assert {"py.typed", "prompts/old.pyo", "main.py", "adapters/deep/leaf.py", "__init__.py"} <= shipped
    assert not shipped & {"requirements.txt", "conftest.py"}
    assert f"{about}/licenses/LICENSE" in names
    assert record == {"commit": "c0ffee", "treeSha256": facts["treeSha256"]}
    assert "Version: 0.1.0rc1\n" in metadata
    assert "Requires-Dist: httpx>=0.28\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata
    assert "molecule-runtime = molecule_runtime.main:main_sync" in scripts
    content = "".join(f"{digest} {path}\n" for path, digest in lines)
    assert facts["contentSha256"] == hashlib.sha256(content.encode()).hexdigest()
    with tarfile.open(facts["sdist"]["file"]) as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}
    around = {"pyproject.toml", "README.md", "LICENSE", "build.json", "PKG-INFO", ".gitignore", ".hgignore"}
    assert inside == around | {f"molecule_runtime/{path}" for path in shipped}


def test_a_run_reports_on_stdout_alone_and_tells_every_problem_at_once(source: Path, tmp_path: Path) -> None:
    (source / "broken.py").write_text("import adapters.nope\n")
    (source / "bad-name.py").write_text("")
    (source / "main.py").write_text("")
    (source / "requirements.txt").write_text("-r more.txt\nconfig\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "mine.txt").write_text("")
    arguments = given(source, version="0.1.x").arguments()
    done = subprocess.run(
        [sys.executable, "-m", "builder", "package", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == Outcome.REFUSED
    report = Report.from_line(done.stdout)
    assert report.reason == "SourceRefused"
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == [
        "'0.1.x' is not a version (PEP 440). Write it like 0.1.6, 0.2.0rc1 or 0.1.6+local.",
        f"{tmp_path}/tree",
        "bad-name.py:1",
        "requirements.txt:1",
        "broken.py:1",
        "main.py:1",
    ]
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["mine.txt"]
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize(
    ("out", "dist", "message"),
    [
        (
            "workspace/out",
            "dist",
            "the build tree cannot lie in the source, nor around it. Choose another folder.",
        ),
        (".", "dist", "the build tree cannot lie in the source, nor around it. Choose another folder."),
        ("tree", "tree/dist", "wheel and sdist cannot lie in the build tree. Choose another folder."),
        ("tree", "workspace/dist", "wheel and sdist cannot lie in the source. Choose another folder."),
    ],
)
def test_output_in_the_wrong_place_is_refused(source: Path, out: str, dist: str, message: str) -> None:
    run = given(source, out=source.parent / out, dist=source.parent / dist)
    assert message in refusal(run).complaints[0]
    assert [path.name for path in source.parent.iterdir()] == ["workspace"]


def test_a_dist_folder_that_cannot_be_made_is_refused(source: Path) -> None:
    (source.parent / "file").write_text("")
    problem = refusal(given(source, dist=source.parent / "file" / "dist"))
    assert problem.reason == "NotWritable"
    assert problem.message.endswith("/file/dist: cannot be written (Not a directory). Choose another folder.")


@contextmanager
def small_disk(folder: Path, size: str, *options: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def command(run: PackageRun, **environment: str) -> tuple[int, Report]:
    done = subprocess.run(
        [sys.executable, "-m", "builder", "package", *run.arguments()],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, Report.from_line(done.stdout)


def test_a_full_disk_is_tried_again_and_says_what_to_do(source: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "full", "16k") as full:
        code, report = command(given(source, out=full / "tree"))
    assert (code, report.reason) == (Outcome.RETRY, "DiskFull")
    assert report.message == f"No space is left to write {full}/tree. Free some and run again."


def test_a_tree_that_a_full_disk_cut_off_is_replaced_when_there_is_space(
    source: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "full", "16k") as full:
        run = given(source, out=full / "tree", dist=None)
        assert command(run)[0] == Outcome.RETRY
        subprocess.run(["mount", "-o", "remount,size=1m", str(full)], check=True, capture_output=True)
        assert command(run)[0] == Outcome.DONE


def test_a_full_disk_where_wheel_and_sdist_go_is_tried_again(source: Path, tmp_path: Path) -> None:
    (source / "noise.bin").write_bytes(os.urandom(100_000))
    with small_disk(tmp_path / "full", "16k") as full:
        code, report = command(given(source, dist=full / "dist"))
        left = [path.name for path in full.rglob("*.whl")]
    assert (code, report.reason) == (Outcome.RETRY, "DiskFull")
    assert report.message == f"No space is left to write {full}/dist. Free some and run again."
    assert left == []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("noise.bin", os.urandom(100_000)),  # the backend meets it
        ("noise.py", b"X = 1\n" * 20_000),  # the proof meets it
    ],
    ids=["backend", "proof"],
)
def test_a_full_disk_for_what_is_made_on_the_way_is_tried_again(
    source: Path, tmp_path: Path, path: str, content: bytes
) -> None:
    (source / path).write_bytes(content)
    with small_disk(tmp_path / "full", "32k") as full:
        code, report = command(given(source), TMPDIR=str(full))
    assert (code, report.reason) == (Outcome.RETRY, "DiskFull")
    assert re.fullmatch(
        rf"No space is left to write {full}(/package-\w+)?\. Free some and run again\.", report.message
    )
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("what", ["tree", "dist"])
def test_a_place_that_cannot_be_written_is_refused(source: Path, tmp_path: Path, what: str) -> None:
    with small_disk(tmp_path / "fixed", "16k", "ro") as fixed:
        field = {"tree": "out", "dist": "dist"}[what]
        code, report = command(given(source, **{field: fixed / what}))
    assert (code, report.reason) == (Outcome.REFUSED, "NotWritable")
    assert (
        report.message == f"{fixed}/{what}: cannot be written (Read-only file system). Choose another folder."
    )


def test_the_projects_own_runtime_installs_and_hashes_itself_as_the_builder_did(tmp_path: Path) -> None:
    facts = package(
        PackageRun(source=ROOT / "workspace", version="0.1.0", out=tmp_path / "tree", dist=tmp_path / "dist")
    ).facts
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--no-index"]
    subprocess.run([*install, "--target", str(site), facts["wheel"]["file"]], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", _INSTALLED],
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(site / "molecule_runtime"), facts["contentSha256"]]
    assert (site / "molecule_runtime" / "py.typed").is_file()
    assert list(site.glob("molecule_ai_workspace_runtime-0.1.0.dist-info/licenses/LICENSE"))
    assert tree_sha256(ROOT / "workspace") == facts["treeSha256"]
