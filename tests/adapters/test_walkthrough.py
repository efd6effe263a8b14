"""The page about writing an adapter, done as it says: each file written, each command typed, on a real engine and index."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from builder.contract import PackageRun
from builder.verbs.package import package
from tests.adapters.conftest import Bench
from tests.e2e.desk import Desk
from tests.parts.engine import gateway
from tests.parts.ground import REPOSITORY
from tests.parts.index import Index, running_devpi
from tests.parts.leftovers import remove_leftovers

PAGE = REPOSITORY / "docs" / "adapters.md"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps() -> list[tuple[str, str, str]]:
    """Language, path and content of every block, in order."""
    return [(match[1], match[2] or "", match[3]) for match in _BLOCK.finditer(PAGE.read_text())]


def test_the_page_begins_a_template_writes_its_files_proves_it_and_takes_it_through_the_gate() -> None:
    typed = [line.split()[:3] for kind, _, text in steps() if kind == "sh" for line in text.splitlines()]
    assert [words for words in typed if words[0] == "wsr"] == [
        ["wsr", "adapter", "new"],
        ["wsr", "adapter", "check"],
    ]
    written = [path.removeprefix("templates/own/") for _, path, _ in steps() if path]
    assert written == ["requirements.txt", "adapter.py", "tests/test_adapter.py"]


@pytest.fixture
def index(engine: str) -> Iterator[Index]:
    """One of its own: what others publish in theirs would be newer than what is served here."""
    with running_devpi(address=gateway(engine)) as index:
        yield index


@pytest.fixture
def desk(engine: str, index: Index, base_image: str, tmp_path: Path) -> Iterator[Desk]:
    desk = Bench(tmp_path, engine=engine, index=index, base_image=base_image).lay_out("langgraph")
    try:
        yield desk
    finally:
        desk.close()
        remove_leftovers(engine, desk.prefix)


@pytest.mark.long
def test_what_the_page_says_works_as_it_is_typed(
    desk: Desk, index: Index, engine: str, tmp_path: Path
) -> None:
    served(index, tmp_path)
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PIP_INDEX_URL": index.simple_url,
        "PIP_TRUSTED_HOST": index.host,
        "WSR_SECRETS_DIR": str(desk.folder / "secrets"),
        "TMPDIR": str(tmp_path),
    }
    before = things(engine)
    for kind, path, text in steps():
        if kind != "sh":
            (desk.folder / path).write_text(text)
            continue
        (desk.folder / "templates" / "own" / "langchain_turns.py").unlink(missing_ok=True)
        done = subprocess.run(
            ["bash", "-euc", text], cwd=desk.folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-6000:]}{done.stderr[-3000:]}"
    assert things(engine) <= before
    broken = desk.folder / "templates" / "own" / "adapter.py"
    broken.write_text(broken.read_text().replace("yield event.delta", "yield 'nothing'"))
    check = ["wsr", "adapter", "check", "templates/own", "-f", "runtime.yaml"]
    done = subprocess.run(check, cwd=desk.folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "own" in done.stderr
    assert things(engine) <= before


def served(index: Index, folder: Path) -> None:
    """Let the index serve the runtime as it is here."""
    dist = folder / "dist"
    package(PackageRun(source=REPOSITORY / "workspace", version="0.1.0", out=folder / "tree", dist=dist))
    login = {"TWINE_USERNAME": index.username, "TWINE_PASSWORD": index.password}
    command = [sys.executable, "-m", "twine", "upload", "--repository-url", index.upload_url]
    subprocess.run(
        [*command, *map(str, dist.iterdir())], env={**os.environ, **login}, check=True, capture_output=True
    )


def things(engine: str) -> set[str]:
    """Names of all that a check makes in the engine."""
    client = docker.DockerClient(base_url=engine)
    try:
        named = [tag for image in client.images.list() for tag in image.tags]
        named += [volume.name for volume in client.volumes.list()]
        return {name for name in named if name.startswith("wsr-check-")}
    finally:
        client.close()
