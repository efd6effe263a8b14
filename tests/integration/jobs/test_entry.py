"""The entry of a Job, without one: what it fetches, runs, sends and leaves as its last words, against a real registry."""

import json
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builder.contract import REPORT_LIMIT_BYTES, Outcome, Report
from builder.oci import Client, Reference
from builder.packing import fetch, packed, send
from tests.parts.ground import REPOSITORY

MESSAGE_LIMIT_BYTES = 4_096


def entry(tmp_path: Path, *arguments: str) -> tuple[int, list[str], str]:
    """Exit code, lines of the termination message, and log."""
    message = tmp_path / "message"
    command = [sys.executable, "-P", "-m", "builder.job", f"--message={message}", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.stdout == "", "the report is no line of the log"
    return done.returncode, message.read_text().splitlines() if message.exists() else [], done.stderr


async def sent(registry: str, *paths: Path) -> str:
    reference = Reference.parse(f"{registry}/runs/{secrets.token_hex(4)}:inputs")
    async with Client(insecure=True) as client:
        return f"{reference.name}@{await send(client, reference, packed(paths))}"


def source(tmp_path: Path, text: str = "def main_sync():\n    pass\n") -> Path:
    folder = tmp_path / "work" / "source"
    folder.mkdir(parents=True)
    (folder / "main.py").write_text(text)
    return folder


def words(artifact: str, folder: Path, out: Path) -> list[str]:
    return [
        f"--artifact={artifact}",
        "--results=results",
        f"--folder={folder}",
        f"--writes={out}",
        "--insecure",
        "--",
        "package",
        f"--source={folder}",
        "--version=0.1",
        f"--out={out}",
    ]


async def test_a_run_finds_its_files_and_its_results_are_found_by_the_digest_in_its_last_words(
    registry: str, tmp_path: Path
) -> None:
    folder, out = source(tmp_path), tmp_path / "work" / "out"
    artifact = await sent(registry, folder)
    shutil.rmtree(folder)
    code, (report, digest), _ = entry(tmp_path, *words(artifact, folder, out))
    assert (code, Report.from_line(report).reason) == (0, "Packaged")
    made = (out / "pyproject.toml").read_bytes()
    shutil.rmtree(out)
    repository = Reference.parse(artifact)
    async with Client(insecure=True) as client:
        assert (await client.head(repository.at("results"))).digest == digest
        await fetch(client, repository.at(digest), [out])
    assert (out / "pyproject.toml").read_bytes() == made


async def test_a_refusal_is_the_verbs_own(registry: str, tmp_path: Path) -> None:
    folder = source(tmp_path, "import nowhere_to_be_found\n")
    artifact = await sent(registry, folder)
    code, (report, *digests), log = entry(tmp_path, *words(artifact, folder, tmp_path / "work" / "out"))
    assert (code, Report.from_line(report).outcome) == (10, 10)
    assert digests == [], "nothing was written"
    assert "main.py" in log, "what is wrong is told to people, too"


async def test_files_that_are_gone_are_for_another_try_and_a_registry_that_is_away_too(
    registry: str, tmp_path: Path
) -> None:
    folder = source(tmp_path)
    gone = f"{registry}/runs/none@sha256:{'0' * 64}"
    for artifact, reason in (
        (gone, "RegistryNotFound"),
        (gone.replace(registry, "127.0.0.1:1"), "RegistryUnavailable"),
    ):
        code, (report,), _ = entry(tmp_path, *words(artifact, folder, tmp_path / "work" / "out"))
        assert (code, Report.from_line(report).reason) == (20, reason)


async def test_an_artifact_puts_nothing_where_the_run_reads_nothing(registry: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("x")
    artifact = await sent(registry, other)
    other.unlink()
    folder = source(tmp_path)
    code, (report,), _ = entry(tmp_path, *words(artifact, folder, tmp_path / "work" / "out"))
    assert (code, Report.from_line(report).reason) == (10, "ArtifactRefused")
    assert not other.exists()


@pytest.mark.parametrize("length", [10, REPORT_LIMIT_BYTES * 2])
def test_the_longest_report_and_a_digest_fit_into_a_termination_message(length: int) -> None:
    line = Report("package", Outcome.REFUSED, "X", "m" * length).to_line()
    assert len(f"{line}\nsha256:{'0' * 64}".encode()) <= MESSAGE_LIMIT_BYTES
    assert json.loads(line)["verb"] == "package"
