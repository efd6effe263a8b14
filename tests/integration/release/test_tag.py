"""`wsr release tag`: one annotated tag, pushed once, with a token that stands in no argument, address or log."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.release.ground import Ground
from tests.parts.git_server import GitServer, running_git_server
from tests.parts.small_wheel import make_wheel


@pytest.fixture(autouse=True)
def packages(ground: Ground, index: tuple[str, Path]) -> Path:
    """The folder of what the index serves that tags are compared with."""
    ground.index, folder = index
    return folder


SAMPLE = Path(__file__).resolve().parents[3] / "crds" / "samples" / "standalone.yaml"


def remote_tags(ground: Ground) -> dict[str, str]:
    lines = ground.git("ls-remote", "--tags", str(ground.remote)).splitlines()
    return {line.split("\t")[1]: line.split("\t")[0] for line in lines}


def test_the_tag_is_annotated_and_pushed_and_a_second_run_changes_nothing(
    ground: Ground, packages: Path
) -> None:
    commit = ground.commit("workspace/main.py", "One")
    first = ground.tag()
    assert (first.returncode, first.stdout) == (0, "0.1.0\n")
    assert first.stderr == (
        f"Pushed runtime-v0.1.0, at {commit[:7]}: 1 change and no release yet; no release label.\n"
    )
    tags = remote_tags(ground)
    assert tags["refs/tags/runtime-v0.1.0^{}"] == commit
    assert ground.git("cat-file", "-t", "runtime-v0.1.0") == "tag"
    assert ground.git("tag", "-l", "--format=%(contents:subject)") == "Workspace runtime 0.1.0"
    second = ground.tag()
    assert (second.returncode, second.stdout) == (0, "")
    assert (
        second.stderr
        == "Nothing to release: nothing under workspace/ or builder/ changed since runtime-v0.1.0.\n"
    )
    assert remote_tags(ground) == tags
    make_wheel(packages, "0.1.0")
    ground.commit("workspace/main.py", "Two")
    assert json.loads(ground.tag("-o", "json").stdout)["tag"] == "runtime-v0.1.1"


def test_without_an_index_to_agree_with_nothing_is_tagged(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    done = ground.release("tag")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "No index is known to compare the tags with, and nothing is tagged that an index may contradict.\n"
        "Name it with --index URL, or a document that does with -f FILE.\n"
    )
    assert remote_tags(ground) == {}


def test_the_index_of_a_document_is_one_to_agree_with(ground: Ground, packages: Path) -> None:
    document = yaml.safe_load(SAMPLE.read_text())
    document["spec"]["package"]["index"] = {"uploadURL": ground.index, "simpleURL": ground.index}
    (ground.root / "runtime.yaml").write_text(yaml.safe_dump(document))
    ground.commit("workspace/main.py", "One")
    make_wheel(packages, "0.3.0")
    stray = ground.release("tag", "-f", "../runtime.yaml")
    assert (stray.returncode, stray.stdout) == (1, "")
    assert "The index serves 0.3.0, but there is no runtime-v* tag.\n" in stray.stderr
    ground.tagged("0.3.0")
    ground.commit("workspace/main.py", "Two")
    assert ground.release("tag", "-f", "../runtime.yaml").stdout == "0.3.1\n"


def test_two_runs_at_once_tag_once(ground: Ground) -> None:
    commit = ground.commit("workspace/main.py", "One")
    other = ground.clone("other")
    _when_asked_to_push(
        ground.folder,
        f"cd {other} && git -c user.name=x -c user.email=x@y tag -a -m x runtime-v0.1.0 && git push -q origin runtime-v0.1.0",
    )
    done = ground.tag()
    assert (done.returncode, done.stdout) == (0, "0.1.0\n")
    assert done.stderr.startswith(f"runtime-v0.1.0 stood there already, at {commit[:7]}: ")
    assert remote_tags(ground)["refs/tags/runtime-v0.1.0^{}"] == commit


def test_a_tag_that_appears_meanwhile_at_another_commit_is_refused_with_both_named(ground: Ground) -> None:
    ours = ground.commit("workspace/main.py", "One")
    other = ground.clone("other")
    (other / "workspace" / "more.py").write_text("")
    ground.git("add", ".", cwd=other)
    ground.git("commit", "--quiet", "--message", "Two", cwd=other)
    theirs = ground.git("rev-parse", "HEAD", cwd=other)
    _when_asked_to_push(
        ground.folder,
        f"cd {other} && git -c user.name=x -c user.email=x@y tag -a -m x runtime-v0.1.0 && git push -q origin runtime-v0.1.0",
    )
    done = ground.tag()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"origin has runtime-v0.1.0 at {theirs[:7]}, not at {ours[:7]}.\n"
        "Somebody released meanwhile; run it again, on an up-to-date checkout.\n"
    )
    assert ground.git("tag", "-l") == ""


def _when_asked_to_push(folder: Path, command: str) -> None:
    """Let something happen between the decision and the push: git asks this hook in between."""
    hook = folder / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nunset GIT_DIR\n{command}\n")
    hook.chmod(0o755)


def test_a_push_that_the_remote_refuses_leaves_no_tag_anywhere(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    hook = ground.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'Tags are made by the release team.'\nexit 1\n")
    hook.chmod(0o755)
    done = ground.tag()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Cannot push to origin: remote: Tags are made by the release team.\nCorrect what git names.\n"
    )
    assert ground.git("tag", "-l") == ""
    hook.unlink()
    done = ground.tag()
    assert (done.stdout, done.returncode) == ("0.1.0\n", 0), done.stderr


def test_without_a_remote_there_is_nowhere_to_push(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.git("remote", "remove", "origin")
    assert ground.release("next").stdout == "0.1.0\n"
    done = ground.tag()
    assert done.returncode == 2
    assert done.stderr == (
        ". has no remote origin to push a tag to.\n"
        "Name one with --remote NAME, or the repository with --repo DIR.\n"
    )
    done = ground.tag("--repo", str(ground.root))
    assert (done.returncode, done.stderr) == (
        2,
        f"{ground.root} is not in a git repository with a commit.\nName one with --repo DIR.\n",
    )


def test_a_commit_that_no_branch_of_the_remote_has_is_not_released(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.git("commit", "--quiet", "--allow-empty", "--message", "Mine alone")
    commit = ground.git("rev-parse", "--short=7", "HEAD")
    done = ground.tag()
    assert done.returncode == 1
    assert done.stderr == (
        f"{commit}, which is checked out, is on no branch of origin: a tag would release what nobody has reviewed.\n"
        "Push it to its branch first, git push origin HEAD:BRANCH.\n"
    )
    assert remote_tags(ground) == {}


@pytest.mark.parametrize("branch", ["main", "other"])
def test_a_commit_behind_a_branch_that_was_not_fetched_is_released(ground: Ground, branch: str) -> None:
    ground.commit("workspace/main.py", "One")
    theirs = ground.clone("theirs")
    ground.git("commit", "--quiet", "--allow-empty", "--message", "Theirs", cwd=theirs)
    ground.git("push", "--quiet", "origin", f"HEAD:{branch}", cwd=theirs)
    if branch == "other":
        ground.git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/main", cwd=theirs)
    done = ground.tag()
    assert (done.stdout, done.returncode) == ("0.1.0\n", 0), done.stderr


@pytest.fixture
def server(ground: Ground) -> Iterator[GitServer]:
    """The remote behind HTTP and a token, as the clone's origin."""
    ground.commit("workspace/main.py", "One")
    with running_git_server(ground.root) as running:
        ground.git("remote", "set-url", "origin", f"{running.url}/remote.git")
        yield running


