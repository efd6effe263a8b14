"""Each static rule once, on a wheel made for it: where it is told, in which words, and with which cure."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.contract import Outcome, Report, VerifyRun, wheel_requires
from builder.problems import Refused
from builder.verbs.verify import parse, verify
from tests.parts.small_wheel import NAME, alter, make_wheel

INFO = "molecule_ai_workspace_runtime-1.0.dist-info"
FILE = "molecule_ai_workspace_runtime-1.0-py3-none-any.whl"
HEAD = b"Metadata-Version: 2.1\nName: molecule-ai-workspace-runtime\nVersion: 1.0\n"
POINTS = b"[console_scripts]\nmolecule-runtime = molecule_runtime.main:main_sync\n"


def told(
    wheel: Path, *, version: str | None = None, name: str = NAME, removed: tuple[str, ...] = ()
) -> tuple[Report, list[str]]:
    file = wheel.parent / "findings"
    report = verify(
        VerifyRun(
            wheel=wheel,
            version=version,
            name=name,
            removed=removed,
            static=True,
            findings=file,
            format="json",
        )
    )
    return report, [
        f"{each['path']}:{each['line']}: {each['message']} [{each['rule']}]"
        for each in json.loads(file.read_text())["findings"]
    ]


def found(wheel: Path) -> list[str]:
    report, findings = told(wheel)
    assert report.outcome is (Outcome.REFUSED if findings else Outcome.DONE)
    return findings


def altered(tmp_path: Path, changes: Mapping[str, bytes | None], *, record: bool = True) -> Path:
    return alter(make_wheel(tmp_path, "1.0").path, changes, record=record)


def test_a_right_wheel_passes_and_its_facts_are_told(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0", requires=["yarl>=1"])
    report, findings = told(wheel.path)
    assert findings == []
    assert (report.reason, report.message) == ("Verified", f"{FILE} is proven.")
    assert {name: value for name, value in report.facts.items() if name != "seconds"} == {
        "wheel": FILE,
        "version": "1.0",
        "sha256": wheel.sha256,
        "contentSha256": wheel.content_sha256,
        "requires": ["yarl>=1"],
        "static": True,
        "verified": True,
        "notes": 0,
    }


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"*/METADATA": None}, f"{INFO}/METADATA:0: There is no such file. [MetadataInvalid]"),
        ({"*/METADATA": HEAD + b"Requires-Python: >=three\n"}, f"{INFO}/METADATA:4: '>=three' is invalid for 'requires-python'. [MetadataInvalid]"),
        ({"*/METADATA": HEAD + b"Requires-Dist: a\nRequires-Dist: b ==\n"}, f"{INFO}/METADATA:5: 'b ==' is invalid for 'requires-dist'. [MetadataInvalid]"),
        ({"*/METADATA": HEAD.replace(b"1.0", b"one")}, f"{INFO}/METADATA:3: 'one' is invalid for 'version'. [MetadataInvalid]"),
        ({"*/METADATA": HEAD.replace(b"1.0", b"1.1")}, f"{INFO}/METADATA:3: The version is 1.1, and the file's name says 1.0. [MetadataInvalid]"),
        ({"*/METADATA": HEAD.replace(b"molecule", b"other")}, f"{INFO}/METADATA:2: The name is other-ai-workspace-runtime, and the file's name says molecule-ai-workspace-runtime. [MetadataInvalid]"),
        ({"*/METADATA": b"Metadata-Version: 2.1\nName: molecule-ai-workspace-runtime\n"}, f"{INFO}/METADATA:0: 'version' is a required field. [MetadataInvalid]"),
        ({"*/WHEEL": None}, f"{INFO}/WHEEL:0: There is no such file, or it says nothing. [WheelNotPure]"),
        ({"*/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n"}, f"{INFO}/WHEEL:2: Root-Is-Purelib is 'false': the files would go where those of one platform go. [WheelNotPure]"),
        ({"*/WHEEL": b"Wheel-Version: 1.0\nTag: cp311-cp311-linux_x86_64\n"}, f"{INFO}/WHEEL:2: The tag cp311-cp311-linux_x86_64 does not hold for every Python 3 on every platform. [WheelNotPure]"),
        ({"*/RECORD": None}, f"{INFO}/RECORD:0: There is no such file. [RecordMismatch]"),
        ({"*/RECORD": b"one,two\n"}, f"{INFO}/RECORD:0: This is not a record of files: Row Index 0: expected 3 elements, got 2. [RecordMismatch]"),
        ({"other-2.dist-info/METADATA": b""}, f"{FILE}:0: A wheel has exactly one .dist-info folder; here: {INFO}, other-2.dist-info. [DistInfoMismatch]"),
        ({"molecule_runtime/__init__.py": None}, f"{FILE}:0: The wheel holds no package molecule_runtime. [PackageMissing]"),
        ({"molecule_runtime/a.py": b"\nx = = 1\n"}, "molecule_runtime/a.py:2: Python cannot compile this file: invalid syntax. [DoesNotCompile]"),
        ({"molecule_runtime/a.py": b"def f():\n    import main\n"}, "molecule_runtime/a.py:2: The import of 'main' still names a module of the package without the package. [UnresolvedImport]"),
        ({"molecule_runtime/a.py": b"from molecule_runtime.nope import x\n"}, "molecule_runtime/a.py:1: There is no module 'nope' in the package. [UnresolvedImport]"),
        ({"*/entry_points.txt": None}, f"{INFO}/entry_points.txt:0: There is no console script molecule-runtime in this file. [EntryPointMissing]"),
        ({"*/entry_points.txt": b"[\xff]\n"}, f"{INFO}/entry_points.txt:0: This file is not UTF-8. [EntryPointBroken]"),
        ({"*/entry_points.txt": b"molecule-runtime = x\n"}, f"{INFO}/entry_points.txt:1: This file cannot be read: File contains no section headers. [EntryPointBroken]"),
        ({"*/entry_points.txt": POINTS + b"more = molecule_runtime.nope:run\n"}, f"{INFO}/entry_points.txt:3: The entry point more of console_scripts names the module molecule_runtime.nope, which is not in the wheel. [EntryPointBroken]"),
        ({"*/entry_points.txt": POINTS + b"more = other:run\n"}, f"{INFO}/entry_points.txt:3: The entry point more of console_scripts names the module other, which is not in the wheel. [EntryPointBroken]"),
        ({"*/entry_points.txt": POINTS + b"more = molecule_runtime\n"}, f"{INFO}/entry_points.txt:3: The entry point more of console_scripts names no function. Write it as module:name. [EntryPointBroken]"),
        ({"*/entry_points.txt": POINTS + b"more = molecule_runtime:nope\n"}, "molecule_runtime/__init__.py:1: The console script needs a function 'nope' here. Define it with def. [EntryPointBroken]"),
        ({"*/entry_points.txt": POINTS + b"[plugins]\nmain_sync = molecule_runtime.main:Gone.attribute\n"}, f"{INFO}/entry_points.txt:4: The entry point main_sync of plugins names Gone.attribute, which molecule_runtime/main.py does not define. [EntryPointBroken]"),
        ({"*/entry_points.txt": POINTS + b"[plugins]\nodd = not a module\n"}, f"{INFO}/entry_points.txt:4: The entry point odd of plugins is 'not a module', which is not written as module:name. [EntryPointBroken]"),
        ({"*/entry_points.txt": b"[plugins]\nmolecule-runtime = molecule_runtime.main:Gone\n" + POINTS}, f"{INFO}/entry_points.txt:2: The entry point molecule-runtime of plugins names Gone, which molecule_runtime/main.py does not define. [EntryPointBroken]"),
        ({"molecule_runtime/main.py": b"def main_sync(argv): ...\n"}, "molecule_runtime/main.py:1: The console script calls 'main_sync' without arguments. Give them defaults. [EntryPointBroken]"),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_is_told_with_its_place_and_rule(
    tmp_path: Path, changes: dict[str, bytes | None], finding: str
) -> None:
    assert found(altered(tmp_path, changes)) == [finding]


@pytest.mark.parametrize(
    "points",
    [
        b"[plugins]\na = molecule_runtime.main\nb = molecule_runtime.main:metadata.version\n",
        b"[console_scripts]\nMore = molecule_runtime.main:main_sync\n",
    ],
)
def test_entry_points_that_lead_somewhere_are_accepted(tmp_path: Path, points: bytes) -> None:
    assert (
        found(
            altered(
                tmp_path,
                {
                    "*/entry_points.txt": POINTS.replace(b"[console_scripts]\n", points)
                    if b"console" in points
                    else POINTS + points
                },
            )
        )
        == []
    )


def test_a_file_that_was_changed_added_or_lost_after_the_build_is_told(tmp_path: Path) -> None:
    changes: dict[str, bytes | None] = {
        "molecule_runtime/main.py": b"def main_sync(): ...\n",
        "molecule_runtime/more.txt": b"",
        "*/WHEEL": b"Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    assert found(altered(tmp_path, changes, record=False)) == [
        f"{INFO}/RECORD:2: molecule_runtime/main.py is not the file that was recorded: its hash or size differs. [RecordMismatch]",
        f"{INFO}/RECORD:4: {INFO}/WHEEL is not the file that was recorded: its hash or size differs. [RecordMismatch]",
        "molecule_runtime/more.txt:0: RECORD does not list this file. [RecordMismatch]",
    ]


def test_a_line_of_the_record_that_says_nothing_is_told(tmp_path: Path) -> None:
    wheel = altered(tmp_path, {"molecule_runtime/a.txt": b"", "molecule_runtime/b.txt": b""})
    lines = (
        f"molecule_runtime/a.txt,,\nmolecule_runtime/b.txt,nothing,0\ngone.py,sha256=x,1\n{INFO}/RECORD,,\n"
    )
    findings = found(alter(wheel, {"*/RECORD": lines.encode()}))
    assert [each for each in findings if f"{INFO}/RECORD" in each] == [
        f"{INFO}/RECORD:1: The line for molecule_runtime/a.txt has no hash or no size. [RecordMismatch]",
        f"{INFO}/RECORD:2: The line for molecule_runtime/b.txt cannot be read: `hash` does not follow the required format. [RecordMismatch]",
        f"{INFO}/RECORD:3: gone.py is listed, and is not in the archive. [RecordMismatch]",
    ]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_stands_twice_is_told(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0").path
    with zipfile.ZipFile(wheel) as archive:
        record = archive.read(f"{INFO}/RECORD").decode()
    alter(wheel, {"*/RECORD": (record + record.splitlines()[0] + "\n").encode()})
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("molecule_runtime/__init__.py", b"")
    assert found(wheel) == [
        f"{INFO}/RECORD:0: molecule_runtime/__init__.py is listed more than once. [RecordMismatch]",
        "molecule_runtime/__init__.py:0: The archive holds this file more than once. [RecordMismatch]",
    ]


def test_a_name_that_promises_one_platform_is_told(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0").path
    renamed = wheel.rename(tmp_path / FILE.replace("py3-none-any", "cp311-cp311-linux_x86_64"))
    assert found(renamed) == [
        f"{renamed.name}:0: The file's name says cp311-cp311-linux_x86_64, which does not hold for every Python 3 on every platform. [WheelNotPure]"
    ]


def test_a_folder_of_another_version_is_told(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "1.1").path.rename(tmp_path / FILE)
    other = INFO.replace("1.0", "1.1")
    assert found(wheel) == [
        f"{other}:0: This folder is not that of molecule-ai-workspace-runtime 1.0, which the file's name says. [DistInfoMismatch]",
        f"{other}/METADATA:3: The version is 1.1, and the file's name says 1.0. [MetadataInvalid]",
    ]


def test_what_is_no_wheel_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no archive")
    assert found(tmp_path / FILE) == [
        f"{FILE}:0: This cannot be read as an archive: File is not a zip file. [WheelUnreadable]"
    ]
    (tmp_path / "x.whl").write_bytes(b"")
    assert found(tmp_path / "x.whl") == [
        "x.whl:0: This is not the name of a wheel: Invalid wheel filename (wrong number of parts): 'x'. [WheelUnreadable]"
    ]


def test_a_damaged_archive_of_another_compression_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / FILE, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("molecule_runtime/main.py", b"x = 1\n" * 100)
    data = bytearray((tmp_path / FILE).read_bytes())
    data[data.index(b"molecule_runtime/main.py") + 24 + 4] = 0xFF  # the first of LZMA's properties
    (tmp_path / FILE).write_bytes(data)
    (told,) = found(tmp_path / FILE)
    assert told.startswith(f"{FILE}:0: This cannot be read as an archive: ")


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0").path
    wheel.write_bytes(wheel.read_bytes().replace(b"def main_sync", b"def main_sink", 1))
    assert found(wheel) == [
        f"{FILE}:0: This cannot be read as an archive: Bad CRC-32 for file 'molecule_runtime/main.py'. [WheelUnreadable]"
    ]


def test_all_findings_are_told_together_and_the_first_stands_in_the_report(tmp_path: Path) -> None:
    changes: dict[str, bytes | None] = {
        f"molecule_runtime/m{number:03}.py": b"import main\n" for number in range(200)
    }
    report, findings = told(altered(tmp_path, changes))
    assert len(findings) == 200
    assert (report.outcome, report.reason) == (Outcome.REFUSED, "ProofFailed")
    assert report.message == (
        "molecule_runtime/m000.py:1: The import of 'main' still names a module of the package without the package. "
        "[UnresolvedImport] (and 199 more)"
    )
    assert len(report.to_line()) < 4_000


def test_a_wheel_that_needs_more_than_a_report_holds_is_reported_and_tells_it_itself(tmp_path: Path) -> None:
    needs = tuple(f"some-distribution-{number}[with,extras]>=1.{number},<2" for number in range(100))
    wheel = make_wheel(tmp_path, "1.0", requires=needs).path
    report, _ = told(wheel)
    assert report.outcome is Outcome.DONE
    told_facts = Report.from_line(report.to_line()).facts
    assert set(report.facts) - set(told_facts) == {"requires"}
    assert wheel_requires(wheel) == needs


def test_another_package_or_version_than_said_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "1.0").path
    with pytest.raises(Refused) as caught:
        told(wheel, version="1.1")
    assert (caught.value.reason, caught.value.message) == (
        "WrongWheel",
        f"{FILE} is molecule-ai-workspace-runtime 1.0, not molecule-ai-workspace-runtime 1.1. Give that wheel.",
    )
    with pytest.raises(Refused, match=r"not other\. Give that wheel"):
        told(wheel, name="other")


def test_findings_go_to_stderr_when_no_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = altered(tmp_path, {"molecule_runtime/a.py": b"import main\n"})
    verify(VerifyRun(wheel=wheel, static=True))
    assert capsys.readouterr().err == (
        "molecule_runtime/a.py:1: The import of 'main' still names a module of the package without the package. [UnresolvedImport]\n"
        "    Add the module, or correct the import in the source, and build again.\n"
    )


def test_arguments_are_read_back_as_they_were_given() -> None:
    given = VerifyRun(
        wheel=Path("-w.whl"),
        version="1",
        name="n",
        module="m",
        static=True,
        index_url="http://host/simple/",
        previous=Path("p"),
        removed=("a.b", "-c"),
        deadline_seconds=2.5,
        findings=Path("f"),
        format="sarif",
    )
    assert parse(given.arguments()) == given
    assert parse(VerifyRun(wheel=Path("w")).arguments()) == VerifyRun(wheel=Path("w"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--wheel=w", "--index-url=https://user:secret@host/simple"], "The address of https://host/simple holds credentials. Set them in pip's configuration, or in PIP_INDEX_URL."),
        (["--wheel=w", "--index-url=file:///x"], "'file:///x' is no HTTP address: URL should be absolute."),
    ],
)  # fmt: skip
def test_an_index_that_cannot_be_used_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(arguments)
    assert caught.value.message == message


def test_a_removal_needs_something_to_be_compared_with(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        told(make_wheel(tmp_path, "1.0").path, removed=("molecule_runtime.main",))
    assert (caught.value.reason, caught.value.message) == (
        "WrongUse",
        "--removed needs the release before: name it with --previous, or leave out --static.",
    )
