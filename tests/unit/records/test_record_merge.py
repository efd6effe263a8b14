"""Copies of a record, brought together in whatever order: nothing is lost, and nothing of other bytes gets in."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controller.model.record import Artifact, ReleaseRecord, TemplateRecord, Verdict
from controller.model.record_merge import merged, succeeding

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


minutes = st.integers(0, 5)
templates = st.builds(
    template,
    st.sampled_from("12"),
    built=minutes,
    image=st.sampled_from(["candidate-1", "0.1.1-x"]),
    proven=st.booleans(),
    tags=st.sets(st.sampled_from(["latest", "stable"])).map(lambda tags: tuple(sorted(tags))),
    boot_seconds=st.none() | st.just(1.5),
)
records = st.builds(
    record,
    st.sampled_from("ac"),
    recorded=st.integers(0, 1),
    templates=st.dictionaries(st.sampled_from(["echo", "greeter"]), templates),
    published_time=st.none() | minutes.map(at),
    promoted=st.booleans(),
    resumed_time=st.none() | st.integers(-9, -1).map(at),
    verdict=st.none() | st.builds(verdict, st.sampled_from(["Good", "Failed"]), minutes),
)


@given(records, records)
def test_the_order_of_two_copies_does_not_matter(one: ReleaseRecord, other: ReleaseRecord) -> None:
    assert merged(one, other) == merged(other, one)


@given(records, records)
def test_a_copy_that_is_in_it_already_changes_nothing(one: ReleaseRecord, other: ReleaseRecord) -> None:
    together = merged(one, other)
    assert merged(together, one) == merged(together, other) == merged(together, together) == together


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


def test_an_image_built_again_takes_the_place_of_the_proven_one() -> None:
    old = template(built=1, image="0.1.1-x", proven=True)
    new = template("2", built=2)
    assert merged(record(templates={"echo": old}), record(templates={"echo": new})).templates["echo"] == new


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