@pytest.mark.parametrize("way", ["environment", "file"])
def test_the_token_reaches_the_remote_by_gits_credentials(
    ground: Ground, server: GitServer, way: str
) -> None:
    arguments = []
    if way == "file":
        (ground.root / "token").write_text(f"{server.token}\n")
        (ground.root / "token").chmod(0o600)
        arguments = ["--token-file", str(ground.root / "token")]
    else:
        ground.environment["WSR_RELEASE_TOKEN"] = server.token
    # What a checkout in a workflow leaves behind: a header with its own token, which must not be the one that pushes.
    ground.git("config", f"http.{server.url}/.extraheader", "AUTHORIZATION: basic c3RhbGU6c3RhbGU=")
    done = ground.tag(*arguments)
    assert (done.returncode, done.stdout) == (0, "0.1.0\n"), done.stderr
    assert "refs/tags/runtime-v0.1.0^{}" in remote_tags(ground)
    assert {given for _, given in server.seen} == {None, server.authorization}
    assert server.token not in (ground.folder / ".git" / "config").read_text()


def test_the_token_stands_in_no_argument_of_any_child(ground: Ground, server: GitServer) -> None:
    ground.environment["WSR_RELEASE_TOKEN"] = server.token
    real, log = shutil.which("git"), ground.root / "calls"
    fake = ground.root / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{log}\nexec {real} "$@"\n')
    fake.chmod(0o755)
    ground.environment["PATH"] = f"{fake.parent}:{os.environ['PATH']}"
    assert ground.tag().returncode == 0
    calls = log.read_text()
    assert "push --quiet origin" in calls
    assert server.token not in calls


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("token", [None, "wrong-token"])
def test_a_push_without_a_good_token_says_which_one_to_give(ground: Ground, token: str | None) -> None:
    if token:
        ground.environment["WSR_RELEASE_TOKEN"] = token
    done = ground.tag()
    assert (done.returncode, done.stdout) == (1, "")
    message, cure = done.stderr.splitlines()
    assert message.startswith("Cannot read origin: fatal: ")
    assert cure == (
        "Give a token that may push: --token-file FILE or WSR_RELEASE_TOKEN; what a workflow pushes with its own "
        "GITHUB_TOKEN starts no other workflow."
    )
    assert "wrong-token" not in done.stderr


