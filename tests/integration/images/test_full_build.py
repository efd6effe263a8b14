"""A template's Dockerfile, built as it stands with exactly the candidate in it."""

import io
import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from builder.contract import template_inputs_sha256
from tests.integration.images.conftest import SITE, Built
from tests.integration.images.small import DOCKERFILE, Ended, Run
from tests.parts.leftovers import image_names
from tests.parts.small_wheel import SmallWheel, make_wheel

InImage = Callable[..., str]
NewEntry = Callable[..., dict[str, Any]]


def _complete(run: Run, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((run.out / "result.json").read_text())["templates"][name]
    return facts


def test_the_candidate_goes_in_although_the_index_has_newer_ones_and_others_of_its_version(
    built: Built, in_image: InImage
) -> None:
    image = built.full["candidate"]
    assert in_image(image, "molecule-runtime").strip() == "molecule-runtime 0.1.0"
    said = in_image(image, f"ls {SITE}/molecule_runtime")
    assert "removed.py" in said
    assert "other.py" not in said


def test_nothing_of_how_the_wheel_got_in_stays_in_the_image(
    built: Built, in_image: InImage, engine: str, index: dict[str, str]
) -> None:
    image = built.full["candidate"]
    assert in_image(image, "find / -xdev -name '*wsr*'") == ""
    assert "No such file" in in_image(image, "cat /etc/pip.conf")
    assert (
        in_image(image, f"ls {SITE}/molecule_ai_workspace_runtime-0.1.0.dist-info | grep direct_url; true")
        == ""
    )
    seen = docker.DockerClient(base_url=engine).images.get(image)
    told = json.dumps([seen.attrs, seen.history()])
    assert index["url"].split("/")[2] not in told
    assert "wsr" not in told.replace("wsr-base/python", "")
    names = image_names(docker.DockerClient(base_url=engine))
    assert not [name for name in names if name.startswith(image.rpartition(":")[0] + ":building-")]


def test_the_inventory_tells_what_is_there(built: Built) -> None:
    inventory = json.loads(Path(str(built.full["fullBuild"]["inventory"])).read_text())
    assert inventory["interpreter"]["path"] == "/usr/local/bin/python3"
    assert inventory["paths"]["purelib"] == SITE
    assert inventory["paths"]["scripts"] == "/usr/local/bin"
    assert inventory["folders"][SITE][:3] == [0o2775, 1000, 50]
    assert inventory["runtime"]["versions"] == ["0.1.0"]
    assert inventory["runtime"]["folders"] == [
        f"{SITE}/molecule_ai_workspace_runtime-0.1.0.dist-info",
        f"{SITE}/molecule_runtime",
    ]
    assert inventory["runtime"]["files"] == ["/usr/local/bin/molecule-runtime"]
    assert inventory["installed"]["pip"]["version"]


def test_a_wheel_with_an_unmet_requirement_makes_a_full_build_by_itself(
    run: Run, new_entry: NewEntry, old_wheel: SmallWheel, tmp_path: Path, in_image: InImage
) -> None:
    entry = new_entry("growing")
    run.cascade(old_wheel, entry)
    wheel = make_wheel(tmp_path, "0.1.2", requires=["small-dependency>=1", "absent; python_version < '3'"])
    made = run.cascade(wheel, entry).template("growing")
    assert (made["built"], made["reason"]) == ("Full", "RequirementsChanged")
    assert in_image(made["candidate"], "python -c 'import small_dependency'; molecule-runtime").split() == [
        "molecule-runtime",
        "0.1.2",
    ]
    assert run.cascade(wheel, entry).template("growing")["digest"] == made["digest"]
    later = make_wheel(tmp_path, "0.1.3", requires=["small-dependency>=1"])
    appended = run.cascade(later, entry).template("growing")
    assert (appended["built"], appended["reason"]) == ("Append", "WheelChanged")


def test_changed_inputs_make_a_full_build_only_when_told(
    run: Run, new_entry: NewEntry, old_wheel: SmallWheel
) -> None:
    entry = new_entry("changing")
    run.cascade(old_wheel, entry).template("changing")
    known = {**_complete(run, "changing")["fullBuild"], "inputsSha256": entry["inputsSha256"]}
    directory = Path(entry["directory"])
    (directory / "adapter.py").write_text("x = 2\n")
    inputs = template_inputs_sha256(directory, entry["buildArgs"])
    changed = {**entry, "inputsSha256": inputs, "fullBuild": known}

    untold = run.cascade(old_wheel, changed).template("changing")
    why = {"rebuild": True, "reason": "TemplateSourceChanged", "before": "files one", "after": "files two"}
    told = run.cascade(old_wheel, {**changed, **why}).template("changing")
    again = run.cascade(old_wheel, {**changed, **why}).template("changing")

    assert untold["digest"] == known["digest"]
    assert (told["built"], told["reason"]) == ("Full", "TemplateSourceChanged")
    assert told["digest"] != known["digest"]
    assert again["digest"] == told["digest"]


def _failing(run: Run, entry: dict[str, object], wheel: SmallWheel) -> Ended:
    ended = run.cascade(wheel, entry)
    assert ended.code == 30
    assert ended.report["outcome"] == "FAILED"
    assert ended.report["facts"]["failed"].keys() == {entry["name"]}
    return ended


def test_a_template_that_pins_another_version_fails_alone_and_is_named(
    run: Run, built: Built, new_entry: NewEntry
) -> None:
    entry = new_entry("pinned", requirements=["molecule-ai-workspace-runtime==0.9.0"])
    ended = run.cascade(built.next_wheel, entry, built.entry)
    assert ended.code == 30
    assert ended.report["facts"]["failed"] == {"pinned": "BuildFailed"}
    assert "Template pinned:" in ended.report["message"]
    assert "conflicting" in (run.out / "pinned" / "build.log").read_text()
    assert ended.report["facts"]["templates"]["polite"]["digest"] == built.candidate["digest"]


def test_an_image_whose_runtime_was_changed_afterwards_is_refused(
    run: Run, new_entry: NewEntry, new_wheel: SmallWheel, engine: str
) -> None:
    changing = DOCKERFILE.replace("COPY adapter.py .", f"RUN echo x = 1 >> {SITE}/molecule_runtime/main.py")
    entry = new_entry("changed", dockerfile=changing)
    ended = _failing(run, entry, new_wheel)
    assert ended.report["reason"] == "WrongRuntime"
    assert "0.1.1 with other files than the candidate's" in ended.report["message"]
    names = image_names(docker.DockerClient(base_url=engine))
    assert not [name for name in names if name.startswith(f"{entry['image']}:")]


def test_a_template_without_the_runtime_is_refused(
    run: Run, new_entry: NewEntry, new_wheel: SmallWheel
) -> None:
    entry = new_entry("without", dockerfile="ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY adapter.py .\n")
    ended = _failing(run, entry, new_wheel)
    assert "should hold molecule-ai-workspace-runtime 0.1.1 and holds none" in ended.report["message"]


def test_a_template_without_dockerfile_says_so(run: Run, new_entry: NewEntry, new_wheel: SmallWheel) -> None:
    entry = new_entry("bare")
    (Path(entry["directory"]) / "Dockerfile").unlink()
    ended = _failing(run, entry, new_wheel)
    assert f"{entry['directory']} has no Dockerfile" in ended.report["message"]


def test_a_wheel_that_is_not_the_one_named_is_refused_before_anything_is_built(
    run: Run, new_entry: NewEntry, new_wheel: SmallWheel
) -> None:
    other = SmallWheel(new_wheel.path, new_wheel.version, "0" * 64, new_wheel.content_sha256)
    ended = run.cascade(other, new_entry("none"))
    assert (ended.code, ended.report["reason"]) == (10, "WheelChanged")
    assert f"not {'0' * 64}" in ended.report["message"]


def test_an_engine_that_is_not_there_is_asked_again_later(
    run: Run, new_entry: NewEntry, new_wheel: SmallWheel
) -> None:
    away = Run("unix:///nowhere/docker.sock", run.out)
    ended = away.cascade(new_wheel, new_entry("away"))
    assert (ended.code, ended.report["reason"]) == (20, "EngineUnavailable")
    assert "unix:///nowhere/docker.sock does not answer" in ended.report["message"]


def test_without_buildkit_the_message_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "docker"
    old.write_text("#!/bin/sh\necho usage: docker build\n")
    old.chmod(0o755)
    code = (
        "import asyncio; from builder.stages import image; image.USUAL_PLACES = '';"
        "asyncio.run(image.buildkit_command())"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"needs a docker command with BuildKit ({old}). Install Debian's docker.io" in done.stderr


def test_npm_gets_its_packages_where_this_machine_does_and_nothing_of_that_stays(  # noqa: PLR0913, PLR0917 -- fixtures of pytest are its arguments
    run: Run,
    new_entry: NewEntry,
    old_wheel: SmallWheel,
    in_image: InImage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    npmrc, ca_file = tmp_path / "npmrc", tmp_path / "ca.pem"
    npmrc.write_text("registry=https://npm.example/\n//npm.example/:_authToken=${NPM_TEST_TOKEN}\n")
    ca_file.write_text("the certificates\n")
    for name, value in {"USERCONFIG": str(npmrc), "CAFILE": str(ca_file)}.items():
        monkeypatch.setenv(f"NPM_CONFIG_{name}", value)
    monkeypatch.setenv("NPM_TEST_TOKEN", "secret-of-npm")
    # A build cache does not look at secrets: without a word of its own this step would be the one of an earlier run.
    looking = (
        f"RUN : {secrets.token_hex(8)}; cat ~/.npmrc $(sed -n s/cafile=//p ~/.npmrc) | tr a-z A-Z > /seen\n"
    )
    dockerfile = DOCKERFILE.replace("ENV ADAPTER_MODULE", f"{looking}ENV ADAPTER_MODULE")
    made = run.cascade(old_wheel, new_entry("with-npm", dockerfile=dockerfile)).template("with-npm")
    seen = in_image(made["candidate"], "cat /seen").splitlines()
    assert seen[:2] == ["REGISTRY=HTTPS://NPM.EXAMPLE/", "//NPM.EXAMPLE/:_AUTHTOKEN=SECRET-OF-NPM"]
    assert seen[-1] == "THE CERTIFICATES"
    assert "No such file" in in_image(made["candidate"], "cat /root/.npmrc")
    history = json.dumps(docker.DockerClient(base_url=run.engine).images.get(made["candidate"]).history())
    assert "secret-of-npm" not in history
    assert "secret-of-npm" not in "".join(file.read_text() for file in run.out.rglob("*") if file.is_file())


def test_a_base_that_moved_makes_another_full_build_and_the_same_one_is_found_again(
    run: Run, new_entry: NewEntry, old_wheel: SmallWheel, base_image: str, image_prefix: str
) -> None:
    client, base = docker.DockerClient(base_url=run.engine), f"{image_prefix}moving:1"
    first, second = client.images.get(base_image), derived(client, base_image, MOVED="yes")
    first.tag(base)
    entry = new_entry("moving", dockerfile=DOCKERFILE.replace("python:3.11-slim", base))
    entry = {**entry, "buildArgs": {}}
    run.cascade(old_wheel, entry).template("moving")
    built = _complete(run, "moving")
    assert built["bases"] == {base: first.id}
    assert _labels(client, built)["org.opencontainers.image.base.name"] == base
    assert _labels(client, built)["org.opencontainers.image.base.digest"] == first.id

    second.tag(base)
    moved = {"rebuild": True, "reason": "BaseImageMoved", "before": "one", "after": "two"}
    known = {**built["fullBuild"], "inputsSha256": entry["inputsSha256"]}
    run.cascade(old_wheel, {**entry, **moved, "fullBuild": known}).template("moving")
    again = _complete(run, "moving")
    assert (again["built"], again["reason"], again["bases"]) == ("Full", "BaseImageMoved", {base: second.id})
    assert _labels(client, again)["ai.molecule.runtime.build-reason"] == "BaseImageMoved: one -> two"
    assert "MOVED=yes" in client.images.get(again["candidate"]).attrs["Config"]["Env"]

    first.tag(base)
    run.cascade(old_wheel, {**entry, **moved}).template("moving")
    assert _complete(run, "moving")["digest"] == built["digest"]


def test_a_request_makes_new_bytes_of_the_same_inputs_once(
    run: Run, new_entry: NewEntry, old_wheel: SmallWheel, new_wheel: SmallWheel
) -> None:
    client = docker.DockerClient(base_url=run.engine)
    dated = DOCKERFILE.replace("WORKDIR /app", "WORKDIR /app\nRUN cat /proc/uptime > /made")
    entry = new_entry("asked", dockerfile=dated)
    run.cascade(old_wheel, entry).template("asked")
    before = _complete(run, "asked")
    asked = {
        "rebuild": True,
        "fresh": True,
        "request": "CVE-2026-1",
        "reason": "Requested",
        "after": "CVE-2026-1",
    }
    known = {**before["fullBuild"], "inputsSha256": entry["inputsSha256"]}
    run.cascade(old_wheel, {**entry, **asked, "fullBuild": known}).template("asked")
    made = _complete(run, "asked")
    layers = [client.images.get(each["digest"]).attrs["RootFS"]["Layers"] for each in (before, made)]
    assert layers[0] != layers[1], "taken from the build cache"
    run.cascade(old_wheel, {**entry, **asked, "fullBuild": known}).template("asked")
    assert _complete(run, "asked")["digest"] == made["digest"]

    known = {**made["fullBuild"], "inputsSha256": entry["inputsSha256"]}
    run.cascade(new_wheel, {**entry, "request": "CVE-2026-1", "fullBuild": known}).template("asked")
    (newest, *_) = client.images.get(_complete(run, "asked")["candidate"]).history()
    assert newest["Comment"] == (
        f"WheelChanged: runtime 0.1.0 -> runtime 0.1.1; upon full build {made['digest']} "
        "(Requested: nothing -> CVE-2026-1)"
    )


def derived(client: docker.DockerClient, base: str, **environment: str) -> Any:  # noqa: ANN401 -- an image of the SDK
    lines = [f"FROM {base}", *(f"ENV {name}={value}" for name, value in environment.items())]
    return client.images.build(fileobj=io.BytesIO("\n".join(lines).encode()), rm=True)[0]


def _labels(client: docker.DockerClient, facts: dict[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = client.images.get(facts["digest"]).labels
    return labels
