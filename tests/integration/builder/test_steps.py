"""Commands that another container runs: what they say and how they end comes back, and they end with who asked."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from builder.buildah import Buildah
from builder.engine import EngineError, EngineUnavailable
from builder.steps import Steps, Stream
from tests.parts.ground import REPOSITORY


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Path, asyncio.subprocess.Process]]:
    """A socket, and the process that serves it."""
    socket = tmp_path / "place" / "steps.sock"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "builder.steps", str(socket), cwd=REPOSITORY
    )
    await _until(socket.exists)
    try:
        yield socket, child
    finally:
        with suppress(ProcessLookupError):
            child.terminate()
        assert await child.wait() in {0, -signal.SIGKILL}, "it ends when it is told to"


async def _until(seen: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(seen):  # noqa: ASYNC110 -- another process does it
            await asyncio.sleep(0.02)


async def _pid(file: Path) -> int:
    await _until(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(await asyncio.to_thread(file.read_text))


async def _ran(socket: Path, script: str, **environment: str) -> tuple[int, dict[Stream, bytes]]:
    said: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}

    def told(stream: Stream, more: bytes) -> None:
        said[stream] += more

    code = await Steps(socket).call(["sh", "-c", script], environment, told)
    return code, said


async def test_a_command_says_what_it_says_and_ends_as_it_ends(
    served: tuple[Path, asyncio.subprocess.Process],
) -> None:
    code, said = await _ran(
        served[0], "echo $WORD; head -c 3000000 /dev/zero; echo no >&2; exit 3", WORD="yes"
    )
    assert code == 3
    assert said == {"stdout": b"yes\n" + bytes(3_000_000), "stderr": b"no\n"}
    code, said = await _ran(served[0], "kill -9 $$")
    assert (code, said["stdout"]) == (-9, b"")


async def test_a_command_goes_with_whoever_asked_for_it(
    served: tuple[Path, asyncio.subprocess.Process], tmp_path: Path
) -> None:
    asked = asyncio.create_task(_ran(served[0], f"echo $$ >{tmp_path}/pid; sleep 600 & sleep 600"))
    pid = await _pid(tmp_path / "pid")
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)

    def all_gone() -> bool:
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return True
        return False

    await _until(all_gone)


async def test_one_that_goes_away_in_the_middle_is_told_as_that(
    served: tuple[Path, asyncio.subprocess.Process], tmp_path: Path
) -> None:
    asked = asyncio.create_task(_ran(served[0], f"echo $$ >{tmp_path}/pid; sleep 600"))
    pid = await _pid(tmp_path / "pid")
    served[1].kill()
    with pytest.raises(EngineUnavailable) as gone:
        await asked
    assert str(gone.value) == "What ran sh went away before it ended."
    os.killpg(pid, signal.SIGKILL)


WRITES = """\
#!/bin/sh
for last; do :; done
out=${last#dir:}
rm "$out"/* 2>/dev/null
%s
"""


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("ln -s {secret} $out/manifest.json", "Too many levels of symbolic links"),
        ("rmdir $out; ln -s {folder} $out", "Not a directory"),
        ("mkfifo $out/manifest.json; exec 9<>$out/manifest.json; sleep 5 &", "manifest.json is no file"),
        ("echo '{{}}' >$out/manifest.json", "'config'"),
    ],
)
async def test_what_a_step_puts_in_the_place_of_an_image_is_not_followed(
    served: tuple[Path, asyncio.subprocess.Process],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    does: str,
    said: str,
) -> None:
    program = tmp_path / "bin" / "buildah"
    program.parent.mkdir()
    secret = tmp_path / "secret" / "manifest.json"
    secret.parent.mkdir()
    secret.write_text("a word that nobody may see")
    program.write_text(WRITES % does.format(secret=secret, folder=secret.parent))
    program.chmod(0o755)
    buildah = Buildah(served[0].parent)
    monkeypatch.setattr(Buildah, "_command", (str(program),))
    with pytest.raises(EngineError) as refused:
        async with buildah.laid_out("echo:1"):
            pass
    assert str(refused.value).startswith("What Buildah wrote of echo:1 is no image: ")
    assert said in str(refused.value)
    assert "nobody may see" not in str(refused.value)
    assert secret.read_text()