def test_the_token_is_not_given_to_another_host(ground: Ground, server: GitServer) -> None:
    """A submodule, a redirect or a second remote elsewhere asks in vain."""
    ground.environment["WSR_RELEASE_TOKEN"] = server.token
    with running_git_server(ground.root) as other:
        ground.git("remote", "add", "elsewhere", f"{other.url}/remote.git")
        hook = ground.folder / ".git" / "hooks" / "pre-push"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nunset GIT_DIR\ngit ls-remote elsewhere >/dev/null 2>&1\nexit 0\n")
        hook.chmod(0o755)
        assert ground.tag().returncode == 0
        assert other.seen
        assert {given for _, given in other.seen} == {None}


def test_a_remote_that_is_down_is_no_agreement(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.git("remote", "set-url", "origin", "http://127.0.0.1:1/remote.git")
    done = ground.tag()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "Cannot read origin: fatal: unable to access 'http://127.0.0.1:1/remote.git/': "
    )


def test_a_run_that_is_killed_before_the_push_leaves_no_tag_behind(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    _when_asked_to_push(ground.folder, "exit 1")
    assert ground.tag().returncode == 1
    assert subprocess.run(["git", "tag"], cwd=ground.folder, capture_output=True, check=True).stdout == b""
    (ground.folder / ".git" / "hooks" / "pre-push").unlink()
    done = ground.tag()
    assert (done.stdout, done.returncode) == ("0.1.0\n", 0), done.stderr


def test_a_clone_that_cannot_take_the_tag_does_not_make_a_pushed_one_fail(ground: Ground) -> None:
    commit = ground.commit("workspace/main.py", "One")
    (ground.folder / ".git" / "refs" / "tags" / "runtime-v0.1.0").mkdir()
    (ground.folder / ".git" / "refs" / "tags" / "runtime-v0.1.0" / "in-the-way").touch()
    done = ground.tag()
    assert (done.returncode, done.stdout) == (0, "0.1.0\n")
    assert ground.git("rev-parse", "runtime-v0.1.0^{commit}", cwd=ground.remote) == commit
