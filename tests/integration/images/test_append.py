"""A candidate by one layer, run as a container: what bites when layers are made by hand."""

import json
from collections.abc import Callable
from typing import Any

import docker
import pytest

from tests.integration.images.conftest import SITE, Built

InImage = Callable[..., str]


@pytest.fixture(scope="module")
def client(engine: str) -> docker.DockerClient:
    return docker.DockerClient(base_url=engine)


def test_the_candidate_runs_the_new_runtime_and_the_full_build_the_old_one(
    built: Built, in_image: InImage
) -> None:
    assert in_image(built.full["candidate"], "molecule-runtime").strip() == "molecule-runtime 0.1.0"
    assert in_image(built.candidate["candidate"], "molecule-runtime").strip() == "molecule-runtime 0.1.1"
    assert (built.full["built"], built.candidate["built"]) == ("Full", "Append")
    assert (built.full["reason"], built.candidate["reason"]) == ("FullBuildMissing", "WheelChanged")


def test_a_module_that_the_new_runtime_lacks_is_gone(built: Built, in_image: InImage) -> None:
    command = (
        "for m in removed gone.inner added; do python -c import\\ molecule_runtime.$m 2>&1 | tail -1; done"
    )
    assert "No module named 'molecule_runtime.added'" in in_image(built.full["candidate"], command)
    said = in_image(built.candidate["candidate"], command)
    assert "No module named 'molecule_runtime.removed'" in said
    assert "No module named 'molecule_runtime.gone'" in said
    assert "added" not in said
    assert in_image(built.candidate["candidate"], f"ls {SITE}/molecule_runtime").split() == [
        "__init__.py",
        "__pycache__",
        "added.py",
        "main.py",
    ]


def test_the_runtime_is_installed_once(built: Built, in_image: InImage) -> None:
    image = built.candidate["candidate"]
    assert in_image(image, f"ls -d {SITE}/molecule_ai*").split() == [
        f"{SITE}/molecule_ai_workspace_runtime-0.1.1.dist-info"
    ]
    count = "import importlib.metadata as m; print([d.version for d in m.distributions() if 'molecule' in d.name])"
    assert in_image(image, f'python -c "{count}"').strip() == "['0.1.1']"
    assert "molecule-ai-workspace-runtime 0.1.1" in in_image(image, "pip list 2>/dev/null")
    assert "No broken requirements found." in in_image(image, "pip check")


def test_its_byte_code_is_used_and_none_is_written(built: Built, in_image: InImage) -> None:
    command = f"python -v -c 'import molecule_runtime.main'; find {SITE}/molecule_runtime -newer /etc/passwd -mmin -5"
    said = in_image(built.candidate["candidate"], command)
    assert f"code object from '{SITE}/molecule_runtime/__pycache__/main.cpython-311.pyc'" in said
    assert "wrote" not in said


def test_folders_that_were_there_keep_mode_and_owner(built: Built, in_image: InImage) -> None:
    command = f"stat -c '%a %u:%g %n' / /usr /usr/local /usr/local/bin /usr/local/lib /usr/local/lib/python3.11 {SITE}"
    full = in_image(built.full["candidate"], command)
    assert f"2775 1000:50 {SITE}" in full
    assert "711 0:0 /usr/local/lib/python3.11\n" in full
    assert in_image(built.candidate["candidate"], command) == full


def test_the_image_is_its_base_with_one_more_layer_and_our_labels(
    built: Built, client: docker.DockerClient
) -> None:
    full = client.images.get(built.full["candidate"]).attrs
    candidate = client.images.get(built.candidate["candidate"]).attrs
    assert candidate["RootFS"]["Layers"][:-1] == full["RootFS"]["Layers"]

    def options(image: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in image["Config"].items() if key != "Labels" and value}

    expected = {key: value for key, value in options(full).items() if key not in {"Hostname", "Image"}}
    assert options(candidate) == expected
    assert expected["User"] == "agent"
    assert expected["Healthcheck"]["Interval"] == 7_000_000_000
    labels = candidate["Config"]["Labels"]
    assert labels["ai.molecule.runtime.version"] == "0.1.1"
    assert labels["ai.molecule.runtime.wheel-sha256"] == built.next_wheel.sha256
    assert labels["ai.molecule.runtime.content-sha256"] == built.next_wheel.content_sha256
    assert labels["org.opencontainers.image.base.digest"] == full["Id"] == built.candidate["baseDigest"]
    assert labels["org.opencontainers.image.base.name"] == built.full["fullBuild"]["image"]
    assert client.images.get(candidate["Id"]).history()[0]["CreatedBy"].startswith("append molecule")


def test_a_second_run_makes_nothing_and_names_the_same_digests(
    built: Built, client: docker.DockerClient
) -> None:
    before = client.images.get(built.candidate["candidate"]).attrs
    again = built.run.cascade_apart(built.next_wheel, built.entry).template("polite")
    assert again["digest"] == built.candidate["digest"] == before["Id"]
    assert (
        client.images.get(again["candidate"]).attrs["Metadata"] == before["Metadata"]
    )  # when it was tagged last


def test_a_lost_candidate_is_made_again_with_the_same_digest(
    built: Built, client: docker.DockerClient
) -> None:
    client.images.remove(built.candidate["candidate"])
    with pytest.raises(docker.errors.ImageNotFound):  # by name: other tests may have made the very same image
        client.images.get(built.candidate["candidate"])
    lost = {**built.entry, "reason": "ImageMissing", "before": built.candidate["digest"]}
    again = built.run.cascade(built.next_wheel, lost).template("polite")
    assert (again["digest"], again["reason"]) == (built.candidate["digest"], "ImageMissing")
    assert client.images.get(built.candidate["candidate"]).id == built.candidate["digest"]


def test_a_python_that_writes_other_byte_code_compiles_in_the_image_itself(built: Built) -> None:
    inventory = json.loads((built.run.out / "polite").joinpath(_inventory_name(built)).read_text())
    inventory["interpreter"]["magic"] = "00000000"
    foreign = built.run.out / "foreign.json"
    foreign.write_text(json.dumps(inventory))
    known = {
        "image": built.full["fullBuild"]["image"],
        "digest": built.full["fullBuild"]["digest"],
        "inputsSha256": built.entry["inputsSha256"],
        "inventory": str(foreign),
    }
    made = built.run.cascade(built.next_wheel, {**built.entry, "fullBuild": known}).template("polite")
    assert made["digest"] == built.candidate["digest"]


def _inventory_name(built: Built) -> str:
    return f"inventory-{built.full['fullBuild']['digest'].removeprefix('sha256:')[:12]}.json"
