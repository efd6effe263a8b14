"""Annotations of ours on the object are read, or refused in words: none is ignored."""

import pytest

from controller.api.load import load
from tests.unit.api.documents import VALID, refusal

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
            (
                "'my workspace' is no target; write a container's name, docker/HOST/CONTAINER, NAMESPACE/KIND/NAME, or"
                " docker/HOST/*, NAMESPACE/* or * for all of them"
            ),
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
        ("resume", " ", "must begin with the version that may go on, as in 0.1.6"),
        ("resume", "0.01 again", "'0.01' is not normalised; write '0.1'"),
        ("rollback-to", "", "must begin with the version to go back to, as in 0.1.6"),
        ("rollback-to", "0.01 again", "'0.01' is not normalised; write '0.1'"),
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
