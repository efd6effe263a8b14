"""What forbids to roll a workload is said with whoever is to change what, and with the patch that cures it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.api.v1alpha1 import Drain
from controller.model.roll import Marks, Roll
from controller.model.workload import Container, ImageWriter, Pod, Workload, WorkloadKind, digest_of
from controller.plan.workloads import behind, contest, foreign_owner, unsafe_workload

GROUP = "runtime.molecule.ai"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
DRAIN = Drain.model_validate({"timeoutSeconds": 900, "onTimeout": "Wait"})


def workload(**changes: Any) -> Workload:  # noqa: ANN401 -- any field
    here = Workload(
        kind=WorkloadKind.DEPLOYMENT,
        namespace="agents",
        name="ws-1",
        uid="u",
        resource_version="1",
        replicas=1,
        containers=(Container("workspace", "ws/echo:2"),),
        selector="app=ws-1",
        strategy="Recreate",
    )
    return replace(here, **changes)


def marked(marks: Marks, **changes: Any) -> Workload:  # noqa: ANN401 -- any field
    annotations = {f"{GROUP}/{name}": value for name, value in marks.annotations().items()}
    return workload(annotations=annotations, **changes)


def written_by(*managers: str) -> Container:
    writers = [ImageWriter(name, NOON.replace(minute=minute)) for minute, name in enumerate(managers)]
    return Container("workspace", "ws/echo:1", tuple(writers))


def test_what_is_written_on_a_workload_reads_back() -> None:
    roll = Roll("ws/echo:1", "0.1.6", "c" * 64, ("sha256:a", "sha256:b"))
    for marks in (
        Marks(),
        Marks("ns/object", "ws/echo:2"),
        Marks("ns/object", "ws/echo:2", roll, "edit"),
        Marks("ns/object", "ws/echo:2", replace(roll, back=True)),
    ):
        assert Marks.of(marked(marks)) == marks


@pytest.mark.parametrize("text", ["", "no", "[]", "{}", '{"before": 1}', "null"])
def test_what_nobody_can_read_any_more_is_taken_for_absent(text: str) -> None:
    assert Marks.of(workload(annotations={f"{GROUP}/roll": text})) == Marks()


def test_before_we_wrote_it_an_image_is_nobodys_contest() -> None:
    assert contest(workload(), written_by("helm")) is None


def test_our_own_image_is_nobodys_contest() -> None:
    here = marked(Marks("ns/object", "ws/echo:1"))
    assert contest(here, written_by("helm", "workspace-runtime")) is None


@pytest.mark.parametrize(
    ("manager", "cure"),
    [
        (
            "argocd-controller",
            "add the field to spec.ignoreDifferences of its Application, with RespectIgnoreDifferences=true",
        ),
        ("helm", "set the image in the release's values to the one that runs"),
        ("kubectl-client-side-apply", "take the image out of the manifest that is applied"),
        ("somebody-else", "have it leave the image alone"),
    ],
)
def test_whoever_wrote_the_image_last_is_named_with_the_cure(manager: str, cure: str) -> None:
    here = marked(Marks("ns/object", "ws/echo:2"))
    assert contest(here, written_by("first", "workspace-runtime", manager)) == (
        f"{manager} set its image to ws/echo:1 after ws/echo:2 was set for it; {cure}, or take label managed off it"
    )


def test_one_whose_annotations_went_with_a_whole_replacement_is_contested_all_the_same() -> None:
    assert contest(workload(written="ws/echo:2"), written_by("curl")) is not None


def test_a_workload_has_one_owner() -> None:
    here = marked(Marks("ns/object", "ws/echo:2"))
    assert foreign_owner(here, "ns/object") is None
    assert foreign_owner(workload(), "ns/object") is None
    assert foreign_owner(here, "ns/second") == (
        "WorkspaceRuntime ns/object rolls it; narrow one of the two selectors, or remove its annotation owner"
    )


UNSAFE: list[tuple[dict[str, Any], str, dict[str, Any] | None]] = [
    ({"paused": True}, "It is paused: kubectl -n agents rollout resume deployment/ws-1", None),
    (
        {"kind": WorkloadKind.STATEFUL_SET, "strategy": "RollingUpdate", "partition": 2},
        "Partition 2 keeps pods on the old revision.",
        {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}},
    ),
    (
        {"strategy": "RollingUpdate", "surge": True, "claims": ("data", "more")},
        "A new pod would start beside the old one, and volume claim data has one writer.",
        {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}},
    ),
    (
        {"strategy": "RollingUpdate", "replicas": 2, "grace_seconds": 30},
        "Its pods get 30 s to end, and work in progress up to 900 s.",
        {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 900}}}},
    ),
]


@pytest.mark.parametrize(("changes", "words", "patch"), UNSAFE)
def test_an_unsafe_shape_comes_with_the_patch(
    changes: dict[str, Any], words: str, patch: dict[str, Any] | None
) -> None:
    cause = unsafe_workload(workload(**changes), DRAIN, single_writer_claims={"data"})
    assert cause is not None
    if patch is None:
        assert cause == words
        return
    said, _, told = cause.partition(" kubectl -n agents patch ")
    assert said == words
    assert json.loads(told.partition(" -p '")[2].removesuffix("'")) == patch


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"strategy": "RollingUpdate", "replicas": 1, "grace_seconds": 30},
        {"strategy": "RollingUpdate", "replicas": 2, "grace_seconds": 900},
        {"strategy": "RollingUpdate", "surge": True, "claims": ("shared",)},
        {"claims": ("data",)},
        {"kind": WorkloadKind.STATEFUL_SET, "strategy": "OnDelete", "replicas": 2, "grace_seconds": 30},
    ],
)
def test_other_shapes_are_safe(changes: dict[str, Any]) -> None:
    assert unsafe_workload(workload(**changes), DRAIN, single_writer_claims={"data"}) is None


def test_a_document_that_cuts_work_may_cut_it_in_any_shape() -> None:
    cuts = Drain.model_validate({"timeoutSeconds": 900, "onTimeout": "Proceed"})
    for changes, *_ in UNSAFE[2:]:
        assert unsafe_workload(workload(**changes), cuts, single_writer_claims={"data"}) is None


def pod(name: str, image: str, revision: str, *, ready: bool = True) -> Pod:
    return Pod("agents", name, f"uid of {name}", image=image, revision=revision, ready=ready)


def test_of_pods_that_nobody_else_replaces_those_behind_go_from_the_highest_number_on_and_broken_ones_first() -> (
    None
):
    here = workload(kind=WorkloadKind.STATEFUL_SET, strategy="OnDelete", update_revision="two")
    pods = [
        pod("ws-1-0", "ws/echo:1", "one"),
        pod("ws-1-1", "ws/echo:2", "two"),
        pod("ws-1-2", "ws/echo:2", "one"),
        pod("ws-1-3", "ws/echo:1", "two"),
        pod("ws-1-10", "ws/echo:1", "one"),
        pod("ws-1-4", "ws/echo:1", "one", ready=False),
        pod("ws-1-else", "ws/echo:1", ""),
    ]
    names = [each.name for each in behind(here, pods, "ws/echo:2")]
    assert names == ["ws-1-4", "ws-1-10", "ws-1-3", "ws-1-2", "ws-1-0", "ws-1-else"]


def test_none_agrees_with_a_template_that_the_cluster_has_not_taken_up() -> None:
    here = workload(kind=WorkloadKind.STATEFUL_SET, strategy="OnDelete", update_revision="one", generation=2)
    assert behind(here, [pod("ws-1-0", "ws/echo:2", "one")], "ws/echo:2")
    assert not behind(replace(here, observed_generation=2), [pod("ws-1-0", "ws/echo:2", "one")], "ws/echo:2")


def test_the_digest_of_a_reference_is_what_counts() -> None:
    digest = "sha256:" + "a" * 64
    assert digest_of(f"registry.example/echo:1@{digest}") == digest
    assert digest_of("registry.example/echo:1") is None
