"""`wsr release next` against real repositories, a real index, and a stand-in for GitHub."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.integration.release.ground import Ground
from tests.parts.github_api import GitHubApi
from tests.parts.servers import free_port, serving, status_of
from tests.parts.small_wheel import make_wheel

SAMPLE = Path(__file__).resolve().parents[3] / "crds" / "samples" / "standalone.yaml"
UNKNOWN = (
    "No repository of GitHub is known, so no labels were read. "
    "Name it with --github OWNER/NAME, or the labels with --label.\n"
)
ALONE = (
    "No index is known, so the tags were not compared with one. "
    "Name it with --index URL, or a document that does with -f FILE.\n"
)


def test_the_version_is_on_stdout_alone_and_the_reason_beside_it(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.9")
    ground.tagged("0.1.10")
    ground.commit("builder/main.py", "Two")
    done = ground.release("next")
    assert (done.returncode, done.stdout) == (0, "0.1.11\n")
    assert done.stderr == f"{UNKNOWN}{ALONE}0.1.11: 1 change since runtime-v0.1.10; no release label.\n"


def test_a_tag_that_a_person_pushed_without_a_message_counts_as_well(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.git("tag", "runtime-v0.1.6")
    ground.git("push", "--quiet", "origin", "runtime-v0.1.6")
    ground.commit("workspace/main.py", "Two")
    assert ground.release("next").stdout == "0.1.7\n"
    ground.git("remote", "remove", "origin")
    assert ground.release("next").stdout == "0.1.7\n"


def test_the_first_release_needs_no_tag(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    done = ground.release("next", "-o", "yaml")
    assert yaml.safe_load(done.stdout) == {
        "version": "0.1.0",
        "tag": "runtime-v0.1.0",
        "size": "patch",
        "reason": "1 change and no release yet; no release label",
        "message": "0.1.0: 1 change and no release yet; no release label.",
    }


def test_changes_elsewhere_release_nothing(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    ground.commit("README.md", "Two")
    done = ground.release("next", cwd=ground.folder / "workspace")
    assert (done.returncode, done.stdout) == (0, "")
    assert (
        done.stderr
        == f"{ALONE}Nothing to release: nothing under workspace/ or builder/ changed since runtime-v0.1.6.\n"
    )
    assert json.loads(ground.release("next", "-o", "json").stdout)["version"] is None


def test_labels_of_merged_pull_requests_decide_and_only_of_changes_that_count(
    ground: Ground, github: GitHubApi
) -> None:
    before = ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    elsewhere = ground.commit("README.md", "Two")
    first = ground.commit("workspace/main.py", "Three")
    second = ground.commit("workspace/main.py", "Four")
    github.merged(before, "release:major")
    github.merged(elsewhere, "release:major")
    github.merged(first, "bug", "release:minor")
    github.merged(second, "docs")
    done = ground.release("next")
    assert (done.stdout, done.stderr) == (
        "0.2.0\n",
        f"{ALONE}0.2.0: 2 changes since runtime-v0.1.6; label release:minor.\n",
    )
    paths = [f"/repos/team/runtime/commits/{commit}/pulls?per_page=100" for commit in (first, second)]
    assert sorted(github.seen) == sorted(paths)


def test_a_merge_commit_counts_once_for_all_that_it_merges(ground: Ground, github: GitHubApi) -> None:
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    ground.git("switch", "--quiet", "--create", "side")
    ground.commit("workspace/a.py", "Two")
    ground.commit("workspace/b.py", "Three [skip-release]")
    ground.git("switch", "--quiet", "main")
    ground.commit("README.md", "Meanwhile")
    ground.git("merge", "--quiet", "--no-ff", "--message", "Merge pull request #9", "side")
    merge = ground.git("rev-parse", "HEAD")
    github.merged(merge, "release:major", number=9)
    done = ground.release("next")
    assert done.stdout == "1.0.0\n"
    assert github.seen == [f"/repos/team/runtime/commits/{merge}/pulls?per_page=100"]


def test_a_pull_request_can_ask_for_no_release_by_its_title(ground: Ground, github: GitHubApi) -> None:
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    commit = ground.commit("workspace/main.py", "Two (#8)")
    github.merged(commit, "release:major", title="Tidy up [no-release]")
    done = ground.release("next")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{ALONE}Nothing to release: {commit[:7]}, the newest change, says [no-release].\n"


def test_a_label_that_slipped_is_refused_and_others_mean_nothing(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    done = ground.release("next", "--label", "bug", "--label", "release:mjor")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "The label 'release:mjor' says of no release how much it grows.\n"
        "Write one of release:major, release:minor, release:patch.\n"
    )
    assert ground.release("next", "--label", "release:patch").stdout == "0.1.0\n"


def test_with_labels_given_github_is_not_asked(ground: Ground, github: GitHubApi) -> None:
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    ground.commit("workspace/main.py", "Two")
    assert ground.release("next", "--label", "release:major", "--label", "bug").stdout == "1.0.0\n"
    assert github.seen == []


def test_a_github_that_refuses_is_no_patch_release(ground: Ground, github: GitHubApi) -> None:
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    ground.commit("workspace/main.py", "Two")
    ground.environment |= {"GITHUB_TOKEN": "wrong-token"}
    done = ground.release("next")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"GitHub does not know the token (401, {github.url}/repos/team/runtime/commits/"
    )
    assert "wrong-token" not in done.stderr


def test_tags_from_a_file_need_neither_git_nor_github(ground: Ground) -> None:
    listed = "v9.9.9\nruntime-v0.1.6\n0123abc\trefs/tags/runtime-v0.1.10\n0123abc\trefs/tags/runtime-v0.1.10^{}\n\n"
    (ground.root / "tags").write_text(listed)
    done = ground.release("next", "--tags", "tags", "--label", "release:minor", cwd=ground.root)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "0.2.0\n",
        f"{ALONE}0.2.0: label release:minor.\n",
    )
    assert ground.release("next", "--tags", "tags", cwd=ground.root).stdout == "0.1.11\n"


def test_a_shallow_clone_without_tags_is_completed(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    ground.commit("workspace/main.py", "Two")
    ground.commit("README.md", "Three")
    shallow = ground.clone("shallow", "--depth=1", "--no-tags")
    done = ground.release("next", "--label", "bug", cwd=shallow)
    assert (done.stdout, done.stderr) == (
        "0.1.7\n",
        f"{ALONE}0.1.7: 1 change since runtime-v0.1.6; no release label.\n",
    )


def test_a_history_that_cannot_be_fetched_is_said_with_the_command(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    ground.commit("workspace/main.py", "Two")
    shallow = ground.clone("shallow", "--depth=1", "--branch=main")
    # The remote tells its tags, and breaks when it is asked for what they name.
    for pack in (ground.remote / "objects").rglob("*"):
        if pack.is_file():
            pack.unlink()
    done = ground.release("next", cwd=shallow)
    assert done.returncode == 1
    message, fix = done.stderr.splitlines()
    assert message.startswith(
        "The history since runtime-v0.1.6 is not in this shallow clone: Cannot read origin: "
    )
    assert fix == "Run: git fetch --tags --unshallow origin; in a workflow, check out with fetch-depth: 0."


def test_a_tag_of_another_line_is_refused(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.git("switch", "--quiet", "--create", "side")
    tagged = ground.commit("workspace/main.py", "Two")
    ground.tagged("0.1.6")
    ground.git("switch", "--quiet", "main")
    head = ground.commit("workspace/main.py", "Three")
    done = ground.release("next")
    assert done.returncode == 1
    assert done.stderr == (
        f"runtime-v0.1.6 ({tagged[:7]}) is not in the history of what is checked out ({head[:7]}).\n"
        "Check out the branch that is released from, up to date.\n"
    )


def test_a_tag_that_is_here_only_is_refused(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    ground.git("tag", "runtime-v0.1.5")
    assert ground.release("next").returncode == 0
    ground.git("tag", "runtime-v0.1.7")
    done = ground.release("next")
    assert done.returncode == 1
    assert done.stderr == (
        "runtime-v0.1.7 is the newest tag here, but origin has runtime-v0.1.6 as its newest.\n"
        "Push it, git push origin runtime-v0.1.7, or delete it, git tag -d runtime-v0.1.7.\n"
    )


def test_tags_and_a_real_index_must_agree(ground: Ground, index: tuple[str, Path]) -> None:
    url, packages = index
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    ground.commit("workspace/main.py", "Two")
    none = ground.release("next", "--index", url)
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr.endswith(
        "The newest tag is runtime-v0.1.6, but the index serves no release.\nPublish 0.1.6 first. "
        "If it was stopped and will never be, delete its tag: git push origin :refs/tags/runtime-v0.1.6\n"
    )
    make_wheel(packages, "0.1.6")
    make_wheel(packages, "0.2.0rc1")
    agreed = ground.release("next", "--index", url)
    assert (agreed.stdout, ALONE in agreed.stderr) == ("0.1.7\n", False)
    make_wheel(packages, "0.1.999999")
    stray = ground.release("next", "--index", url)
    assert (stray.returncode, stray.stdout) == (1, "")
    assert "The index serves 0.1.999999, but the newest tag is runtime-v0.1.6.\n" in stray.stderr


def test_a_document_names_the_index_and_the_ceiling(ground: Ground, index: tuple[str, Path]) -> None:
    url, packages = index
    make_wheel(packages, "0.3.0")
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.3.0")
    ground.commit("workspace/main.py", "Two")
    document = yaml.safe_load(SAMPLE.read_text())
    document["spec"]["package"] = {
        "name": "molecule-ai-workspace-runtime",
        "versionCeiling": "1.0",
        "index": {"uploadURL": url, "simpleURL": url},
    }
    (ground.root / "runtime.yaml").write_text(yaml.safe_dump(document))
    assert ground.release("next", "-f", "../runtime.yaml").stdout == "0.3.1\n"
    ceiling = ground.release("next", "-f", "../runtime.yaml", "--label", "release:major")
    assert (ceiling.returncode, ceiling.stdout) == (1, "")
    assert ceiling.stderr.startswith(
        "The next version would be 1.0.0, at or above package.versionCeiling 1.0.\n"
    )
    make_wheel(packages, "0.4.0")
    assert "The index serves 0.4.0, but" in ground.release("next", "-f", "../runtime.yaml").stderr


def test_a_stray_version_that_was_yanked_does_not_count(ground: Ground) -> None:
    """A static simple index (PEP 503, PEP 592), as any web server can be one."""
    page = ground.root / "site" / "simple" / "molecule-ai-workspace-runtime" / "index.html"
    page.parent.mkdir(parents=True)
    wheel = "molecule_ai_workspace_runtime-{}-py3-none-any.whl"
    files = [
        f'<a href="{wheel.format("0.1.6")}">a</a>',
        f'<a data-yanked="stray" href="{wheel.format("9.9.9")}">b</a>',
    ]
    page.write_text(f"<!DOCTYPE html><html><body>{''.join(files)}</body></html>")
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    ground.commit("workspace/main.py", "Two")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "http.server",
        str(port),
        "--bind",
        "127.0.0.1",
        "--directory",
        str(page.parents[2]),
    ]
    url = f"http://127.0.0.1:{port}/simple/"
    with serving(
        command, answers=lambda: status_of(url) == 200, what="a static index", log=ground.root / "log"
    ):
        assert ground.release("next", "--index", url).stdout == "0.1.7\n"
        # an index takes no file of a version again: it would be published from the stray one, or never
        page.write_text(page.read_text().replace("9.9.9", "0.1.7"))
        assert ground.release("next", "--index", url).stdout == "0.1.8\n"
        page.write_text(page.read_text().replace('data-yanked="stray" ', "").replace("0.1.7", "9.9.9"))
        assert "The index serves 9.9.9" in ground.release("next", "--index", url).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--index", ""], 2, "--index '' is no address of an index.\nGive its simple index, like https://packages.example/simple/; in a workflow, set the variable that holds it.\n"),
        (["--github", "no-name"], 2, "'no-name' is not a repository of GitHub.\nWrite it as OWNER/NAME.\n"),
        (["--repo", ".."], 2, ".. is not in a git repository with a commit.\nName one with --repo DIR.\n"),
        (["--token-file", "absent"], 2, "absent is no file.\nWrite the token there, readable only by you.\n"),
        (["-f", "absent.yaml"], 2, "absent.yaml: there is no such file.\nName the document with -f FILE.\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(ground: Ground, arguments: list[str], code: int, words: str) -> None:
    ground.commit("workspace/main.py", "One")
    ground.tagged("0.1.6")
    ground.commit("workspace/main.py", "Two")
    done = ground.release("next", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", words)


def test_an_index_that_does_not_answer_is_no_agreement(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    done = ground.release("next", "--index", "http://127.0.0.1:1/simple/")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "http://127.0.0.1:1/simple/molecule-ai-workspace-runtime/ cannot be reached: "
    )


def test_what_git_refuses_here_is_said_in_its_words(ground: Ground) -> None:
    ground.commit("workspace/main.py", "One")
    ground.environment["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"
    refused = ground.release("next")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Git refuses: fatal: detected dubious ownership in repository at ")
    del ground.environment["GIT_TEST_ASSUME_DIFFERENT_OWNER"]
    tree = ground.git("rev-parse", "HEAD^{tree}")
    (ground.folder / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    refused = ground.release("next")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Git refuses: ")
