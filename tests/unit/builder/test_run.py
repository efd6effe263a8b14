"""A run's last words: the report on stdout, complaints on stderr, the exit code that the contract gives them."""

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from builder import __main__ as entry
from builder.contract import Outcome, PackageRun, PublishRun, Report
from builder.problems import Refused, TryAgain
from builder.verbs import package, publish


def test_arguments_of_a_package_run_are_read_back_as_they_were_given() -> None:
    given = PackageRun(
        source=Path("a b"), version="-1", out=Path("-out"), name="n", module="m", dist=Path("d"), commit="c"
    )
    assert package.parse(given.arguments()) == given
    short = PackageRun(source=Path("s"), version="1", out=Path("o"))
    assert package.parse(short.arguments()) == short


def test_arguments_of_a_publish_run_are_read_back_as_they_were_given() -> None:
    given = PublishRun(
        files=(Path("-a.whl"), Path("b.tar.gz")),
        upload_url="http://u/",
        simple_url="http://s/",
        deadline_seconds=0.5,
        credentials=Path("c"),
        ca=Path("ca"),
    )
    assert publish.parse(given.arguments()) == given


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://user:secret@host/x", "The address of https://host/x holds credentials. Give them as files, by --credentials."),
        ("ftp://host/", "'ftp://host/' is no HTTP address."),
        ("simple", "'simple' is no HTTP address: URL should be absolute."),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_refused_without_its_secrets(url: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        publish.parse(["--dist=d", "--upload-url", url, "--simple-url=http://s/", "--deadline=1"])
    assert caught.value.message == message


def ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> tuple[int, Report, str]:
    def run(arguments: Sequence[str]) -> Report:
        assert arguments == ["--version=1"]
        raise error

    monkeypatch.setattr(package, "run", run)
    code = entry.main(["package", "--version=1"])
    said = capsys.readouterr()
    return code, Report.from_line(said.out), said.err


def test_a_refusal_exits_10_with_every_complaint_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report, said = ended(monkeypatch, capsys, Refused("SourceRefused", ["a.py:1: x", "b.py:2: y"]))
    assert (code, said) == (10, "a.py:1: x\nb.py:2: y\n")
    assert (report.outcome, report.reason, report.message) == (
        Outcome.REFUSED,
        "SourceRefused",
        "a.py:1: x (and 1 more)",
    )


def test_a_world_that_is_not_ready_exits_20_and_says_when_to_come_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report, said = ended(monkeypatch, capsys, TryAgain("IndexUnavailable", "busy", retry_after=7))
    assert (code, said) == (20, "busy\n")
    assert report.facts == {"retryAfterSeconds": 7}


def test_a_full_disk_exits_20_and_says_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report, _ = ended(monkeypatch, capsys, OSError(errno.ENOSPC, "No space left on device", "/out/x"))
    assert code == 20
    assert (report.reason, report.message) == (
        "DiskFull",
        "No space is left to write /out/x. Free some and run again.",
    )


def test_a_mistake_of_ours_is_not_dressed_up_as_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError):
        ended(monkeypatch, capsys, ZeroDivisionError())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "There is no verb ''."),
        (["pakage"], "There is no verb 'pakage'."),
        (["package", "--nope"], "python -m builder package: "),
    ],
)
def test_wrong_use_is_a_refusal_too(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.main(arguments) == 10
    report = Report.from_line(capsys.readouterr().out)
    assert report.reason == "WrongUse"
    assert report.message.startswith(message)
