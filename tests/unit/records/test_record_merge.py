"""Copies of a record, brought together in whatever order: nothing is lost, and nothing of other bytes gets in."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controller.model.record import Dispatched, HeldBack, ReleaseRecord, Verdict
from controller.model.record_merge import merged, succeeding
from controller.model.record_part import Artifact
from controller.model.template_record import TemplateRecord

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
IMAGE = "registry.example/echo"


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def record(wheel: str = "a", *, recorded: int = 0, **facts: object) -> ReleaseRecord:
    return ReleaseRecord(
        package="x",
        version="0.1.1",
        publisher="molecule/x",
        wheel=Artifact(file="x-0.1.1-py3-none-any.whl", sha256=wheel * 64, size=1),
        content_sha256="b" * 64,
        recorded_time=at(recorded),
    ).model_copy(update=facts)


def template(
    letter: str = "1", *, built: int = 0, image: str = "candidate-1", **facts: object
) -> TemplateRecord:
    made = TemplateRecord(image=f"{IMAGE}:{image}", digest=digest(letter), built_time=at(built))
    return made.model_copy(update=facts)


def verdict(value: str, minute: int) -> Verdict:
    return Verdict.model_validate({"value": value, "reason": "X", "message": "", "time": at(minute)})


def held(minute: int, *refused: str, message: str = "No answer.") -> HeldBack:
    return HeldBack(reason="GateFailed", message=message, refused=refused or (digest("1"),), time=at(minute))


def sent(minute: int, correlation_id: str = "abc") -> Dispatched:
    return Dispatched(correlation_id=correlation_id, sent_time=at(minute))


def without_void_notes(made: ReleaseRecord) -> ReleaseRecord:
    """As writers leave a record: what was resumed, or followed by an image that passed, is not in it."""
    resumed = made.resumed_time or at(-99)
    built: dict[str, datetime] = {}
    for name, image in (*made.templates.items(), *made.shadows.items()):
        if image.proven and image.built_time:
            built[name] = max(image.built_time, built.get(name, resumed))
    return made.model_copy(
        update={
            "held_back": {
                name: note
                for name, note in made.held_back.items()
                if note.time > resumed and note.time >= built.get(name, resumed)
            },
            "dispatches": {name: note for name, note in made.dispatches.items() if note.sent_time > resumed},
            "verdict": made.verdict if made.verdict and made.verdict.time > resumed else None,
        }
    )


def names_of_proven(made: ReleaseRecord) -> set[str]:
    return {name for name, image in (*made.templates.items(), *made.shadows.items()) if image.proven}


minutes = st.integers(0, 5)
names = st.sampled_from(["echo", "greeter"])
templates = st.builds(
    template,
    st.sampled_from("12"),
    built=minutes,
    image=st.sampled_from(["candidate-1", "0.1.1-x"]),
    proven=st.booleans(),
    tags=st.sets(st.sampled_from(["latest", "stable"])).map(lambda tags: tuple(sorted(tags))),
    earlier_tags=st.sets(st.sampled_from(["latest", "stable"])).map(lambda tags: tuple(sorted(tags))),
    boot_seconds=st.none() | st.just(1.5),
)
records = st.builds(
    record,
    st.sampled_from("ac"),
    recorded=st.integers(0, 1),
    templates=st.dictionaries(names, templates),
    shadows=st.dictionaries(names, templates),
    held_back=st.dictionaries(names, st.builds(held, minutes, message=st.sampled_from("xy"))),
    dispatches=st.dictionaries(names, st.builds(sent, minutes, st.sampled_from("xy"))),
    published_time=st.none() | minutes.map(at),
    promoted=st.booleans(),
    resumed_time=st.none() | st.integers(-9, 5).map(at),
    resume_requests=st.sets(st.sampled_from("xy")).map(lambda each: tuple(sorted(each))),
    verdict=st.none() | st.builds(verdict, st.sampled_from(["Good", "Failed"]), minutes),
).map(without_void_notes)


@given(records, records)
def test_the_order_of_two_copies_does_not_matter(one: ReleaseRecord, other: ReleaseRecord) -> None:
    assert merged(one, other) == merged(other, one)


@given(records, records)
def test_a_copy_that_is_in_it_already_changes_nothing(one: ReleaseRecord, other: ReleaseRecord) -> None:
    together = merged(one, other)
    assert merged(together, one) == merged(together, other) == merged(together, together) == together


@given(records, records)
def test_no_note_is_lost_but_those_that_a_resumption_or_a_proven_image_made_void(
    one: ReleaseRecord, other: ReleaseRecord
) -> None:
    together = merged(one, other)
    said = [
        each
        for each in (one, other)
        if each.recorded_time == together.recorded_time and each.wheel == together.wheel
    ]
    resumed = max((each.resumed_time for each in said if each.resumed_time), default=at(-99))
    if len(said) == 1:
        assert together == said[0]
        return
    told = {name: note for each in said for name, note in each.dispatches.items() if note.sent_time > resumed}
    assert together.dispatches.keys() == told.keys()
    noted = {name for each in said for name, note in each.held_back.items() if note.time > resumed}
    assert noted - names_of_proven(together) <= together.held_back.keys() <= noted


@given(records, records)
def test_images_are_never_recorded_beside_the_wheel_of_another_copy(
    one: ReleaseRecord, other: ReleaseRecord
) -> None:
    together = merged(one, other)
    said = [each for each in (one, other) if each.wheel == together.wheel]
    identities = {image.identity for each in said for image in each.templates.values()}
    assert {image.identity for image in together.templates.values()} <= identities


def test_two_images_proven_at_the_same_time_are_both_proven() -> None:
    begun = {"echo": template(), "greeter": template("2")}
    one = record(templates=begun | {"echo": template(proven=True, boot_seconds=1.0)})
    other = record(templates=begun | {"greeter": template("2", proven=True)})
    assert {name: image.proven for name, image in merged(one, other).templates.items()} == {
        "echo": True,
        "greeter": True,
    }


def test_a_failed_verdict_outlives_a_good_one_and_whatever_else_is_written_beside_it() -> None:
    failed = record(verdict=verdict("Failed", 1))
    assert merged(failed, record(verdict=verdict("Good", 2))).failed
    assert merged(failed, record(published_time=at(3))).failed


def test_a_version_that_was_resumed_is_not_held_again_by_an_earlier_copy() -> None:
    failed = record(verdict=verdict("Failed", 1))
    resumed = failed.resumed(at(2))
    assert merged(resumed, failed) == resumed
    again = resumed.judged(verdict("Failed", 3))
    assert merged(again, resumed).failed


def test_a_verdict_by_a_clock_that_is_behind_is_not_taken_for_one_that_was_taken_back() -> None:
    resumed = record(verdict=verdict("Failed", 9)).resumed(at(2))
    again = resumed.judged(verdict("Failed", 3))
    assert merged(again, again).failed
    assert not merged(resumed, record(verdict=verdict("Failed", 9))).failed, "whosever clock was ahead"


def test_an_image_built_again_takes_the_place_of_the_proven_one_which_stays_in_use_meanwhile() -> None:
    old = template(built=1, image="0.1.1-x", proven=True)
    new = template("2", built=2)
    both = merged(record(templates={"echo": old}), record(templates={"echo": new})).templates["echo"]
    assert (both.image, both.proven, both.in_use) == (new.image, False, old)
    assert both == new.following(old)


def test_all_that_either_copy_of_an_image_follows_is_kept() -> None:
    digests = [f"sha256:{letter * 64}" for letter in "ab"]
    tags = ("latest", "stable")
    images = [
        template(followed=(each,), earlier_tags=(tag,)) for each, tag in zip(digests, tags, strict=True)
    ]
    both = merged(*(record(templates={"echo": each}) for each in images)).templates["echo"]
    assert (both.followed, both.earlier_tags) == (tuple(digests), tags)


def test_the_same_image_stored_again_stands_under_its_candidate_name_and_stays_proven() -> None:
    old = template(built=1, image="0.1.1-x", proven=True, tags=("latest",))
    again = merged(record(templates={"echo": old}), record(templates={"echo": template(built=2)})).templates[
        "echo"
    ]
    assert (again.image, again.proven, again.tags) == (f"{IMAGE}:candidate-1", True, ("latest",))


def test_what_is_public_stands_against_other_bytes_and_else_the_newer_ones() -> None:
    public = record("a", published_time=at(1))
    newer = record("c", recorded=5)
    assert merged(public, newer) == public
    assert merged(record("a"), newer) == newer


def test_a_record_made_anew_after_it_was_deleted_takes_nothing_over() -> None:
    deleted = record(verdict=verdict("Failed", 1), templates={"echo": template()})
    anew = record(recorded=9)
    assert merged(deleted, anew) == anew


def test_other_bytes_stand_in_place_of_those_before_whatever_the_clock_says() -> None:
    before = record("a", recorded=9)
    after = succeeding(record("c", recorded=1), before)
    assert merged(before, after) == after
    same = succeeding(record("a", recorded=1, promoted=True), before)
    assert merged(before, same).promoted


def test_fields_of_a_later_release_are_brought_together_too() -> None:
    later = ReleaseRecord.model_validate(record().model_dump(by_alias=True) | {"signedOff": "yes"})
    assert (merged(record(promoted=True), later).model_extra or {}) == {"signedOff": "yes"}
    assert merged(record(promoted=True), later).promoted


def test_shadows_are_joined_as_images_are_and_never_taken_for_them() -> None:
    one = record(shadows={"echo": template(built=1), "greeter": template("2", proven=True)})
    other = record(shadows={"echo": template("2", built=2), "greeter": template("2", boot_seconds=1.5)})
    together = merged(one, other)
    assert together.shadows["echo"] == template("2", built=2)
    assert (together.shadows["greeter"].proven, together.shadows["greeter"].boot_seconds) == (True, 1.5)
    assert together.templates == {}


def test_the_newer_note_of_each_template_stands_in_whatever_order_copies_come() -> None:
    one = record(held_back={"echo": held(1), "greeter": held(4)}, dispatches={"echo": sent(1)})
    other = record(held_back={"echo": held(3, digest("2"))}, dispatches={"echo": sent(3), "greeter": sent(1)})
    for together in (merged(one, other), merged(other, one)):
        assert together.held_back == {"echo": held(3, digest("2")), "greeter": held(4)}
        assert together.dispatches == {"echo": sent(3), "greeter": sent(1)}


def test_notes_that_were_resumed_are_not_brought_back_by_an_earlier_copy() -> None:
    before = record(held_back={"echo": held(1)}, dispatches={"greeter": sent(1)})
    resumed = before.resumed(at(2))
    assert (resumed.held_back, resumed.dispatches) == ({}, {})
    assert merged(before, resumed) == merged(resumed, before) == resumed
    again = resumed.holding_back("echo", held(3)).dispatched("greeter", sent(3))
    assert merged(before, again) == merged(resumed, again) == again


def test_notes_by_a_clock_that_is_behind_are_not_taken_for_such_as_were_resumed() -> None:
    resumed = record(held_back={"echo": held(9)}).resumed(at(2))
    again = resumed.holding_back("echo", held(3)).dispatched("greeter", sent(3))
    assert merged(again, resumed) == again
    assert again.held_back.keys() == {"echo"}
    assert again.dispatches.keys() == {"greeter"}


def test_a_note_of_an_image_that_another_one_replaced_and_that_passed_is_not_brought_back() -> None:
    failed = record(templates={"echo": template(built=1)}).holding_back("echo", held(2))
    built = failed.with_template("echo", template("2", built=3))
    assert merged(failed, built).held_back == failed.held_back
    passed = built.with_template("echo", template("2", built=3, proven=True)).holding_back("echo", None)
    assert merged(failed, passed) == merged(passed, failed) == passed
    shadowed = record(shadows={"echo": template(built=3, proven=True)})
    assert merged(failed.model_copy(update={"templates": {}}), shadowed).held_back == {}


def test_a_note_of_what_came_after_the_proven_image_stays_also_when_a_clock_is_behind() -> None:
    passed = record(templates={"echo": template(built=9, proven=True)})
    failed = passed.holding_back("echo", held(2, digest("2")))
    assert merged(passed, failed).held_back["echo"].refused == (digest("2"),)
