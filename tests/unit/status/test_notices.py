"""What people are told of an object: once for everything that it turns to, and of nothing that goes on by itself."""

import pytest

from controller.model.observed import Known
from controller.status.notices import Notice, notice_of
from tests.unit.simulator.nouns import AWAY, observation, record, served, target
from tests.unit.status.ground import FAILED, status

KEY = "default/molecule-runtime"
IMAGES = Known(served(record(), latest="0.1.0"))


def told(made: Notice | None) -> tuple[str, str] | None:
    return (made.kind, made.reason) if made is not None else None


def test_each_thing_that_somebody_wants_to_know_has_its_kind() -> None:
    done = status(observation(record(), images=IMAGES))
    assert told(notice_of(KEY, "0.1.0", done)) == ("Done", "UpToDate")
    held = status(observation(record()), annotations={"runtime.molecule.ai/hold": "an audit"})
    assert told(notice_of(KEY, "0.1.0", held)) == ("Held", "Held")
    blocked = status(observation(record(), images=AWAY))
    assert told(notice_of(KEY, "0.1.0", blocked)) == ("Blocked", "Unknown")
    unsafe = target("ws-1", "0.0.9", shape_unsafe="It is linked to.")
    stuck = status(observation(record(), images=IMAGES, targets=Known((unsafe,))))
    assert told(notice_of(KEY, "0.1.0", stuck)) == ("Stalled", "ShapeUnsafe")
    rolling = status(observation(record(), images=IMAGES, targets=Known((target("ws-1", "0.0.9"),))))
    assert notice_of(KEY, "0.1.0", rolling) is None


def test_a_version_that_failed_is_one_piece_of_news_on_its_way_back_and_after_it() -> None:
    images = Known(served(record(), FAILED, latest="0.1.0"))
    going, gone = (
        notice_of(
            KEY,
            "0.1.1",
            status(
                observation(record(), FAILED, images=images, targets=Known((target("ws-1", at),))), "0.1.1"
            ),
        )
        for at in ("0.1.1", "0.1.0")
    )
    assert going is not None
    assert gone is not None
    assert told(going) == told(gone) == ("Held", "RolloutFailed")
    assert not gone.says_more_than(going)
    assert going.title == "default/molecule-runtime 0.1.1: Held (RolloutFailed)"


@pytest.mark.parametrize("field", ["kind", "version", "reason"])
def test_another_kind_version_or_reason_is_news_and_another_message_is_not(field: str) -> None:
    first = Notice(KEY, "Stalled", "0.1.0", "ShapeUnsafe", "ws-1 is linked to.")
    other = {"kind": first.kind, "version": first.version, "reason": first.reason, field: "other"}
    assert Notice(KEY, **other, message=first.message).says_more_than(first)
    assert not Notice(KEY, "Stalled", "0.1.0", "ShapeUnsafe", "ws-2 is linked to.").says_more_than(first)
    assert first.says_more_than(None)
