"""Holds and pins on the object reach the targets that they name, by name or by id, and no other."""

from controller.plan.steering import steered, unmatched
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


def test_all_of_a_host_a_namespace_or_the_object_are_named_by_a_star_and_less_wins_over_more() -> None:
    asked = document(
        annotations={
            "runtime.molecule.ai/hold-targets": '{"docker/local/*": "an audit", "agents/*": "a freeze"}',
            "runtime.molecule.ai/pin-targets": '{"*": "0.1.0", "docker/other/*": "0.1.1", "ws-3": "0.1.2"}',
        }
    )
    found = steered(
        asked,
        (
            target("ws-1"),
            target("ws-2", hold="by label", pin="0.0.9"),
            target("ws-1", id="docker/other/ws-1"),
            target("ws-3", id="agents/Deployment/ws-3"),
            target("ws-1", id="agents-2/Deployment/ws-1"),
        ),
    )
    assert [(each.hold, each.pin) for each in found] == [
        ("an audit", "0.1.0"),
        ("by label", "0.0.9"),
        (None, "0.1.1"),
        ("a freeze", "0.1.2"),
        (None, "0.1.0"),
    ]


def test_a_name_that_no_target_has_is_told_as_a_slip_and_a_star_only_where_nothing_begins_so() -> None:
    asked = document(
        annotations={
            "runtime.molecule.ai/hold-targets": (
                '{"docker/local/*": "x", "docker/locla/*": "x", "*": "x", "ws-1": "x", "ws-l": "x"}'
            )
        }
    )
    assert unmatched(asked, (target("ws-1"),)) == ("docker/locla/*", "ws-l")
