"""Sources in repositories: a tag and an edit bring the fleet to a version, and what a template's branch moves on to shows."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.desk import Desk
from tests.e2e.scene import Scene
from tests.e2e.wsr import Ended, Running
from tests.parts.git_repository import GitRepository
from tests.parts.git_server import GitServer, running_git_server


@dataclass(frozen=True)
class Hosted:
    """A desk whose source and only template are in repositories, which whoever has the token may read and push to."""

    scene: Scene
    server: GitServer
    core: GitRepository
    plain: GitRepository

    def clone(self) -> Path:
        """A clone of the runtime's repository, in which somebody works."""
        folder = self.scene.desk.folder / "clone"
        url = self.server.url.replace("http://", f"http://x-access-token:{self.server.token}@")
        self.core.git("clone", "--quiet", f"{url}/core.git", str(folder), cwd=self.scene.desk.folder)
        self.core.git("remote", "set-url", "origin", f"{self.server.url}/core.git", cwd=folder)
        return folder

    def asked(self) -> int:
        """How often the runtime's repository was asked for anything."""
        return self.server.asked("/core.git/")


@pytest.fixture
def hosted(scene: Scene, tmp_path: Path) -> Iterator[Hosted]:
    desk, served = scene.desk, tmp_path / "served"
    served.mkdir()
    core, plain = GitRepository(served / "core.git"), GitRepository(served / "plain.git")
    core.git("config", "http.receivepack", "true")
    core.tag("runtime-v0.1.0", core.commit_folder(desk.source, "workspace/"))
    plain.commit_folder(desk.folder / "templates" / "plain")
    desk.only("plain")
    with running_git_server(served) as server:
        desk.write_secret("git", token=server.token)
        with desk.editing() as spec:
            spec["source"] = {"git": {"url": f"{server.url}/core.git", "credentialsSecretName": "git"}}
            build = spec["templates"][0]["build"]
            del build["directory"]
            build["git"] = {"url": f"{server.url}/plain.git", "credentialsSecretName": "git"}
        shutil.rmtree(desk.source)
        shutil.rmtree(desk.folder / "templates")
        yield Hosted(scene, server, core, plain)


def wsr(desk: Desk, *arguments: str) -> Ended:
    ended = Running.start(arguments, log=desk.folder / "wsr.log").end()
    assert ended.code == 0, ended.log
    return ended


def test_an_edit_and_a_tag_bring_a_version_to_every_workspace_whichever_comes_first(hosted: Hosted) -> None:
    scene, desk, server = hosted.scene, hosted.scene.desk, hosted.server
    (workspace,) = scene.populate("0.1.0", "plain-1")
    before = scene.fleet.shapes()

    desk.run()
    assert scene.fleet.shapes() == before
    assert hosted.asked() == 0, "of a version that is public the source is not read"

    wsr(desk, "bump", str(desk.document), "0.1.1")
    missing = (
        f"The source cannot be read: Waiting for runtime-v0.1.1 in {server.url}/core.git, which has no such branch or"
        " tag. Push it, or correct spec.source.git.ref."
    )
    assert desk.facts("plan")["blocked"] == missing
    assert desk.run(code=3).log.splitlines()[-1] == f"Not yet: SourceNotFound: {missing}"
    assert desk.condition("Stalled") is None

    clone = hosted.clone()
    (clone / "workspace" / "words.py").write_text(
        (clone / "workspace" / "words.py").read_text() + "\nNEW = 1\n"
    )
    hosted.core.git("commit", "--quiet", "--all", "--message", "A word", cwd=clone)
    token = desk.folder / "secrets" / "git" / "token"
    hosted.core.git("push", "--quiet", f"{server.url.replace('//', f'//x-access-token:{server.token}@')}/core.git",
                    "HEAD:main", cwd=clone)  # fmt: skip
    wsr(
        desk, "release", "tag", "-f", str(desk.document), "--secrets", str(desk.folder / "secrets"),
        "--repo", str(clone), "--token-file", str(token), "--label", "release:patch",
    )  # fmt: skip
    commit = hosted.core.git("rev-parse", "runtime-v0.1.1^{commit}")

    (planned,) = desk.facts("plan")["templates"]
    assert (planned["build"], planned["reason"]) == (True, "WheelChanged")
    desk.run()
    scene.assert_all_run("0.1.1")
    assert desk.status()["source"]["commit"] == commit
    assert desk.facts("why", workspace.name)["commit"] == commit
    template_commit = hosted.plain.git("rev-parse", "main")
    assert f":0.1.1-{template_commit[:7]}-" in desk.wsr("image", "plain").out
    assert server.token not in (desk.folder / "wsr.log").read_text()


def test_a_branch_that_moved_shows_until_the_template_is_to_follow_it(hosted: Hosted) -> None:
    scene, desk, plain = hosted.scene, hosted.scene.desk, hosted.plain
    scene.populate("0.1.0", "plain-1")
    files = {
        name: plain.git("show", f"main:{name}") + "\n"
        for name in plain.git("ls-tree", "--name-only", "main").split()
    }
    moved = plain.commit({**files, "notes.txt": "more\n"})
    (planned,) = desk.facts("plan")["templates"]
    assert (planned["build"], planned["updateAvailable"]["reason"]) == (False, "TemplateSourceChanged")
    with desk.editing() as spec:
        spec["templates"][0]["build"]["rebuildOn"] = ["Version", "Template"]
    ended = desk.run()
    assert ended.lines("cascade 0.1.0 .*: because plain: TemplateSourceChanged$")
    scene.assert_all_run("0.1.0")
    image = desk.wsr("image", "plain").out
    assert f":0.1.0-{moved[:7]}-" in image
    assert hosted.asked() == 0

    plain.commit({**files, "notes.txt": "more\n", "again.txt": ""}, "elsewhere")
    with desk.editing() as spec:
        spec["templates"][0]["build"]["git"]["ref"] = "gone"
    ended = desk.run(code=3)
    assert "SourceNotFound: The template plain cannot be read: Waiting for gone in" in ended.log
    assert desk.wsr("image", "plain").out == image


def test_a_version_that_the_index_serves_is_adopted_without_its_source(hosted: Hosted) -> None:
    desk = hosted.scene.desk
    with desk.editing() as spec:
        spec["registry"]["artifacts"] += "-lost"
    plan = desk.facts("plan")
    assert (plan["state"], plan["publish"], plan["unknown"]) == ("Absent", False, [])
    assert hosted.asked() == 0


@pytest.mark.long
def test_a_template_whose_host_is_away_is_tried_again_and_is_no_failure_of_the_template(
    hosted: Hosted,
) -> None:
    scene, desk, server = hosted.scene, hosted.scene.desk, hosted.server
    scene.populate("0.1.0", "plain-1")
    hosted.core.tag("runtime-v0.1.1", "main")
    desk.bump("0.1.1")
    server.spoil = lambda path: (503, {}) if "plain.git" in path else None
    running = desk.start("run", "--once")
    running.until("plain.git cannot be read: .*503")
    assert not running.has_said("BuildFailed")
    server.spoil = lambda _: None
    assert running.end().code == 0
    scene.assert_all_run("0.1.1")
