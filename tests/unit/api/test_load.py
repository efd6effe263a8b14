"""A document is read whole or refused with line, path, cause and cure, in words."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.load import InvalidDocument, load
from controller.api.patterns import PATTERN_WORDS
from controller.api.v1alpha1 import WorkspaceRuntime

SAMPLES = Path(__file__).resolve().parents[3] / "crds" / "samples"
VALID = """\
apiVersion: runtime.molecule.ai/v1alpha1
kind: WorkspaceRuntime
metadata: {name: molecule-runtime}
spec:
  version: "0.1.0"
  source: {directory: workspace}
  package: {index: {uploadURL: http://index/, simpleURL: http://index/simple/}}
  registry: {mode: Engine, artifacts: records}
  templates:
    - {name: echo, image: ws/echo, build: {directory: echo}}
    - {name: more, image: ws/more, build: {directory: more}}
  targets: {dockerHosts: [{name: local, endpoint: unix:///var/run/docker.sock}]}
  rollout: {maxUnavailable: 2}
"""


def refusal(text: str) -> str:
    with pytest.raises(InvalidDocument) as caught:
        load(text, file="runtime.yaml")
    return str(caught.value)


def with_(before: str, after: str) -> str:
    assert before in VALID
    return VALID.replace(before, after, 1)


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


ANNOTATED = """\
apiVersion: runtime.molecule.ai/v1alpha1
kind: WorkspaceRuntime
metadata:
  name: molecule-runtime
  annotations:
    team.example/note: whatever
"""


def annotated(name: str, value: str) -> str:
    head = VALID[: VALID.index("spec:")]
    return VALID.replace(head, f"{ANNOTATED}    runtime.molecule.ai/{name}: {value!r}\n")


def test_holds_and_pins_on_the_object_are_read() -> None:
    metadata = load(annotated("hold", "an audit"), file="runtime.yaml").metadata
    assert (metadata.hold, metadata.held_targets, metadata.pinned_targets) == ("an audit", {}, {})
    held = '{"ws-1": "a demo", "docker/local/ws-2": "an audit"}'
    metadata = load(annotated("hold-targets", held), file="runtime.yaml").metadata
    assert (metadata.hold, metadata.held_targets) == (
        None,
        {"ws-1": "a demo", "docker/local/ws-2": "an audit"},
    )
    metadata = load(annotated("pin-targets", '{"ws-1": "0.1.5"}'), file="runtime.yaml").metadata
    assert metadata.pinned_targets == {"ws-1": "0.1.5"}
    metadata = load(annotated("rebuild", '{"*": "CVE-2026-1"}'), file="runtime.yaml").metadata
    assert metadata.request_for("echo") == "CVE-2026-1"
    assert load(VALID, file="runtime.yaml").metadata.request_for("echo") is None


def test_a_request_for_a_template_that_the_document_does_not_list_is_refused() -> None:
    assert refusal(annotated("rebuild", '{"ecko": "CVE-2026-1"}')) == (
        "runtime.yaml:7: metadata.annotations.runtime.molecule.ai/rebuild: 'ecko' is no template of this "
        'document; write "*" or one of echo, more'
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "hold-targets",
            "ws-1, ws-2",
            (
                "must be JSON that gives each target a reason, as in "
                """{"ws-0123456789ab": "a customer demo until five"}, got 'ws-1, ws-2'"""
            ),
        ),
        (
            "pin-targets",
            '["ws-1"]',
            (
                "must be JSON that gives each target a version, as in "
                """{"ws-0123456789ab": "0.1.5"}, got '["ws-1"]'"""
            ),
        ),
        (
            "pin-targets",
            '{"ws-1": 1}',
            (
                "must be JSON that gives each target a version, as in "
                """{"ws-0123456789ab": "0.1.5"}, got '{"ws-1": 1}'"""
            ),
        ),
        (
            "pin-targets",
            '{"ws-1": "0.01"}',
            "ws-1: '0.01' is not normalised; write '0.1'",
        ),
        (
            "hold-targets",
            '{"my workspace": "x"}',
            "'my workspace' is no target; write a container's name, or docker/HOST/CONTAINER",
        ),
        (
            "hold-targets",
            '{"ws-1": "x", "ws-1": "y"}',
            "a target stands twice among ws-1; keep one",
        ),
        ("hold", "", "a hold needs a reason, for whoever wonders; write one, or remove it"),
        ("hold", " ", "a hold needs a reason, for whoever wonders; write one, or remove it"),
        (
            "hold-targets",
            '{"ws-1": ""}',
            "ws-1: a hold needs a reason, for whoever wonders; write one, or remove it",
        ),
        (
            "rebuild",
            "langgraph",
            (
                "must be JSON that gives each template the name of a request, as in "
                """{"langgraph": "CVE-2026-1"}, got 'langgraph'"""
            ),
        ),
        (
            "rebuild",
            '{"echo": " "}',
            "echo: a request needs a name; write any text",
        ),
        (
            "rebuild",
            '{"*": "x", "*": "y"}',
            "a template stands twice among *; keep one",
        ),
        (
            "hold-target",
            '{"ws-1": "x"}',
            "unknown annotation; did you mean runtime.molecule.ai/hold-targets?",
        ),
    ],
)
def test_an_annotation_of_ours_that_nobody_could_keep_is_refused(name: str, value: str, message: str) -> None:
    assert (
        refusal(annotated(name, value))
        == f"runtime.yaml:7: metadata.annotations.runtime.molecule.ai/{name}: {message}"
    )


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


def test_an_engine_has_images_of_one_platform() -> None:
    several = "{directory: echo, platforms: [linux/amd64, linux/arm64]}"
    assert refusal(with_("{directory: echo}", several)) == (
        "runtime.yaml:10: spec.templates[0].build.platforms: names 2 platforms, and an engine has images of one; "
        "keep one, or use registry.mode: Remote"
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        # unknown fields
        (
            "  registry:",
            "  registryy: {}\n  registry:",
            "8: spec.registryy: unknown field; did you mean registry?",
        ),
        (
            "rollout: {maxUnavailable: 2}",
            "rollout: {colour: red}",
            "13: spec.rollout.colour: unknown field; known here: drain, maxUnavailable, onFailure",
        ),
        (
            "build: {directory: more}",
            "build: {directory: more, rebuild_on: [Version]}",
            "11: spec.templates[1].build.rebuild_on: unknown field; did you mean rebuildOn?",
        ),
        (
            "rollout: {maxUnavailable: 2}",
            "rollout: {waves: [{name: canary}]}",
            "13: spec.rollout.waves: unknown field; known here: drain, maxUnavailable, onFailure",
        ),
        (
            "build: {directory: more}",
            "probe: {readOnlyRoot: true}, build: {directory: more}",
            (
                "11: spec.templates[1].probe.readOnlyRoot: has another name now; write"
                " securityContext.readOnlyRootFilesystem"
            ),
        ),
        (
            "build: {directory: more}",
            "probe: {memoryMegabytes: 512}, build: {directory: more}",
            (
                "11: spec.templates[1].probe.memoryMegabytes: has another name now; write"
                ' resources.limits.memory, as in "512Mi"'
            ),
        ),
        # missing fields
        ("  source: {directory: workspace}\n", "", "4: spec.source: is required and missing"),
        (
            "{name: echo, image: ws/echo,",
            "{image: ws/echo,",
            "10: spec.templates[0].name: is required and missing",
        ),
        # types
        (
            '"0.1.0"',
            "0.10",
            "5: spec.version: must be a string, got the number 0.10; put it in quotes",
        ),
        (
            '"0.1.0"',
            "2026-01-02",
            "5: spec.version: must be a string, got the date 2026-01-02; put it in quotes",
        ),
        ('"0.1.0"', "yes", "5: spec.version: must be a string, got yes; put it in quotes"),
        ('"0.1.0"', "", "5: spec.version: must be a string, got nothing"),
        ('"0.1.0"', "[1]", "5: spec.version: must be a string, got a list"),
        (
            "{directory: workspace}",
            "workspace",
            "6: spec.source: must be an object with fields, got 'workspace'",
        ),
        (
            "{maxUnavailable: 2}",
            '{drain: {timeoutSeconds: "900"}}',
            "13: spec.rollout.drain.timeoutSeconds: must be a whole number, got the string '900'; write it without quotes",
        ),
        (
            "{maxUnavailable: 2}",
            "{drain: {timeoutSeconds: 1.5}}",
            "13: spec.rollout.drain.timeoutSeconds: must be a whole number, got the number 1.5",
        ),
        (
            '"0.1.0"',
            '"0.1.0"\n  suspend: "yes"',
            "6: spec.suspend: must be true or false, got 'yes'",
        ),
        (
            "[{name: local, endpoint: unix:///var/run/docker.sock}]",
            "{name: local}",
            "12: spec.targets.dockerHosts: must be a list, got an object",
        ),
        (
            "build: {directory: echo}",
            "build: {directory: echo, args: {TIER: 1}}",
            "10: spec.templates[0].build.args.TIER: must be a string, got the number 1; put it in quotes",
        ),
        (
            "build: {directory: echo}",
            "build: {directory: echo, args: {1: x}}",
            "10: spec.templates[0].build.args[1]: a key must be a string; put it in quotes",
        ),
        # bounds
        (
            "{maxUnavailable: 2}",
            "{drain: {timeoutSeconds: 0}}",
            "13: spec.rollout.drain.timeoutSeconds: must be at least 1, got the number 0",
        ),
        (
            "{maxUnavailable: 2}",
            "{drain: {timeoutSeconds: 90000}}",
            "13: spec.rollout.drain.timeoutSeconds: must be at most 86400, got the number 90000",
        ),
        (
            "[{name: local, endpoint: unix:///var/run/docker.sock}]",
            "[]",
            "12: spec.targets: names nothing to roll; name dockerHosts, workloads, or both",
        ),
        (
            "build: {directory: echo}",
            "build: {directory: echo, platforms: [arm64]}",
            "10: spec.templates[0].build.platforms[0]: must be a platform, as in linux/arm64, got 'arm64'",
        ),
        (
            "build: {directory: echo}",
            "build: {directory: echo, platforms: [linux/arm64], fullBuild: registry.example/echo}",
            (
                "10: spec.templates[0].build.fullBuild: 'registry.example/echo' is not the name of an image; "
                "write it with a tag or digest, as in registry.example/team/name:tag"
            ),
        ),
        (
            "build: {directory: echo}",
            "build: {directory: echo}, tags: [a, b, c, d, e, f, g, h, i, j, k]",
            "10: spec.templates[0].tags: must have at most 10 entries, got a list",
        ),
        (
            "{directory: workspace}",
            '{directory: ""}',
            "6: spec.source: names no source; name git or directory",
        ),
        (
            '"0.1.0"',
            f'"{"1" * 65}"',
            f"5: spec.version: must have at most 64 characters, got '{'1' * 65}'",
        ),
        (
            "{maxUnavailable: 2}",
            "{maxUnavailable: 0}",
            "13: spec.rollout.maxUnavailable: must be a whole number from 1, or a percentage from 1% to 100%, got 0",
        ),
        (
            "{maxUnavailable: 2}",
            "{maxUnavailable: 120%}",
            "13: spec.rollout.maxUnavailable: must be a whole number from 1, or a percentage from 1% to 100%, got '120%'",
        ),
        (
            "{maxUnavailable: 2}",
            "{maxUnavailable: true}",
            "13: spec.rollout.maxUnavailable: must be a whole number from 1, or a percentage from 1% to 100%, got True",
        ),
        (
            "build: {directory: more}",
            "probe: {resources: {limits: {cpu: 5x}}}, build: {directory: more}",
            (
                "11: spec.templates[1].probe.resources.limits.cpu: must be an amount of CPU from 10m, such as 500m, 2 or"
                " 0.5, got '5x'"
            ),
        ),
        (
            "build: {directory: more}",
            "probe: {resources: {limits: {memory: 512}}}, build: {directory: more}",
            (
                "11: spec.templates[1].probe.resources.limits.memory: must be an amount of memory from 16Mi, such as 512Mi"
                " or 2Gi, got 512"
            ),
        ),
        # choices
        (
            "build: {directory: more}",
            "probe: {model: none}, build: {directory: more}",
            "11: spec.templates[1].probe.model: must be 'Required', 'WithoutTools' or 'None', got 'none'",
        ),
        ("mode: Engine", "mode: engine", "8: spec.registry.mode: must be 'Engine' or 'Remote', got 'engine'"),
        (
            "{maxUnavailable: 2}",
            "{onFailure: rollback}",
            "13: spec.rollout.onFailure: must be 'Rollback' or 'Pause', got 'rollback'",
        ),
        (
            "kind: WorkspaceRuntime",
            "kind: Deployment",
            "2: kind: must be 'WorkspaceRuntime', got 'Deployment'",
        ),
        (
            "runtime.molecule.ai/v1alpha1",
            "runtime.molecule.ai/v1",
            "1: apiVersion: must be 'runtime.molecule.ai/v1alpha1', got 'runtime.molecule.ai/v1'",
        ),
        # patterns
        (
            "simpleURL: http://index/simple/",
            "simpleURL: ftp://index/simple/",
            (
                "7: spec.package.index.simpleURL: must be an http:// or https:// address without credentials,"
                " got 'ftp://index/simple/'"
            ),
        ),
        (
            "simpleURL: http://index/simple/",
            "simpleURL: http://ann:s3cret@index/simple/",
            (
                "7: spec.package.index.simpleURL: must be an http:// or https:// address without credentials,"
                " got 'http://***@index/simple/'"
            ),
        ),
        (
            "name: echo",
            "name: Echo",
            (
                "10: spec.templates[0].name: must consist of lower-case letters, digits and '-', and begin and end with a"
                " letter or digit, got 'Echo'"
            ),
        ),
        (
            "endpoint: unix:///var/run/docker.sock",
            "endpoint: tcp://host:2376",
            (
                "12: spec.targets.dockerHosts[0].endpoint: must be a Unix socket, as in unix:///var/run/docker.sock,"
                " got 'tcp://host:2376'"
            ),
        ),
        # versions
        (
            '"0.1.0"',
            '"0.1.x"',
            "5: spec.version: '0.1.x' is not a PEP 440 version; write one like 0.1.6, 0.2.0rc1 or 0.1.6.post1",
        ),
        ('"0.1.0"', '"v0.1.0"', "5: spec.version: 'v0.1.0' is not normalised; write '0.1.0'"),
        ('"0.1.0"', '"0.1.0-local"', "5: spec.version: '0.1.0-local' is not normalised; write '0.1.0+local'"),
        ('"0.1.0"', '"0.1.0-rc.1"', "5: spec.version: '0.1.0-rc.1' is not normalised; write '0.1.0rc1'"),
        # images
        *(
            (
                "image: ws/echo",
                f"image: {image}",
                (
                    f"10: spec.templates[0].image: '{image}' is not an image repository; write it without a tag or"
                    " digest, as in registry.example/team/name"
                ),
            )
            for image in (
                "ghcr.io/x/echo:latest",
                f"ghcr.io/x/echo@sha256:{'a' * 64}",
                "ghcr.io/X/Echo",
                "a//b",
            )
        ),
        (
            "image: ws/echo",
            '"image": "ws/echo\\n"',
            (
                "10: spec.templates[0].image: 'ws/echo\\n' is not an image repository; write it without a tag or"
                " digest, as in registry.example/team/name"
            ),
        ),
        # what belongs together
        (
            "{mode: Engine, artifacts: records}",
            "{artifacts: ghcr.io/x/a}",
            (
                "10: spec.templates[0].image: 'ws/echo' names no registry host; write HOST/REPOSITORY, or use"
                " registry.mode: Engine"
            ),
        ),
        (
            "artifacts: records",
            "artifacts: ghcr.io/x/records",
            (
                "8: spec.registry.artifacts: 'ghcr.io/x/records' must be a volume name in Engine mode; use letters,"
                " digits, '.', '_' and '-'"
            ),
        ),
        (
            "{index: {",
            '{versionCeiling: "0.1.0", index: {',
            (
                "5: spec.version: 0.1.0 is at or above package.versionCeiling 0.1.0; correct it, or raise the"
                " ceiling"
            ),
        ),
        (
            "name: more",
            "name: echo",
            "11: spec.templates[1].name: 'echo' stands twice; each entry needs its own",
        ),
        (
            "image: ws/more",
            "image: ws/echo",
            "11: spec.templates[1].image: 'ws/echo' stands twice; each entry needs its own",
        ),
        # keys
        (
            '"0.1.0"',
            '"0.1.0"\n  version: "0.1.1"',
            "6: spec.version: stands twice; keep one",
        ),
        (
            "image: ws/more,",
            "image: ws/more, image: ws/more,",
            "11: spec.templates[1].image: stands twice; keep one",
        ),
        # YAML
        (
            "metadata: {name: molecule-runtime}",
            "metadata: {name: molecule-runtime",
            "4: not readable as YAML: expected ',' or '}', but got ':'; correct the indentation or quoting there",
        ),
        (
            "  rollout:",
            "\trollout:",
            (
                "13: not readable as YAML: found character '\\t' that cannot start any token; correct the indentation or"
                " quoting there"
            ),
        ),
        (
            '"0.1.0"',
            "2026-13-45",
            "1: not readable as YAML: month must be in 1..12; put such values in quotes",
        ),
        (
            "name: molecule-runtime",
            "name: \x07",
            "1: not readable as YAML: character #x0007 is not allowed; remove it",
        ),
        (
            "  rollout:",
            "---\n  rollout:",
            "13: a second document starts here; keep one per file",
        ),
    ],
)
def test_a_refusal_says_where_why_and_what_instead(before: str, after: str, message: str) -> None:
    assert refusal(with_(before, after)) == f"runtime.yaml:{message}"


@pytest.mark.parametrize("text", ["", "# nothing\n", "- 1\n", "words\n"])
def test_a_file_without_an_object_is_told_how_one_starts(text: str) -> None:
    assert refusal(text) == (
        "runtime.yaml:1: holds no object; it must start with apiVersion, kind, metadata and spec"
    )


def test_all_problems_are_named_at_once_in_the_order_of_the_file() -> None:
    text = with_("kind: WorkspaceRuntime", "kind: Deployment").replace('"0.1.0"', "1")
    assert refusal(text).splitlines() == [
        "runtime.yaml:2: kind: must be 'WorkspaceRuntime', got 'Deployment'",
        "runtime.yaml:5: spec.version: must be a string, got the number 1; put it in quotes",
    ]


def test_a_missing_part_is_named_by_its_nearest_parent() -> None:
    assert refusal("kind: WorkspaceRuntime\n1: x\n").splitlines() == [
        "runtime.yaml:1: apiVersion: is required and missing",
        "runtime.yaml:1: metadata: is required and missing",
        "runtime.yaml:1: spec: is required and missing",
        "runtime.yaml:2: [1]: a field's name must be a string; put it in quotes",
    ]


def test_an_alias_of_its_own_parent_is_refused_like_any_other_wrong_value() -> None:
    assert "6: spec.source.more: unknown field; known here: directory" in refusal(
        with_("{directory: workspace}", "&loop {directory: x, more: *loop}")
    )


def test_a_long_value_is_repeated_in_part() -> None:
    message = refusal(with_("mode: Engine", f"mode: {'e' * 5000}"))
    assert message == f"runtime.yaml:8: spec.registry.mode: must be 'Engine' or 'Remote', got '{'e' * 80}…'"


def parts(schema: object) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from parts(value)


def test_every_pattern_of_the_document_has_words() -> None:
    patterns = {part["pattern"] for part in parts(WorkspaceRuntime.model_json_schema()) if "pattern" in part}
    matched = {pattern for pattern in patterns if pattern.startswith("^(")}
    by_code = matched - set(PATTERN_WORDS)  # as `matched` writes them: code has the words
    assert patterns - by_code == set(PATTERN_WORDS)


values = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 10**6), st.floats(-1, 9), st.text(max_size=3), st.dates()
)
anything = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)


def places(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


SAMPLE = yaml.safe_load(VALID)


@given(place=st.sampled_from(list(places(SAMPLE))), value=anything)
@settings(max_examples=40, deadline=None)
def test_whatever_stands_anywhere_is_taken_or_refused_in_our_own_words(
    place: tuple[str | int, ...], value: object
) -> None:
    document = deepcopy(SAMPLE)
    parent = document
    for part in place[:-1]:
        parent = parent[part]
    parent[place[-1]] = value
    try:
        load(yaml.safe_dump(document, sort_keys=False), file="runtime.yaml")
    except InvalidDocument as error:
        for line in str(error).splitlines():
            assert re.match(r"runtime\.yaml:[0-9]+: ", line)
            assert "should" not in line


def test_a_field_with_an_unprintable_name_does_not_break_the_line_of_its_message() -> None:
    text = VALID.replace("  source:", '  "a\\x1eb": 1\n  source:')
    assert (
        refusal(text)
        .splitlines()[0]
        .startswith("runtime.yaml:6: spec.'a\\x1eb': unknown field; known here: ")
    )
