"""Holds and pins on the object reach the targets that they name, by name or by id, and no other."""

from controller.plan.steering import steered
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import target

STEERED = document(
    annotations={
        "runtime.molecule.ai/hold-targets": '{"ws-1": "a demo", "docker/local/ws-2": "debugging"}',
        "runtime.molecule.ai/pin-targets": '{"ws-2": "0.1.0", "docker/other/ws-3": "0.1.0"}',
    }
)


def test_targets_are_named_by_name_or_id() -> None:
    found = steered(STEERED, (target("ws-1"), target("ws-2"), target("ws-3")))
    assert [(each.hold, each.pin) for each in found] == [
        ("a demo", None),
        ("debugging", "0.1.0"),
        (None, None),
    ]


def test_labels_count_where_the_object_says_nothing_and_only_there() -> None:
    found = steered(STEERED, (target("ws-1", hold="by label"), target("ws-4", hold="by label", pin="0.0.9")))
    assert [(each.hold, each.pin) for each in found] == [("a demo", None), ("by label", "0.0.9")]


def test_without_annotations_nothing_changes() -> None:
    targets = (target("ws-1", hold="by label"), target("ws-2"))
    assert steered(document(), targets) == targets
