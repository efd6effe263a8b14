"""A run in a Job leaves what the same run leaves as a subprocess: the same report, the same bytes, and nothing else."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder.contract import CascadeRun, Outcome, PackageRun, PromoteRun, PublishRun
from builder.oci import Client, Reference
from controller.clients.runs import BuilderRuns, Run, Runs
from tests.cluster.cluster import Cluster
from tests.contract.publishing import make_release
from tests.integration.images.small import make_template, template_entry
from tests.integration.jobs.ground import Ground
from tests.parts.ground import REPOSITORY
from tests.parts.index import Index
from tests.parts.small_wheel import SmallWheel, make_wheel


def _package(work: Path, out: str) -> Run:
    given = PackageRun(
        source=work / "source", version="0.1.1", out=work / out / "tree", dist=work / out / "dist"
    )
    return Run(
        "package", given.arguments(), {"out": out}, reads=(given.source,), writes=(work / out / "dist",)
    )


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


async def test_a_package_has_the_same_bytes_and_leaves_no_artifact(
    ground: Ground, subprocesses: Runs
) -> None:
    shutil.copytree(
        REPOSITORY / "workspace",
        ground.work / "source",
        ignore=shutil.ignore_patterns("__pycache__", ".*_cache"),
    )
    there = await ground.jobs().run(_package(ground.work, "there"), progress=ground.said.append)
    here = await subprocesses.run(_package(ground.work, "here"))
    assert there.outcome is Outcome.DONE
    # Which other Pythons it was proven with, and how long it took, depend on the machine.
    same = there.facts.keys() - {"wheel", "sdist", "seconds", "provenOn"}
    assert {key: there.facts[key] for key in same} == {key: here.facts[key] for key in same}
    made = _digests(ground.work / "there" / "dist")
    assert len(made) == 2
    assert made == _digests(ground.work / "here" / "dist")
    assert not (ground.work / "there" / "tree").exists(), "what is no result stays there"
    assert await ground.left() == []


def _cascade(ground: Ground, wheel: SmallWheel, entry: Mapping[str, Any], *, out: str) -> Run:
    inputs = ground.work / f"{out}.json"
    inputs.write_text(
        json.dumps(
            {
                "version": wheel.version,
                "wheel": str(wheel.path),
                "wheelSha256": wheel.sha256,
                "contentSha256": wheel.content_sha256,
                "mode": "Remote",
                "registry": {"insecure": True},
                "templates": [entry],
            }
        )
    )
    given = CascadeRun(inputs=inputs, out=ground.work / out)
    reads = (inputs, wheel.path, Path(entry["directory"]))
    return Run("cascade", given.arguments(), {"out": out}, reads=reads, writes=(given.out,))


async def test_candidates_and_their_tags_have_the_same_digests(
    full_build: dict[str, Any], ground: Ground, subprocesses: Runs
) -> None:
    template = make_template(ground.work / "template")
    entry = {**full_build, "directory": str(template)}
    wheel = make_wheel(ground.work / "new", "0.1.1")
    there = await ground.jobs().run(_cascade(ground, wheel, entry, out="there"), progress=ground.said.append)
    await subprocesses.run(_cascade(ground, wheel, entry, out="here"))
    assert there.outcome is Outcome.DONE, ground.said
    ours, theirs = (
        json.loads((ground.work / out / "result.json").read_text())["templates"]["echo"]
        for out in ("here", "there")
    )
    for facts in (ours, theirs):
        assert facts["fullBuild"].pop("inventory") in map(str, ground.files())
        del facts["seconds"]
    assert ours == theirs
    assert ours["built"] == "Append"
    await _promoted(ground, subprocesses, entry["image"], ours["digest"])


async def _promoted(ground: Ground, subprocesses: Runs, image: str, digest: str) -> None:
    runs: dict[str, BuilderRuns] = {"there": ground.jobs(), "here": subprocesses}
    async with Client(insecure=True) as client:
        for name, place in runs.items():
            inputs = ground.work / f"promote-{name}.json"
            tags = [{"from": f"{image}@{digest}", "to": f"{image}:{name}", "move": False}]
            inputs.write_text(json.dumps({"mode": "Remote", "registry": {"insecure": True}, "tags": tags}))
            given = PromoteRun(inputs=inputs)
            report = await place.run(Run("promote", given.arguments(), {"name": name}, reads=(inputs,)))
            assert report.facts["tags"] == {f"{image}:{name}": {"digest": digest, "state": "Set"}}
            assert (await client.head(Reference.parse(f"{image}:{name}"))).digest == digest
    assert await ground.left() == []


async def test_a_full_build_is_refused_for_want_of_an_engine(ground: Ground) -> None:
    template = make_template(ground.work / "template", dockerfile="FROM scratch\n")
    image = f"{ground.artifacts}-echo"
    entry = template_entry("echo", image, template)
    run = _cascade(ground, make_wheel(ground.work / "new", "0.1.1"), entry, out="out")
    report = await ground.jobs().run(run)
    assert (report.outcome, report.reason) == (Outcome.FAILED, "FullBuildNeeded")
    error = json.loads((ground.work / "out" / "result.json").read_text())["templates"]["echo"]["error"]
    assert error["message"].startswith(f"{image}:full-")
    assert error["message"].endswith(f" has to be built from {template}, and there is no Docker Engine here.")


async def test_what_is_published_is_published_once_and_its_credentials_are_nowhere_else(
    cluster: Cluster, ground: Ground
) -> None:
    index: Index = cluster.index_inside
    project = f"wsr-jobs-{secrets.token_hex(4)}"
    made = make_release(ground.work / "dist", project, "0.1.1")
    credentials = ground.secret("index", username=index.username, password=index.password)
    given = PublishRun(
        files=(ground.work / "dist",),
        upload_url=index.upload_url,
        simple_url=index.simple_url,
        deadline_seconds=30,
        credentials=credentials,
    )
    run = Run(
        "publish", given.arguments(), {"p": project}, reads=(ground.work / "dist",), secrets=(credentials,)
    )
    first = await ground.jobs().run(run, progress=ground.said.append)
    assert not first.facts["alreadyThere"]
    assert cluster.index_inside.files(project) == made.sha256
    again = await ground.jobs().run(run, progress=ground.said.append)
    assert again.facts["alreadyThere"], "a result that was taken is not taken again: the index was asked"
    told = [json.dumps(item) for item in ground.everything()] + ground.said
    assert told
    assert index.password not in "".join(told)
    assert await ground.left() == []
