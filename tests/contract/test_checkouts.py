"""A source in a repository is the folder of one commit: asked for seldom, fetched once, and proven each time it is used."""

import asyncio
import contextlib
import functools
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.api.v1alpha1 import Source
from controller.clients import checkouts as module
from controller.model.errors import Terminal, Transient, Waiting
from tests.contract.checking_out import FILES, Ground, ground_in, read, refused, source
from tests.parts.git_server import GitServer, running_git_server

LISTING = "info/refs"


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground_in(tmp_path) as made:
        yield made


@pytest.fixture
def server(ground: Ground) -> Iterator[GitServer]:
    """Lets anybody read."""
    with running_git_server(ground.repository.folder.parent) as running:
        running.open = True
        yield running


def command_lines() -> list[bytes]:
    """What runs on this machine."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(file.read_bytes())
    return found


def answering(status: int, _: str) -> tuple[int, dict[str, str]]:
    return status, {}


def core(server: GitServer) -> str:
    return f"{server.url}/core.git"


async def test_a_tag_of_the_version_leads_to_the_folder_of_its_commit_and_to_nothing_else(
    ground: Ground, server: GitServer
) -> None:
    commit = ground.repository.commit(FILES)
    ground.repository.commit({**FILES, "workspace/main.py": "print('two')\n"})
    ground.repository.tag("runtime-v0.1.0", commit)
    found = await ground.checkouts().look(source(core(server)), "0.1.0")
    assert (found.commit, found.name) == (commit, f"workspace of {core(server)} at {commit[:7]}")
    assert read(found) == {"main.py": FILES["workspace/main.py"], "run.sh": FILES["workspace/run.sh"]}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in found.folder.iterdir()}
    assert modes == {"main.py": 0o644, "run.sh": 0o755}


async def test_a_ref_is_a_branch_a_tag_or_a_commit(ground: Ground, server: GitServer) -> None:
    commit = ground.repository.commit(FILES)
    ground.repository.tag("v1", commit)
    ground.repository.tag("light", commit, annotated=False)
    ground.repository.git("update-ref", "refs/pull/7/head", commit)
    checkouts = ground.checkouts()
    for ref in ("main", "v1", "light", "refs/heads/main", "refs/tags/v1", "refs/pull/7/head", commit, "HEAD"):
        found = await checkouts.look(source(core(server), ref=ref, path="."), "0.1.0")
        assert (found.commit, sorted(read(found))) == (commit, sorted(FILES)), ref


async def test_a_server_that_gives_away_named_commits_only_is_asked_by_name(
    ground: Ground, server: GitServer
) -> None:
    commit = ground.repository.commit(FILES)
    ground.repository.commit({"README.md": "later"})
    ground.repository.tag("runtime-v0.1.0", commit)
    server.protocols = 0
    assert (await ground.checkouts().look(source(core(server)), "0.1.0")).commit == commit


async def test_of_a_long_history_one_commit_is_fetched(ground: Ground, server: GitServer) -> None:
    for number in range(30):
        ground.repository.commit({"workspace/noise": os.urandom(40_000).hex(), "workspace/n": str(number)})
    found = await ground.checkouts().look(source(core(server), ref="main"), "0.1.0")
    assert read(found)["n"] == "29"
    assert server.sent_bytes < 120_000, "one commit has 80 kB, all of them 2.4 MB"


async def test_refs_are_asked_once_a_minute_and_at_once_when_somebody_says_that_they_moved(
    ground: Ground, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ground.repository.commit(FILES)
    checkouts, at = ground.checkouts(), source(core(server), ref="main")
    other = source(core(server), ref="main", path=".")
    both = await asyncio.gather(checkouts.look(at, "0.1.0"), checkouts.look(other, "0.1.0"))
    assert {each.commit for each in both} == {first}
    pulled = server.asked("git-upload-pack")
    second = ground.repository.commit({**FILES, "workspace/main.py": "print('two')"})
    assert (await checkouts.look(at, "0.1.0")).commit == first
    assert server.asked("git-upload-pack") == pulled, "nothing was asked again"

    checkouts.look_anew()
    assert (await checkouts.look(at, "0.1.0")).commit == second
    assert (await checkouts.used(at, "0.1.0")).commit == second
    assert await checkouts.commit(at, "0.1.0") == second
    third = ground.repository.commit(FILES)
    monkeypatch.setattr(module, "REFS_SECONDS", 0.0)
    assert (await checkouts.used(at, "0.1.0")).commit == second, "what was looked at is acted on"
    assert (await checkouts.look(at, "0.1.0")).commit == third


async def test_one_listing_and_one_fetch_serve_all_folders_of_a_repository(
    ground: Ground, server: GitServer
) -> None:
    commit = ground.repository.commit(FILES | {f"templates/{n}/Dockerfile": "FROM x\n" for n in range(6)})
    places = [source(core(server), ref="main", path=f"templates/{n}") for n in range(6)]
    checkouts = ground.checkouts()
    found = await asyncio.gather(*(checkouts.look(at, "0.1.0") for at in places))
    assert {each.commit for each in found} == {commit}
    assert server.asked(LISTING) == 2, "one for the refs, one by which git begins the fetch"
    assert [sorted(read(each)) for each in found] == [["Dockerfile"]] * 6


async def test_a_checkout_that_is_there_costs_no_fetch_for_another_process_either(
    ground: Ground, server: GitServer
) -> None:
    ground.repository.commit(FILES)
    at = source(core(server), ref="main")
    found = await ground.checkouts().look(at, "0.1.0")
    asked = server.asked(LISTING)
    assert await ground.checkouts().look(at, "0.1.0") == found
    assert server.asked(LISTING) == asked + 1


async def test_a_tag_that_is_not_pushed_yet_is_waited_for_and_found_soon(
    ground: Ground, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = ground.repository.commit(FILES)
    checkouts, at = ground.checkouts(), source(core(server))
    problem = await refused(checkouts, at)
    assert isinstance(problem, Waiting)
    assert problem.reason == "SourceNotFound"
    assert str(problem) == (
        f"Waiting for runtime-v0.1.0 in {core(server)}, which has no such branch or tag. Push it, or correct"
        " spec.source.git.ref."
    )
    ground.repository.tag("runtime-v0.1.0", commit)
    asked = server.asked(LISTING)
    assert isinstance(await refused(checkouts, at), Waiting)
    assert server.asked(LISTING) == asked, "not asked in every pass"
    monkeypatch.setattr(module, "ABSENT_SECONDS", 0.0)
    assert (await checkouts.look(at, "0.1.0")).commit == commit


async def test_a_tag_that_was_moved_leads_to_its_new_commit(ground: Ground, server: GitServer) -> None:
    first = ground.repository.commit(FILES)
    ground.repository.tag("runtime-v0.1.0", first)
    checkouts, at = ground.checkouts(), source(core(server))
    assert (await checkouts.look(at, "0.1.0")).commit == first
    second = ground.repository.commit({"workspace/main.py": "print('two')"})
    ground.repository.tag("runtime-v0.1.0", second)
    checkouts.look_anew()
    found = await checkouts.look(at, "0.1.0")
    assert (found.commit, read(found)) == (second, {"main.py": "print('two')"})


async def test_a_branch_and_a_tag_of_one_name_have_to_be_told_apart(
    ground: Ground, server: GitServer
) -> None:
    tagged = ground.repository.commit(FILES)
    ground.repository.tag("stable", tagged)
    ground.repository.commit({"other": ""}, "stable")
    problem = await refused(ground.checkouts(), source(core(server), ref="stable", path="."))
    assert isinstance(problem, Terminal)
    assert problem.reason == "SourceRefused"
    assert str(problem) == (
        f"{core(server)} has a branch and a tag stable, at different commits. Write in spec.source.git.ref which is"
        " meant: refs/heads/stable or refs/tags/stable."
    )
    found = await ground.checkouts().look(source(core(server), ref="refs/tags/stable", path="."), "0.1.0")
    assert found.commit == tagged


@pytest.mark.parametrize(
    "path", ["absent", "README.md", "workspace/main.py", "workspace/absent/deeper", "link"]
)
async def test_a_path_that_is_no_folder_is_refused_with_the_commit(
    ground: Ground, server: GitServer, path: str
) -> None:
    commit = ground.repository.commit(FILES, links={"link": "workspace"})
    problem = await refused(ground.checkouts(), source(core(server), ref="main", path=path))
    assert isinstance(problem, Terminal)
    assert problem.reason == "SourceRefused"
    assert str(problem) == (
        f"{path} of {core(server)} at {commit[:7]} is no folder. Correct spec.source.git.path."
    )
    assert ground.kept() == []


async def test_submodules_big_files_kept_elsewhere_and_links_that_leave_are_refused_by_name(
    ground: Ground, server: GitServer
) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    commit = ground.repository.commit(
        {**FILES, "workspace/big.bin": pointer},
        links={
            "workspace/out": "../README.md",
            "workspace/abs": "/etc/passwd",
            "workspace/in": "main.py",
            "workspace/loop": "loop",
        },
    )
    with_module = ground.repository.commit(FILES, "modules", modules={"workspace/vendor": commit})
    problem = await refused(ground.checkouts(), source(core(server), ref="main"))
    assert str(problem) == (
        f"workspace of {core(server)} at {commit[:7]} holds what is not taken: abs is a link that leaves the folder"
        " (/etc/passwd); big.bin is kept in Git LFS; loop is a link that leaves the folder (loop) and 1 more. Put the"
        " files themselves there."
    )
    problem = await refused(ground.checkouts(), source(core(server), ref="modules"))
    assert str(problem) == (
        f"workspace of {core(server)} at {with_module[:7]} holds what is not taken: vendor is a submodule. Put the"
        " files themselves there."
    )
    assert ground.kept() == []


async def test_no_attribute_of_a_repository_changes_a_byte_or_runs_anything(
    ground: Ground, server: GitServer
) -> None:
    files = {
        "workspace/.gitattributes": "* text eol=crlf\n*.py ident filter=lfs export-ignore\n",
        "workspace/main.py": "# $Id$\nprint('one')\n",
    }
    ground.repository.commit(files)
    found = await ground.checkouts().look(source(core(server), ref="main"), "0.1.0")
    assert (found.folder / "main.py").read_bytes() == files["workspace/main.py"].encode()


@pytest.mark.parametrize("harm", ["edit", "add", "remove", "execute", "pass for another commit"])
async def test_what_somebody_changed_in_the_cache_is_not_used(
    ground: Ground, server: GitServer, harm: str
) -> None:
    earlier = ground.repository.commit({"workspace/main.py": "print('harm')"})
    ground.repository.commit(FILES)
    at, checkouts = source(core(server), ref="main"), ground.checkouts()
    found = await checkouts.look(at, "0.1.0")
    file = found.folder / "main.py"
    match harm:
        case "edit":
            file.write_text("print('harm')\n")
        case "add":
            (found.folder / "sitecustomize.py").write_text("")
        case "remove":
            file.unlink()
        case "execute":
            file.chmod(0o755)
        case _:
            other = await checkouts.look(source(core(server), ref=earlier), "0.1.0")
            shutil.rmtree(found.folder.parent)
            shutil.copytree(other.folder.parent, found.folder.parent)
    again = await checkouts.look(at, "0.1.0")
    assert again == found
    assert read(again) == {"main.py": FILES["workspace/main.py"], "run.sh": FILES["workspace/run.sh"]}
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


async def test_two_processes_that_fetch_the_same_at_once_share_one_checkout(
    ground: Ground, server: GitServer
) -> None:
    commit = ground.repository.commit(FILES)
    at = source(core(server), ref="main")
    found = await asyncio.gather(*(ground.checkouts().look(at, "0.1.0") for _ in range(4)))
    assert {each.commit for each in found} == {commit}
    assert len({each.folder for each in found}) == 1
    assert ground.kept() == [found[0].folder.parent]


async def test_whoever_is_killed_in_the_middle_of_a_fetch_leaves_nothing_that_is_used(
    ground: Ground, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.repository.commit(FILES)
    at = source(core(server), ref="main")
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.contract.checking_out import Ground, source\n"
        "ground = Ground(Path(sys.argv[1]))\n"
        "asyncio.run(ground.checkouts().look(source(sys.argv[2], ref='main'), '0.1.0'))\n"
    )
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def spoil(path: str) -> None:
        if path.endswith("git-upload-pack") and ground.kept():
            loop.call_soon_threadsafe(reached.set)
            time.sleep(0.5)

    server.spoil = spoil
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(ground.folder), core(server), stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(60):
        await reached.wait()
        child.kill()
        await child.wait()
    left = ground.kept()
    assert [each.name.startswith(".new-") for each in left] == [True]
    server.spoil = lambda _: None
    found = await ground.checkouts().look(at, "0.1.0")
    assert "main.py" in read(found)
    assert set(ground.kept()) == {*left, found.folder.parent}, "it may be somebody's who still works"

    monkeypatch.setattr(module, "UNUSED_SECONDS", 60.0)
    hour_ago = time.time() - 3600
    os.utime(left[0], (hour_ago, hour_ago))
    ground.repository.commit({"workspace/main.py": "print('two')"})
    second = await ground.checkouts().look(at, "0.1.0")
    assert set(ground.kept()) == {found.folder.parent, second.folder.parent}
    os.utime(found.folder.parent, (hour_ago, hour_ago))
    ground.repository.commit({"workspace/main.py": "print('three')"})
    third = await ground.checkouts().look(at, "0.1.0")
    assert set(ground.kept()) == {second.folder.parent, third.folder.parent}, "old ones go"


async def test_a_fetch_that_takes_longer_than_a_reading_may_goes_on_and_is_there_for_the_next_one(
    ground: Ground, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = ground.repository.commit(FILES)
    checkouts, at = ground.checkouts(), source(core(server), ref=commit)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    server.spoil = lambda _: time.sleep(0.6)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    problem = await refused(checkouts, at)
    assert isinstance(problem, Waiting)
    assert (str(problem), problem.reason) == (
        f"Waiting for {core(server)} at {commit[:7]} to be fetched",
        None,
    )
    assert ticks > 5, "nothing else stood still"
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 20.0)
    assert (await checkouts.look(at, "0.1.0")).commit == commit
    assert server.asked(LISTING) == 1, "it was begun once"
    ticking.cancel()


async def test_what_is_closed_in_the_middle_of_a_fetch_leaves_no_process_and_no_folder(
    ground: Ground, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = ground.repository.commit(FILES)
    checkouts = ground.checkouts()
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)
    ended = threading.Event()

    def silent(_: str) -> None:
        ended.wait(60)

    server.spoil = silent
    await refused(checkouts, source(core(server), ref=commit))
    async with asyncio.timeout(20):
        await checkouts.aclose()
    assert ground.kept() == []
    running = await asyncio.to_thread(command_lines)
    ended.set()
    assert not [each for each in running if core(server).encode() in each]


async def test_what_is_ended_is_taken_note_of_where_we_are_the_first_process_as_in_a_container(
    ground: Ground, server: GitServer
) -> None:
    commit = ground.repository.commit(FILES)
    script = (
        "import asyncio, contextlib, ctypes, os, sys\n"
        "from pathlib import Path\n"
        "from controller.clients import checkouts as module\n"
        "from controller.model.errors import Waiting\n"
        "from tests.contract.checking_out import Ground, source\n"
        "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans of ours become our children\n"
        "module.PATIENCE_SECONDS = 0.5\n"
        "async def main():\n"
        "    checkouts = Ground(Path(sys.argv[1])).checkouts()\n"
        "    with contextlib.suppress(Waiting):\n"
        "        await checkouts.look(source(sys.argv[2], ref=sys.argv[3]), '0.1.0')\n"
        "    await checkouts.aclose()\n"
        "asyncio.run(main())\n"
        "with contextlib.suppress(ChildProcessError):\n"
        "    print('left', os.waitpid(-1, os.WNOHANG))\n"
    )
    server.spoil = lambda _: time.sleep(2)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(ground.folder), core(server), commit),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate()
    assert (child.returncode, out) == (0, b"")


async def test_a_server_that_breaks_off_or_is_away_is_asked_again(
    ground: Ground, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = ground.repository.commit({**FILES, "workspace/noise": os.urandom(60_000).hex()})
    monkeypatch.setattr(module, "FAILED_SECONDS", 0.0)
    checkouts, at = ground.checkouts(), source(core(server), ref=commit)
    server.limit = 20_000
    problem = await refused(checkouts, at)
    assert isinstance(problem, Transient), problem
    assert str(problem).startswith(f"{core(server)} cannot be read: ")
    server.limit = None
    for status in (500, 502, 503, 429):
        server.spoil = functools.partial(answering, status)
        problem = await refused(checkouts, source(core(server), ref="main"))
        assert isinstance(problem, Transient), problem
        assert str(status) in str(problem)
    server.spoil = lambda _: None
    assert (await checkouts.look(at, "0.1.0")).commit == commit


async def test_a_host_that_is_away_is_asked_once_in_a_pass_for_all_that_it_has(
    ground: Ground, server: GitServer
) -> None:
    server.spoil = lambda _: (503, {})
    checkouts = ground.checkouts()
    for path in ("a", "b", "c"):
        await refused(checkouts, source(core(server), ref="main", path=path))
    assert server.asked(LISTING) == 1


async def test_a_folder_of_this_machine_is_taken_as_it_is(ground: Ground) -> None:
    found = await ground.checkouts().look(source_in("workspace"), "0.1.0")
    assert (found.folder, found.name, found.commit) == (
        ground.folder / "workspace",
        str(ground.folder / "workspace"),
        None,
    )


def source_in(directory: str) -> Source:
    return Source.model_validate({"directory": directory})
