"""Two who publish one version at the same time: the index ends with one whole release, and both end well."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builder.contract import Outcome, PackageRun, PublishRun, Report
from tests.e2e.desk import PACKAGE, Desk
from tests.e2e.scene import Scene


def test_two_runs_at_once_on_shared_records_release_a_version_once(
    scene: Scene, registry: str, tmp_path: Path
) -> None:
    """Two machines with folders of their own and the same document, index and registry."""
    desk = scene.desk
    desk.keep_in(registry)
    desk.run()
    scene.fetch("0.1.0")
    scene.populate("0.1.0", "plain-1")
    desk.bump("0.1.1")
    other = Desk(tmp_path / "other", desk.prefix)
    shutil.copytree(desk.folder, other.folder, ignore=shutil.ignore_patterns("state"))
    assert not other.state.exists()

    runs = [each.start("run", "--once", "--until", "Published") for each in (desk, other)]
    ended = [run.end() for run in runs]
    assert [each.code for each in ended] == [0, 0], "\n\n".join(each.log for each in ended)
    packages = [each.status()["package"] for each in (desk, other)]
    # When each of them saw it may differ; what they saw may not.
    assert all(each.pop("publishedTime") for each in packages)
    assert packages[0] == packages[1]
    stem = f"{PACKAGE.replace('-', '_')}-0.1.1"
    served = scene.index.files(PACKAGE)
    assert served[f"{stem}-py3-none-any.whl"] == packages[0]["wheelSha256"]
    assert served[f"{stem}.tar.gz"] == packages[0]["sdistSha256"]

    assert not desk.run().lines("package|adopt|Uploading")
    scene.assert_all_run("0.1.1")


@pytest.mark.long
def test_a_publication_from_elsewhere_at_the_same_time_is_the_same_release(
    scene: Scene, tmp_path: Path
) -> None:
    """A run publishes what it recorded while somebody calls the builder with the same bytes, as a workflow would."""
    desk = scene.desk
    desk.only("plain")
    desk.bump("0.1.1")
    desk.run("--until", "ImagesBuilt")
    given = PackageRun(source=desk.source, version="0.1.1", out=tmp_path / "tree", dist=tmp_path / "dist")
    assert builder("package", *given.arguments()).wait() == Outcome.DONE
    index = desk.spec["package"]["index"]
    publication = PublishRun(
        files=(tmp_path / "dist",),
        upload_url=index["uploadURL"],
        simple_url=index["simpleURL"],
        deadline_seconds=20,
        credentials=desk.folder / "secrets" / "index",
    )
    elsewhere = builder("publish", *publication.arguments())
    ended = desk.run("--until", "Published")
    out, _ = elsewhere.communicate(timeout=60)
    report = Report.from_line(out)
    assert report.outcome is Outcome.DONE, report.message
    package = desk.status()["package"]
    assert {entry["sha256"] for entry in report.facts["files"].values()} == {
        package["wheelSha256"],
        package["sdistSha256"],
    }
    served = scene.index.files(PACKAGE)
    assert {package["wheelSha256"], package["sdistSha256"]} <= set(served.values())
    assert scene.published() == ["0.1.0", "0.1.1"]
    assert ended.lines("publish 0.1.1: (the index serves it|it was there already)")


def builder(verb: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "builder", verb, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
