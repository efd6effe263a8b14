"""A document is read whole or refused with line, path, cause and cure, in words."""

from pathlib import Path

import pytest
import yaml

from controller.api.load import load
from tests.unit.api.documents import VALID, refusal, with_

SAMPLES = Path(__file__).resolve().parents[3] / "crds" / "samples"


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_sample_is_valid(sample: Path) -> None:
    assert load(sample.read_text(), file=sample.name).spec.templates


def test_the_samples_show_every_mode_strategy_and_gate() -> None:
    specs = [load(sample.read_text(), file=sample.name).spec for sample in SAMPLES.glob("*.yaml")]
    templates = [template for spec in specs for template in spec.templates]
    assert {spec.registry.mode for spec in specs} == {"Engine", "Remote"}
    assert {each.build.strategy for each in templates} == {"Append", "Dockerfile", "Dispatch", "Follow"}
    assert {each.gate for each in templates} == {"Required", "AllowFailure", "AllowUntested"}
    assert max(len(each.build.platforms or ()) for each in templates) == 2


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_folder_that_a_sample_names_is_there(sample: Path) -> None:
    spec = load(sample.read_text(), file=sample.name).spec
    folders = [spec.source.directory, *(each.build.directory for each in spec.templates if each.build.ours)]
    assert all((SAMPLES / folder).is_dir() for folder in folders)


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_a_document_reads_back_as_it_was_written(sample: Path) -> None:
    before = load(sample.read_text(), file=sample.name)
    written = yaml.safe_dump(before.model_dump(mode="json"))
    assert load(written, file="again.yaml") == before


def test_defaults_are_the_documented_ones() -> None:
    document = load(VALID, file="runtime.yaml")
    assert document.key == "default/molecule-runtime"
    assert document.spec.suspend is False
    assert document.spec.package.name == "molecule-ai-workspace-runtime"
    assert document.spec.package.module == "molecule_runtime"
    assert document.spec.package.index.visible_deadline_seconds == 900
    assert document.spec.templates[0].tags == ["latest"]
    assert document.spec.templates[0].start_deadline_seconds == 1800
    assert document.spec.templates[0].build.rebuild_on == ["Version"]
    assert document.spec.targets.docker_hosts[0].container_prefix == "ws-"
    assert document.spec.targets.docker_hosts[0].selector.match_labels == {
        "molecule.platform.managed": "true"
    }
    assert document.spec.rollout.drain.timeout_seconds == 900
    assert document.spec.rollout.drain.on_timeout == "Wait"
    assert document.spec.rollout.on_failure == "Rollback"


def test_a_status_in_the_file_is_none_of_the_documents_business() -> None:
    with_status = load(VALID + "status: {anything: [goes]}\n", file="runtime.yaml")
    assert with_status == load(VALID, file="runtime.yaml")


def test_the_mode_is_remote_unless_the_document_says_engine() -> None:
    text = with_("{mode: Engine, artifacts: records}", "{artifacts: ghcr.io/x/a}")
    hosts = text.replace("ws/echo", "ghcr.io/x/echo").replace("ws/more", "localhost:5000/more")
    assert load(hosts, file="runtime.yaml").spec.registry.mode == "Remote"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("platforms: [linux/amd64, linux/arm64], fullBuild: 'ghcr.io/x/echo:of-arm'", None),
        ("platforms: [linux/amd64]", None),
        (
            "platforms: [linux/amd64, linux/arm64, linux/amd64]",
            "platforms[2]: 'linux/amd64' stands twice; keep one",
        ),
        (
            "platforms: [linux/amd64, linux/arm64]",
            (
                "platforms: names 2 platforms, and only one is built here; name in fullBuild the image or index "
                "that has the full builds for the others"
            ),
        ),
        (
            "platforms: [linux/amd64], fullBuild: 'ghcr.io/x/echo:of-arm'",
            "fullBuild: is for further platforms, and platforms names none; name them, or remove it",
        ),
        (
            "fullBuild: 'ghcr.io/x/echo:of-arm'",
            "fullBuild: is for further platforms, and platforms names none; name them, or remove it",
        ),
        (
            "platforms: [linux/amd64, linux/arm64], fullBuild: 'x/echo:of-arm'",
            "fullBuild: 'x/echo:of-arm' names no registry host; write HOST/REPOSITORY:TAG",
        ),
    ],
)
def test_further_platforms_need_a_full_build_that_somebody_else_made(build: str, message: str | None) -> None:
    text = with_("{mode: Engine, artifacts: records}", "{artifacts: ghcr.io/x/a}")
    text = text.replace("ws/echo", "ghcr.io/x/echo").replace("ws/more", "ghcr.io/x/more")
    text = text.replace("{directory: echo}", f"{{directory: echo, {build}}}")
    if message is None:
        assert load(text, file="runtime.yaml").spec.templates
    else:
        assert refusal(text) == f"runtime.yaml:10: spec.templates[0].build.{message}"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "{directory: more}",
            "{directory: more, platforms: [linux/amd64, linux/amd64]}",
            "11: spec.templates[1].build.platforms[1]: 'linux/amd64' stands twice; keep one",
        ),
        (
            "build: {directory: more}",
            "tags: [latest, stable, latest], build: {directory: more}",
            "11: spec.templates[1].tags[2]: 'latest' stands twice; keep one",
        ),
        (
            "build: {directory: more}",
            "probe: {env: [{name: TIER}, {name: TIER}]}, build: {directory: more}",
            "11: spec.templates[1].probe.env[1].name: 'TIER' stands twice; keep one",
        ),
    ],
)
def test_what_a_cluster_keeps_as_a_set_names_nothing_twice(before: str, after: str, message: str) -> None:
    assert refusal(with_(before, after)) == f"runtime.yaml:{message}"
