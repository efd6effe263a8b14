"""What verbs write to hold, pin and let go: texts that the object's own checks take, and nothing said before is lost."""

import pytest

from controller.api import stops
from controller.api.annotations import checked
from controller.api.field_error import FieldError

HOLD = "runtime.molecule.ai/hold-targets"
PIN = "runtime.molecule.ai/pin-targets"


def test_a_hold_joins_those_that_are_there_and_another_reason_takes_the_place_of_the_first() -> None:
    first = stops.changed({"theirs": "x"}, stops.hold({}, ["ws-1"], "a demo"))
    both = stops.changed(first, stops.hold(first, ["ws-2", "agents/*", "ws-1"], "an audit"))
    assert both == {
        "theirs": "x",
        HOLD: '{"agents/*": "an audit", "ws-1": "an audit", "ws-2": "an audit"}',
    }
    assert checked(both) == both


def test_holds_and_pins_of_a_target_are_lifted_together_and_those_of_others_stay() -> None:
    held = stops.changed({}, stops.hold({}, ["ws-1", "ws-2"], "a demo"))
    pinned = stops.changed(held, stops.pin(held, ["ws-1"], "0.1.5"))
    assert [stops.stop_of(pinned, name) for name in ("ws-1", "ws-2", "ws-3")] == [
        "held: a demo, pinned to 0.1.5",
        "held: a demo",
        None,
    ]
    assert stops.lift(pinned, ["ws-1"]) == {HOLD: '{"ws-2": "a demo"}', PIN: None}
    assert stops.lift(pinned, ["ws-3"]) == {}


@pytest.mark.parametrize(
    ("target", "reason", "words"),
    [
        ("ws-1", " ", "ws-1: a hold needs a reason, for whoever wonders; write one, or remove it"),
        (
            "agents/ws-1",
            "a demo",
            (
                "'agents/ws-1' is no target; write a container's name, docker/HOST/CONTAINER, NAMESPACE/KIND/NAME, or"
                " docker/HOST/*, NAMESPACE/* or * for all of them"
            ),
        ),
    ],
)
def test_what_the_object_would_refuse_is_not_written(target: str, reason: str, words: str) -> None:
    with pytest.raises(FieldError) as refused:
        stops.hold({}, [target], reason)
    assert (str(refused.value), refused.value.path) == (words, (HOLD,))


def test_a_pin_is_a_version() -> None:
    with pytest.raises(FieldError, match=r"ws-1: '0.1.x' is not a PEP 440 version"):
        stops.pin({}, ["ws-1"], "0.1.x")


def test_what_is_kept_beside_a_document_joins_its_holds_and_takes_the_place_of_its_other_words() -> None:
    document = {HOLD: '{"ws-1": "by its owner", "ws-2": "by its owner"}', "runtime.molecule.ai/hold": "old"}
    beside = {HOLD: '{"ws-2": "by a verb"}', "runtime.molecule.ai/hold": "new"}
    assert stops.joined(document, beside) == {
        HOLD: '{"ws-1": "by its owner", "ws-2": "by a verb"}',
        "runtime.molecule.ai/hold": "new",
    }
