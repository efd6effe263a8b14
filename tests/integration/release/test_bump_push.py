"""`wsr bump --push`: the version reaches the repository that an operator reads, as one commit of one file."""

from pathlib import Path

import pytest

from tests.integration.release.ground import Ground
from tests.parts.git_server import running_git_server
from tests.parts.typed import Ended, typed

DOCUMENT = (
    "apiVersion: runtime.molecule.ai/v1alpha1\nkind: WorkspaceRuntime\n"
    'metadata: {name: demo}\nspec:\n  version: "0.1.6"   # the one line\n'
)


def bump(ground: Ground, *arguments: str, cwd: Path | None = None) -> Ended:
    return typed("bump", *arguments, cwd=cwd or ground.root, environment=ground.given)


@pytest.fixture
def fleet(ground: Ground) -> Ground:
    ground.commit("fleet/runtime.yaml", DOCUMENT)
    (ground.folder / "fleet" / "notes").write_text("not for the commit")
    return ground


def test_one_commit_of_one_file_is_pushed_and_a_second_run_pushes_none(fleet: Ground) -> None:
    done = bump(fleet, "clone/fleet/runtime.yaml", "runtime-v0.1.7", "--push")
    head = fleet.git("rev-parse", "main", cwd=fleet.remote)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"clone/fleet/runtime.yaml:5: 0.1.6 is now 0.1.7, pushed as {head[:7]}.\n",
        "",
    )
    shown = fleet.git("show", "--format=%an: %s", "--name-only", "main", cwd=fleet.remote)
    assert shown == "wsr: Run version 0.1.7 of the workspace runtime\n\nfleet/runtime.yaml"
    assert (
        fleet.git("show", "main:fleet/runtime.yaml", cwd=fleet.remote)
        == DOCUMENT.replace("0.1.6", "0.1.7").strip()
    )
    again = bump(fleet, "clone/fleet/runtime.yaml", "0.1.7", "--push")
    assert again.stdout == f"clone/fleet/runtime.yaml:5: 0.1.7 already, pushed as {head[:7]}.\n"
    assert fleet.git("rev-parse", "main", cwd=fleet.remote) == head


def test_a_bump_whose_push_failed_is_pushed_by_the_next_run(fleet: Ground) -> None:
    assert bump(fleet, "clone/fleet/runtime.yaml", "0.1.7").returncode == 0
    assert bump(fleet, "clone/fleet/runtime.yaml", "0.1.7", "--push").returncode == 0
    assert '"0.1.7"' in fleet.git("show", "main:fleet/runtime.yaml", cwd=fleet.remote)


def test_the_token_pushes(fleet: Ground) -> None:
    with running_git_server(fleet.root) as server:
        fleet.git("remote", "set-url", "origin", f"{server.url}/remote.git")
        refused = bump(fleet, "clone/fleet/runtime.yaml", "0.1.7", "--push")
        assert refused.returncode == 1
        assert "Give a token that may push: --token-file FILE or WSR_RELEASE_TOKEN" in refused.stderr
        fleet.environment["WSR_RELEASE_TOKEN"] = server.token
        assert bump(fleet, "clone/fleet/runtime.yaml", "0.1.7", "--push").returncode == 0
    assert '"0.1.7"' in fleet.git("show", "main:fleet/runtime.yaml", cwd=fleet.remote)


def test_a_branch_that_moved_on_is_not_overwritten(fleet: Ground) -> None:
    other = fleet.clone("other")
    (other / "more").write_text("")
    for command in (["add", "."], ["commit", "-qm", "Meanwhile"], ["push", "-q", "origin", "HEAD"]):
        fleet.git(*command, cwd=other)
    done = bump(fleet, "clone/fleet/runtime.yaml", "0.1.7", "--push")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "clone/fleet/runtime.yaml:5: 0.1.6 is now 0.1.7.\n"
        "Cannot push to origin: it has moved on since it was fetched.\nRun it again, on an up-to-date checkout.\n"
    )
    assert fleet.git("log", "-1", "--format=%s", "main", cwd=fleet.remote) == "Meanwhile"


def test_without_a_branch_there_is_nothing_to_push_to(fleet: Ground) -> None:
    fleet.git("switch", "--quiet", "--detach")
    done = bump(fleet, "runtime.yaml", "0.1.7", "--push", cwd=fleet.folder / "fleet")
    assert done.returncode == 1
    assert done.stderr == (
        "runtime.yaml:5: 0.1.6 is now 0.1.7.\n"
        f"{fleet.folder}/fleet has no branch checked out to push to.\nCheck one out.\n"
    )


def test_outside_a_repository_a_bump_is_made_and_said_not_to_be_pushed(fleet: Ground) -> None:
    (fleet.root / "alone.yaml").write_text((fleet.folder / "fleet" / "runtime.yaml").read_text())
    done = bump(fleet, "alone.yaml", "0.1.7", "--push")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "alone.yaml:5: 0.1.6 is now 0.1.7.\n"
        f"{fleet.root} is in no git repository, so nothing can be pushed.\n"
        "Clone the repository that holds the document, or leave out --push.\n"
    )


def test_a_token_without_a_push_is_wrong_use(fleet: Ground) -> None:
    done = bump(fleet, "clone/fleet/runtime.yaml", "0.1.7", "--token-file", "token")
    assert done.returncode == 2
    assert "--token-file goes with --push." in done.stderr


def test_a_file_that_git_ignores_is_not_told_to_be_pushed(fleet: Ground) -> None:
    fleet.git("rm", "--quiet", "--cached", "fleet/runtime.yaml")
    fleet.commit(".gitignore", "runtime.yaml\n")
    head = fleet.git("rev-parse", "main", cwd=fleet.remote)
    done = bump(fleet, "runtime.yaml", "0.1.7", "--push", cwd=fleet.folder / "fleet")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "runtime.yaml:5: 0.1.6 is now 0.1.7.\n"
        f"{fleet.folder}/fleet/runtime.yaml is ignored by git, so it reaches no remote.\n"
        "Take it out of .gitignore, or `git add --force` it once.\n"
    )
    assert fleet.git("rev-parse", "main", cwd=fleet.remote) == head
