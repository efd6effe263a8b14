"""The verbs that only look, before the first run: they answer, and leave no trace."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import yaml

from tests.e2e.desk import Desk
from tests.e2e.wsr import Ended
from tests.parts.index import Index
from tests.parts.leftovers import image_names
from tests.parts.typed import typed


class DeskHere(Desk):
    """One whose verbs run to their end in this process."""

    def wsr(self, verb: str, *more: str) -> Ended:
        ended = typed(*self.arguments(verb, *more), cwd=self.folder)
        return Ended(ended.returncode, ended.stdout, ended.stderr.rstrip("\n"), 0)


@pytest.fixture
def desk(engine: str, pypiserver: Index, docker_prefix: str, tmp_path: Path) -> Desk:
    return DeskHere.lay_out(
        tmp_path, prefix=docker_prefix, engine=engine, index=pypiserver, base_image="not needed"
    )


@pytest.fixture
def untouched(desk: Desk, engine: str) -> Iterator[None]:
    """Afterwards there is no state, no volume and no image of this desk."""
    before = {file.relative_to(desk.folder) for file in desk.folder.rglob("*")}
    yield
    after = {file.relative_to(desk.folder) for file in desk.folder.rglob("*")}
    assert after - before <= {Path("wsr.log")}
    client = docker.DockerClient(base_url=engine)
    assert [volume.name for volume in client.volumes.list() if volume.name.startswith(desk.prefix)] == []
    assert [tag for tag in image_names(client) if tag.startswith(desk.prefix)] == []
    client.close()


@pytest.mark.usefixtures("untouched")
def test_a_plan_of_a_new_object_tells_all_that_will_be_done(desk: Desk) -> None:
    plan = desk.facts("plan")
    assert plan["version"] == "0.1.0"
    assert plan["publish"] is True
    assert [(entry["name"], entry["build"], entry["reason"]) for entry in plan["templates"]] == [
        ("plain", True, "WheelChanged"),
        ("polite", True, "WheelChanged"),
    ]
    assert plan["waves"] == [{"name": "everyone", "targets": []}]
    assert (plan["busy"], plan["adopts"], plan["unknown"]) == ([], [], [])
    assert {"hash", "expectedSeconds"} <= set(plan)
    assert set(plan["templates"][0]) == {
        "name",
        "strategy",
        "build",
        "reason",
        "before",
        "after",
        "note",
        "updateAvailable",
    }
    assert desk.facts("plan")["hash"] == plan["hash"]
    desk.bump("0.2.0")
    assert desk.facts("plan")["hash"] != plan["hash"]


@pytest.mark.usefixtures("untouched")
def test_the_forms_of_an_answer_say_the_same(desk: Desk) -> None:
    plan = desk.facts("plan")
    assert yaml.safe_load(desk.wsr("plan", "-o", "yaml").out) == plan
    table = desk.wsr("plan")
    assert table.out.splitlines() == [
        f"Version 0.1.0 is {plan['state']}; plan {plan['hash'][:12]}",
        "",
        "TEMPLATE  STRATEGY  BUILD  REASON        BEFORE  AFTER",
        "plain     Append    yes    WheelChanged  -       runtime 0.1.0",
        "polite    Append    yes    WheelChanged  -       runtime 0.1.0",
        "",
        "The package would be published.",
        "0 targets would be replaced, 0 of them busy.",
    ]
    assert json.loads(desk.wsr("plan", "-o", "json").out) == plan


@pytest.mark.usefixtures("untouched")
def test_what_a_plan_could_not_read_stands_before_what_it_says(desk: Desk) -> None:
    source = desk.folder / "nowhere"
    desk.document.write_text(
        re.sub(r"directory: .*", f"directory: {source}", desk.document.read_text(), count=1)
    )
    lines = desk.wsr("plan").out.splitlines()
    assert lines[0].startswith("Version 0.1.0 is Blocked; plan ")
    cause = (
        f"{source}: there is no such folder. Name the folder that holds the source. Correct spec.source.directory, or what"
        " is in it."
    )
    assert lines[1:5] == [
        f"The source cannot be read: {cause}",
        f"Could not be read: source: {cause}",
        "What follows is true only as far as these do not change it.",
        "",
    ]


@pytest.mark.usefixtures("untouched")
def test_a_plan_of_a_package_that_nothing_could_upload_says_so(desk: Desk) -> None:
    with desk.editing() as spec:
        url = spec["package"]["index"]["uploadURL"]
        del spec["package"]["index"]["credentialsSecretName"]
    plan = desk.facts("plan")
    assert plan["publish"] is True
    assert plan["missing"] == [
        (
            f"There are no credentials for uploads to {url}; the candidates are kept. "
            "Name a Secret in package.index.credentialsSecretName, or set PYPI_TOKEN."
        )
    ]


@pytest.mark.usefixtures("untouched")
def test_a_plan_names_what_would_be_missed_on_the_way(desk: Desk) -> None:
    (desk.folder / "secrets" / "dispatch").mkdir()
    folder = desk.folder / "secrets" / "dispatch"
    with desk.editing() as spec:
        del spec["package"]["index"]["credentialsSecretName"]
        spec["package"]["signing"] = {"keySecretName": "signing"}
        spec["registry"] = {"mode": "Remote", "artifacts": "127.0.0.1:1/artifacts", "insecure": True}
        told = {"repository": "team/plain", "tokenSecretName": "dispatch"}
        spec["templates"] = [
            {
                "name": "plain",
                "image": "127.0.0.1:1/plain",
                "build": {"strategy": "Dispatch", "dispatch": told},
            },
        ]
    plan = desk.facts("plan")
    assert plan["missing"] == [
        (
            f"spec.package.signing.keySecretName names Secret signing, which cannot be read from "
            f"{folder.parent}/signing: No such file or directory. Create {folder.parent}/signing with one file per key, "
            f"for example {folder.parent}/signing/token, readable only by you."
        ),
        (
            "spec.templates[0].build.dispatch.tokenSecretName names Secret dispatch, which has no key: "
            f"{folder} holds no file. Write one file per key there, for example {folder}/token, readable only by you."
        ),
    ]
    assert plan["publish"] is False
    assert plan["blocked"].startswith("The release records cannot be read: ")
    assert f"Would be missed: {plan['missing'][0]}" in desk.wsr("plan").out.splitlines()
    shutil.rmtree(folder)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("verb", "code"), [("image", 1), ("why", 1), ("resume", 1), ("plan", 2)])
def test_a_verb_opens_no_secret_that_it_does_not_need(desk: Desk, verb: str, code: int) -> None:
    with desk.editing() as spec:
        spec["package"]["index"]["credentialsSecretName"] = "absent"
    ended = desk.wsr(verb, *{"image": ["plain"], "why": ["ws-1"]}.get(verb, []))
    assert ended.code == code
    assert ("Secret absent" in ended.log) == (code == 2)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("verb", "arguments", "words"),
    [
        ("status", [], "Nothing is known of the object in {file} yet.\nRun: wsr run -f {file} --once"),
        (
            "image",
            ["plain"],
            "No released image of template plain exists yet.\nRun: wsr run -f {file} --once",
        ),
        ("why", ["ws-1"], "ws-1 is no target of this document.\nTargets are: none."),
        ("resume", [], "Version 0.1.0 has no record, so nothing holds it."),
        (
            "approve",
            [],
            "Nothing is known of the object in {file} as it is now.\nRun: wsr run -f {file} --once",
        ),
        ("history", [], "Nothing is known of the object in {file} yet.\nRun: wsr run -f {file} --once"),
        (
            "rollback",
            [],
            (
                "Version 0.1.0 has no record, so there is nothing to go back from.\n"
                "Nothing was changed. Name another one with --to VERSION."
            ),
        ),
    ],
)
def test_what_is_not_there_yet_is_a_failure_with_a_next_step(
    desk: Desk, verb: str, arguments: list[str], words: str
) -> None:
    ended = desk.wsr(verb, *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.log == words.format(file=desk.document)


@pytest.mark.usefixtures("untouched")
def test_a_template_that_is_not_listed_is_wrong_use(desk: Desk) -> None:
    ended = desk.wsr("image", "fancy")
    assert ended.code == 2
    assert ended.log == f"{desk.document} lists no template 'fancy'.\nIt lists: plain, polite."
