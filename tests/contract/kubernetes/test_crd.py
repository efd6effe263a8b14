"""The API server takes the CustomResourceDefinition, and judges each sample as `wsr` does."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.load import InvalidDocument, load
from controller.api.status import Status
from tests.cluster.cluster import Cluster

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "crds" / "samples"
STORED = Path(__file__).parent / "stored"
VALID = sorted(SAMPLES.glob("*.yaml"))
INVALID = sorted((SAMPLES / "invalid").glob("*.yaml"))
APPLY = "application/apply-patch+yaml"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TAKEN = "taken"


@pytest.fixture(scope="module", autouse=True)
def defined(cluster: Cluster) -> None:
    """The definition as it is committed, taken and served."""
    text = (ROOT / "crds" / "workspaceruntime.yaml").read_text()
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    name = yaml.safe_load(text)["metadata"]["name"]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{name}")
    _until_served(cluster)


def _until_served(cluster: Cluster) -> None:
    """What is established is served, and found by kubectl, a moment later."""
    for _ in range(100):
        served = cluster.api.ask("/apis/runtime.molecule.ai/v1alpha1/workspaceruntimes")[0] == 200
        if served and cluster.kubectl("explain", "wsr", check=False).returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError("the API server does not serve workspaceruntimes")


def objects(namespace: str) -> str:
    return f"/apis/runtime.molecule.ai/v1alpha1/namespaces/{namespace}/workspaceruntimes"


def create(cluster: Cluster, namespace: str, content: Mapping[str, Any]) -> tuple[int, Any]:
    body = {**content, "metadata": {**content["metadata"], "namespace": namespace}}
    return cluster.api.ask(f"{objects(namespace)}?fieldValidation=Strict", method="POST", body=body)


def expected(sample: Path) -> dict[str, str]:
    """What the first lines of an invalid sample say of the two that judge it."""
    comments = [line[2:] for line in sample.read_text().splitlines() if line.startswith("# ")]
    return dict(line.split(": ", 1) for line in comments)


@pytest.mark.parametrize("sample", VALID, ids=lambda path: path.stem)
def test_what_wsr_takes_the_cluster_takes(sample: Path, cluster: Cluster, namespace: str) -> None:
    content = yaml.safe_load(sample.read_text())
    status, stored = create(cluster, namespace, content)
    assert status == 201, stored
    before = load(sample.read_text(), file=sample.name)
    after = load(yaml.safe_dump(stored), file=sample.name)
    assert after.spec == before.spec, "the defaults of the schema are those of the models"


@pytest.mark.parametrize("sample", INVALID, ids=lambda path: path.stem)
def test_what_wsr_refuses_the_cluster_refuses(sample: Path, cluster: Cluster, namespace: str) -> None:
    words = expected(sample)
    with pytest.raises(InvalidDocument) as caught:
        load(sample.read_text(), file=sample.name)
    assert str(caught.value).split(": ", 1)[1] == words["wsr"]
    status, answer = create(cluster, namespace, yaml.safe_load(sample.read_text()))
    if words["kubectl"].startswith(TAKEN):
        assert status == 201, answer
    else:
        assert status in {400, 422}
        assert words["kubectl"] in answer["message"], answer["message"]


def test_the_definition_says_itself_what_only_code_checks() -> None:
    taken = {sample.stem for sample in INVALID if expected(sample)["kubectl"].startswith(TAKEN)}
    assert taken == {"a-probe-too-small", "unknown-template-to-rebuild", "version-too-high"}


def _sample() -> dict[str, Any]:
    content = yaml.safe_load((SAMPLES / "standalone.yaml").read_text())
    assert isinstance(content, dict)
    return content


def _status(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- any field of the status
    at = "2026-11-26T12:00:00Z"
    conditions = [
        {
            "type": type_,
            "status": "True",
            "reason": "UpToDate",
            "message": f"{type_} as asked for.",
            "lastTransitionTime": at,
            "observedGeneration": 1,
        }
        for type_ in ("Ready", "Published", "ImagesBuilt", "RolledOut")
    ]
    whole = {
        "observedGeneration": 1,
        "conditions": conditions,
        "resolvedVersion": "0.1.0",
        "source": {"treeSha256": "a" * 64},
        "package": {
            "version": "0.1.0",
            "wheelSha256": "b" * 64,
            "contentSha256": "c" * 64,
            "publishedTime": at,
        },
        "templates": [{"name": "echo", "state": "Proven", "bootSeconds": 1.5, "memoryBytes": 5_000_000_000}],
        "rollout": {"startedTime": at, "total": 10, "upToDate": 8, "busy": 1, "held": 1},
        "stragglers": [{"name": "docker/local/ws-1", "where": "local", "since": at, "why": "It is busy."}],
        "lastKnownGood": "0.0.9",
        "history": [{"version": "0.1.0", "verdict": "InProgress", "startedTime": at}],
        **changes,
    }
    return Status.model_validate(whole).model_dump(mode="json", exclude_none=True)


def test_the_whole_status_is_stored_as_it_is_written(cluster: Cluster, namespace: str) -> None:
    _, stored = create(cluster, namespace, _sample())
    written = _status()
    path = f"{objects(namespace)}/molecule-runtime/status?fieldValidation=Strict"
    status, answer = cluster.api.ask(path, method="PUT", body={**stored, "status": written})
    assert status == 200, answer
    assert answer["status"] == written
    assert answer["metadata"]["generation"] == 1, "a status is no edit of the document"


def test_people_see_version_readiness_why_and_progress(cluster: Cluster, namespace: str) -> None:
    _, stored = create(cluster, namespace, _sample())
    path = f"{objects(namespace)}/molecule-runtime/status"
    cluster.api.ask(path, method="PUT", body={**stored, "status": _status()})
    head, row = cluster.kubectl("get", "wsr", "-n", namespace, "-o", "wide").stdout.splitlines()
    assert head.split() == ["NAME", "VERSION", "READY", "STATUS", "UP-TO-DATE", "AGE", "WAVE", "WHEEL"]
    assert row.startswith("molecule-runtime   0.1.0     True    Ready as asked for.   8/10")
    assert row.endswith("b" * 64)
    short = cluster.kubectl("get", "molecule", "-n", namespace).stdout
    assert "WHEEL" not in short
    assert "molecule-runtime" in short


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("wsr", "An object declares the version"),
        ("wsr.spec.version", "the one line that a bump edits"),
        ("wsr.spec.templates.build.rebuildOn", "What makes a new image"),
        ("wsr.spec.rollout.drain.onTimeout", "Wait: leave it, report it, ask again later"),
        ("wsr.status.conditions.reason", "one word of a fixed vocabulary"),
    ],
)
def test_kubectl_explain_is_the_manual(cluster: Cluster, field: str, words: str) -> None:
    told = cluster.kubectl("explain", field)
    assert words in " ".join(told.stdout.split()), told.stdout


def test_two_writers_own_a_template_each(cluster: Cluster, namespace: str) -> None:
    create(cluster, namespace, _sample())
    for writer, name in (("one", "first"), ("two", "second")):
        template = {"name": name, "image": f"ws/{name}", "build": {"directory": name}}
        patch = {
            "apiVersion": "runtime.molecule.ai/v1alpha1",
            "kind": "WorkspaceRuntime",
            "spec": {"templates": [template]},
        }
        path = f"{objects(namespace)}/molecule-runtime?fieldManager={writer}"
        status, answer = cluster.api.ask(path, method="PATCH", body=patch, content_type=APPLY)
        assert status == 200, answer
    assert [each["name"] for each in answer["spec"]["templates"]] == ["echo", "greeter", "first", "second"]


def _keeps(told: Any, stored: Any) -> bool:  # noqa: ANN401 -- whatever JSON holds
    """Whether all that was stored is told, beside what only this release knows."""
    if isinstance(stored, dict):
        return all(name in told and _keeps(told[name], value) for name, value in stored.items())
    if isinstance(stored, list):
        return len(told) == len(stored) and all(map(_keeps, told, stored))
    return bool(told == stored)


@pytest.mark.parametrize("stored", sorted(STORED.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_an_earlier_release_stored_stays_valid(stored: Path, cluster: Cluster, namespace: str) -> None:
    """Each file is an object as a cluster kept it, with the defaults and the status of its time."""
    content = yaml.safe_load(stored.read_text())
    status, kept = create(cluster, namespace, content)
    assert status == 201, kept
    path = f"{objects(namespace)}/{content['metadata']['name']}/status?fieldValidation=Strict"
    status, answer = cluster.api.ask(path, method="PUT", body={**kept, "status": content["status"]})
    assert status == 200, answer
    assert answer["status"] == content["status"]
    assert load(yaml.safe_dump(answer), file="stored.yaml").spec.version == content["spec"]["version"]
    read = Status.model_validate(content["status"])
    assert _keeps(read.model_dump(mode="json", exclude_none=True), content["status"])
