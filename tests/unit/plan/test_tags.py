"""Whose moving tags are: what was left behind is moved, what somebody else moved is left alone and said."""

from typing import Any, Literal

import pytest

from controller.api.status import HistoryEntry, Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Judge, Promote, TagMove
from controller.model.observed import Known
from controller.model.plan import Progress
from controller.model.record import ReleaseRecord
from controller.plan.decide import decide
from controller.plan.state import Absent, Contested, Held, State, Unpromoted, UpToDate, classify
from controller.plan.tags import Contest, given
from controller.status.scope import Scope
from controller.status.summarize import summarize
from tests.unit.simulator.ground import document
from tests.unit.simulator.nouns import image, observation, on_index, record, served, template_record, verdict
from tests.unit.simulator.virtual_time import NOON

FOREIGN = f"sha256:{'f' * 64}"
TAG = "ws/echo:latest"


def templates(**fields: object) -> list[dict[str, Any]]:
    return [
        {"name": name, "image": f"ws/{name}", "build": {"directory": name}, **fields}
        for name in ("echo", "greeter")
    ]


def set_before(version: str = "0.1.0", **changes: Any) -> ReleaseRecord:  # noqa: ANN401 -- any field
    """A release whose tags we have set."""
    images = {name: template_record(version, name, tags=("latest",)) for name in ("echo", "greeter")}
    return record(version, **{"templates": images, **changes})


def been(version: str, verdict: Literal["Good", "InProgress"] = "Good") -> HistoryEntry:
    return HistoryEntry(version=version, verdict=verdict, started_time=NOON)


def state_with(
    tag: str | None,
    *records: ReleaseRecord,
    asked: WorkspaceRuntime | None = None,
    history: tuple[HistoryEntry, ...] = (),
) -> State:
    """The state when one tag of `echo` stands for `tag` and all else for the version asked for."""
    asked = asked or document()
    images = {**served(*records, latest=asked.spec.version)}
    images.pop(TAG, None)
    if tag is not None:
        images[TAG] = tag
    return classify(asked, observation(*records, images=Known(images)), history)


def contest(state: State) -> tuple[str, str]:
    assert isinstance(state, Contested), state
    (only,) = state.outstanding.contests
    return only.reason, only.message


def test_a_tag_that_was_never_ours_is_taken_by_the_first_release() -> None:
    state = state_with(FOREIGN, record())
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "latest", FOREIGN),)
    (action,) = decide(document(), state, Progress(), NOON).actions
    assert isinstance(action, Promote)
    assert action.moves == state.moves


def test_a_tag_that_somebody_deleted_is_set_again() -> None:
    state = state_with(None, set_before())
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "latest", ""),)


def test_before_the_verdict_a_tag_that_was_moved_and_not_noted_is_moved_once_more_for_the_host() -> None:
    state = state_with(image("0.1.0", "echo"), set_before(verdict=None), asked=document())
    assert isinstance(state, Unpromoted)
    assert state.moves == ()
    state = state_with(image("0.1.0", "echo"), record(verdict=None))
    assert isinstance(state, Unpromoted)
    assert [move.template for move in state.moves] == ["echo", "greeter"]


def test_a_tag_that_somebody_else_moved_after_us_is_left_alone_and_said() -> None:
    assert contest(state_with(FOREIGN, set_before())) == (
        "TagMoved",
        (
            f"{TAG} was moved by somebody else: it stands for {FOREIGN}, which is no image of this object."
            " It is left alone; `wsr resume` moves it to 0.1.0."
        ),
    )
    assert decide(document(), state_with(FOREIGN, set_before()), Progress(), NOON).actions == ()


def test_that_we_set_a_tag_is_known_from_records_of_earlier_releases_too() -> None:
    assert contest(state_with(FOREIGN, record(promoted=True)))[0] == "TagMoved"


def test_a_new_release_does_not_take_a_tag_back_that_somebody_else_moved() -> None:
    records = (set_before(), record("0.1.1", verdict=verdict("Good", minute=5)))
    assert contest(state_with(FOREIGN, *records, asked=document("0.1.1")))[0] == "TagMoved"


def test_an_image_of_another_template_under_a_tag_of_ours_was_put_there_by_somebody_else() -> None:
    mine = set_before()
    assert contest(state_with(mine.templates["greeter"].identity, mine))[0] == "TagMoved"


def test_what_the_owner_gave_is_taken_and_nothing_else() -> None:
    echo = template_record("0.1.0", "echo", tags=("latest",), taken=(FOREIGN,))
    mine = set_before(templates={**set_before().templates, "echo": echo})
    state = state_with(FOREIGN, mine)
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "latest", FOREIGN),)
    assert contest(state_with(f"sha256:{'e' * 64}", mine))[0] == "TagMoved"


def test_what_the_owner_gave_is_taken_once() -> None:
    given = template_record("0.1.0", "echo", tags=("latest",), taken=(FOREIGN,))
    mine = (
        set_before()
        .with_template("echo", given)
        .promoted_to("echo", given.identity, "latest", expected=FOREIGN)
    )
    assert contest(state_with(FOREIGN, mine))[0] == "TagMoved", (
        "who moves it again to the same image is not fought"
    )


def test_what_the_owner_gave_is_taken_for_the_image_that_follows_meanwhile_too() -> None:
    echo = template_record("0.1.0", "echo", tags=("latest",)).giving(FOREIGN)
    other = template_record("0.1.0", "echo", image_id=f"sha256:{'b' * 64}").following(echo)
    state = state_with(FOREIGN, set_before().with_template("echo", other))
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "latest", FOREIGN),)


def test_what_belongs_to_another_object_is_not_given_with_the_rest() -> None:
    contests = [
        Contest("echo", TAG, FOREIGN, "TagMoved", ""),
        Contest("greeter", "ws/greeter:latest", FOREIGN, "PublisherConflict", ""),
    ]
    mine = set_before()
    taken = given(mine, contests).templates
    assert taken["echo"].taken == (FOREIGN,)
    assert taken["greeter"] == mine.templates["greeter"]


NEWER = set_before("0.1.1", verdict=verdict("Good", minute=5))


def test_a_newer_release_of_ours_from_elsewhere_wins_over_the_first_promotion_of_an_older_one() -> None:
    older = record(verdict=verdict("Good", minute=9))
    state = state_with(image("0.1.1", "echo"), NEWER, older, history=(been("0.1.0", "InProgress"),))
    assert contest(state) == (
        "NewerReleased",
        (
            f"{TAG} stands for 0.1.1, which was released elsewhere and is newer than 0.1.0."
            " It stays there; `wsr resume` moves it back."
        ),
    )


def test_a_release_that_was_overtaken_does_not_become_the_last_known_good_one() -> None:
    tag, history = image("0.1.1", "echo"), (been("0.1.0", "InProgress"),)
    greeter = template_record("0.1.0", "greeter", tags=("latest",))
    unjudged = record(verdict=None).with_template("greeter", greeter)
    assert contest(state_with(tag, NEWER, unjudged, history=history))[0] == "NewerReleased"
    echo = template_record("0.1.0", "echo", taken=(tag,))
    resumed = unjudged.model_copy(update={"templates": {**unjudged.templates, "echo": echo}})
    state = state_with(tag, NEWER, resumed, history=history)
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "latest", tag),)
    noted = resumed.with_template("echo", echo.model_copy(update={"tags": ("latest",)}))
    moved = state_with(image("0.1.0", "echo"), NEWER, noted, history=history)
    assert isinstance(moved, Unpromoted)
    (action,) = decide(document(), moved, Progress(), NOON).actions
    assert isinstance(action, Judge)


def test_an_object_that_is_through_with_its_version_does_not_mind_that_another_machine_went_on() -> None:
    state = state_with(image("0.1.1", "echo"), set_before(), NEWER, history=(been("0.1.0"),))
    assert isinstance(state, UpToDate)


def test_what_another_machine_went_on_with_is_taken_back_once_the_owner_gave_it() -> None:
    theirs = image("0.1.1", "echo")
    given_back = template_record("0.1.0", "echo", tags=("latest",), taken=(theirs,))
    mine = set_before().with_template("echo", given_back)
    state = state_with(theirs, mine, NEWER, history=(been("0.1.0"),))
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "latest", theirs),)


def test_going_back_moves_the_tags_back() -> None:
    history = (been("0.1.0", "InProgress"), been("0.1.1"))
    older = set_before(verdict=verdict("Good", minute=9))
    state = state_with(image("0.1.1", "echo"), NEWER, older, history=history)
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "latest", image("0.1.1", "echo")),)


def test_a_tag_that_an_older_release_of_ours_has_is_moved_forward() -> None:
    state = state_with(image("0.0.9", "echo"), set_before("0.0.9"), set_before(), history=(been("0.1.0"),))
    assert isinstance(state, Unpromoted)


def built_three_times(version: str = "0.1.0") -> tuple[ReleaseRecord, str]:
    """A release whose image of `echo` was built twice more before the tag was moved, and where the tag was left."""
    images = [f"sha256:{letter * 64}" for letter in "abc"]
    first, second, third = (template_record(version, "echo", image_id=each) for each in images)
    last = third.following(second.following(first.model_copy(update={"tags": ("latest",)})))
    return set_before(version).with_template("echo", last), images[0]


def edition(*, proven: bool = True) -> ReleaseRecord:
    """A release that was judged good with an image which another one has followed since."""
    first = template_record("0.1.0", "echo", tags=("latest",))
    other = template_record("0.1.0", "echo", image_id=f"sha256:{'b' * 64}", proven=proven)
    good = verdict("Good").model_copy(update={"images": (first.identity,)})
    return set_before(verdict=good).with_template("echo", other.following(first))


def test_a_tag_is_not_done_with_before_it_is_noted_although_the_version_was_judged_good_before() -> None:
    """Whoever moved it in the registry may have died before the host's own followed."""
    second = edition()
    state = state_with(second.templates["echo"].identity, second)
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "latest", second.templates["echo"].identity),)
    (action,) = decide(document(), state, Progress(), NOON).actions
    assert isinstance(action, Promote)
    identity = second.templates["echo"].identity
    noted = second.promoted_to("echo", identity, "latest", expected=identity)
    assert isinstance(state_with(identity, noted), UpToDate)
    assert second.promoted_to("echo", image("0.1.0", "echo"), "latest", expected="") == second, (
        "it was set to the image that was in use then"
    )


def test_a_tag_that_was_ours_before_another_image_followed_stays_ours() -> None:
    assert contest(state_with(FOREIGN, edition()))[0] == "TagMoved"
    third = template_record("0.1.0", "echo", image_id=f"sha256:{'c' * 64}")
    twice = edition().with_template("echo", third.following(edition().templates["echo"]))
    assert contest(state_with(FOREIGN, twice))[0] == "TagMoved"


def test_a_tag_that_was_moved_to_the_image_in_use_is_noted_there_while_a_newer_one_is_held_back() -> None:
    first = template_record("0.1.0", "echo", taken=(FOREIGN,))
    refused = template_record("0.1.0", "echo", image_id=f"sha256:{'b' * 64}", proven=False)
    noted = (
        record(verdict=None)
        .with_template("echo", refused.following(first))
        .promoted_to("echo", first.identity, "latest", expected=FOREIGN)
    )
    newest = noted.templates["echo"]
    assert (newest.identity, newest.tags, newest.taken) == (refused.identity, (), ())
    assert noted.in_use.templates["echo"].tags == ("latest",)
    assert newest.all_tags == {"latest"}


def test_a_tag_left_at_an_image_that_two_others_followed_is_moved_forward_with_the_next_release() -> None:
    before, left = built_three_times()
    newer = record("0.1.1", verdict=None)
    state = state_with(left, before, newer, asked=document("0.1.1"), history=(been("0.1.0"),))
    assert isinstance(state, Unpromoted)
    assert TagMove("echo", "latest", left) in state.moves


def test_a_tag_left_at_an_image_that_two_others_followed_is_moved_back_when_its_release_fails() -> None:
    before, left = built_three_times("0.1.1")
    failed = before.judged(verdict("Failed", minute=5, reason="RolloutFailed"))
    state = state_with(left, record(), failed, asked=document("0.1.1"))
    assert isinstance(state, Held)
    assert TagMove("echo", "latest", left) in state.moves


def test_a_tag_left_at_an_image_that_was_given_up_for_the_one_before_it_is_moved_back_to_that() -> None:
    first = template_record("0.1.0", "echo", tags=("latest",))
    other = template_record("0.1.0", "echo", image_id=f"sha256:{'b' * 64}")
    again = first.following(other.following(first))
    mine = set_before().with_template("echo", again)
    state = state_with(other.identity, mine, history=(been("0.1.0"),))
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "latest", other.identity),)


def test_a_tag_left_at_an_image_that_was_followed_is_moved_whoever_published_the_version() -> None:
    before, left = built_three_times()
    theirs = before.model_copy(update={"publisher": "elsewhere/other", "tree_sha256": None})
    state = state_with(left, theirs)
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "latest", left),)


def test_what_the_owner_gave_to_one_release_is_not_taken_by_the_next() -> None:
    given = template_record("0.1.0", "echo", tags=("latest",)).giving(FOREIGN)
    records = (set_before().with_template("echo", given), record("0.1.1", verdict=verdict("Good", minute=5)))
    assert contest(state_with(FOREIGN, *records, asked=document("0.1.1")))[0] == "TagMoved"


LATER = record(verdict=verdict("Good", minute=5))
OTHERS = set_before("0.0.9", publisher="elsewhere/other", tree_sha256=None)


def test_a_tag_of_another_object_is_a_conflict_and_never_moved() -> None:
    assert contest(state_with(image("0.0.9", "echo"), OTHERS, LATER)) == (
        "PublisherConflict",
        (
            f"{TAG} belongs to elsewhere/other: it stands for its version 0.0.9. Set promote to false for template echo in"
            " one of the two objects; or, if elsewhere/other is no more, annotate this object with"
            " runtime.molecule.ai/take-over: elsewhere/other."
        ),
    )


def test_what_was_taken_over_from_another_object_is_ours() -> None:
    asked = document(annotations={"runtime.molecule.ai/take-over": "elsewhere/other"})
    assert isinstance(state_with(image("0.0.9", "echo"), OTHERS, record(), asked=asked), Unpromoted)
    assert contest(state_with(FOREIGN, OTHERS, LATER, asked=asked))[0] == "TagMoved"


@pytest.mark.parametrize("version", ["0.2.0rc1", "0.2.0.dev3", "0.2.0+local"])
def test_an_early_release_moves_the_tags_that_are_for_it_and_no_others(version: str) -> None:
    asked = document(version, templates=templates(preReleaseTags=["next"]))
    seen = observation(record(version), images=Known(served(record(version))))
    state = classify(asked, seen)
    assert isinstance(state, Unpromoted)
    assert state.moves == (TagMove("echo", "next", ""), TagMove("greeter", "next", ""))


def test_a_final_release_leaves_the_tags_of_early_ones_where_they_are() -> None:
    asked = document(templates=templates(preReleaseTags=["next"]))
    assert isinstance(classify(asked, observation(record())), UpToDate)


def test_tags_that_are_not_ours_stay_where_they_are_when_a_release_fails() -> None:
    failed = record("0.1.1", verdict=verdict("Failed", minute=5, reason="RolloutFailed"))
    asked = document("0.1.1", templates=templates(promote=False))
    world = observation(record(), failed, images=Known(served(record(), failed, latest="0.1.1")))
    state = classify(asked, world)
    assert isinstance(state, Held)
    assert state.moves == ()


def test_a_failed_early_release_gives_its_tags_back() -> None:
    failed = record("0.2.0rc1", verdict=verdict("Failed", reason="RolloutFailed"))
    images = {**served(record(), failed, latest="0.1.0"), "ws/echo:next": image("0.2.0rc1", "echo")}
    asked = document("0.2.0rc1", templates=templates(preReleaseTags=["next"]))
    state = classify(asked, observation(record(), failed, images=Known(images)))
    assert isinstance(state, Held)
    assert state.moves == (TagMove("echo", "next", image("0.2.0rc1", "echo")),)


def test_a_tag_that_somebody_moved_is_told_while_a_version_that_failed_is_held() -> None:
    """`wsr resume` lets that version go on, so it is no cure for the tag meanwhile."""
    failed = record("0.1.1", verdict=verdict("Failed", minute=5, reason="RolloutFailed"))
    asked = document("0.1.1", templates=templates())
    images = {**served(set_before(), failed, latest="0.1.0"), TAG: FOREIGN}
    world = observation(set_before(), failed, images=Known(images))
    state = classify(asked, world)
    assert isinstance(state, Held)
    (only,) = state.outstanding.contests
    assert (only.reason, only.tag) == ("TagMoved", TAG)
    plan = decide(asked, state, Progress(), NOON, targets=world.targets, records=world.records)
    assert plan.actions == ()
    made = summarize(Scope(asked, 1, world, state, plan, Progress()), Status(), NOON)
    for type_ in ("Ready", "Stalled"):
        condition = made.condition(type_)
        assert condition is not None
        assert (condition.reason, condition.message) == (
            "RolloutFailed",
            (
                "It is failed. Version 0.1.1 is held; `wsr resume` tries it again."
                f" {TAG} was moved by somebody else: it stands for {FOREIGN}, which is no image of this object."
                " It is left alone."
            ),
        )
    ours = {**images, TAG: image("0.1.1", "echo")}
    state = classify(asked, observation(set_before(), failed, images=Known(ours)))
    assert isinstance(state, Held)
    assert state.outstanding.contests == ()
    assert state.moves == (TagMove("echo", "latest", image("0.1.1", "echo")),)


# --- the package

THEIRS = record("0.0.9", publisher="elsewhere/other")
CONFLICT = (
    "elsewhere/other publishes molecule-ai-workspace-runtime: its last version is 0.0.9. Set package.publish to External"
    " here, so that its versions are waited for; or, if elsewhere/other is no more, annotate this object with"
    " runtime.molecule.ai/take-over: elsewhere/other."
)


def test_a_second_object_that_would_publish_the_package_is_stopped_before_it_builds() -> None:
    state = classify(document(), observation(THEIRS, index=on_index("0.0.9")))
    assert isinstance(state, Held)
    assert (state.reason, state.message) == ("PublisherConflict", CONFLICT)
    assert state.fallback is None


def test_a_second_object_that_recorded_its_version_already_is_stopped_before_it_publishes() -> None:
    mine = record(published_time=None, verdict=None)
    state = classify(document(), observation(THEIRS, mine, index=on_index("0.0.9")))
    assert isinstance(state, Held)
    assert state.reason == "PublisherConflict"


def test_a_version_that_is_served_is_adopted_by_as_many_objects_as_like() -> None:
    state = classify(document(), observation(THEIRS, index=on_index("0.0.9", "0.1.0")))
    assert isinstance(state, Absent)
    assert state.release is not None


def test_who_took_the_other_object_over_publishes_and_is_the_publisher_from_then_on() -> None:
    asked = document(annotations={"runtime.molecule.ai/take-over": "elsewhere/other"})
    assert isinstance(classify(asked, observation(THEIRS, index=on_index("0.0.9"))), Absent)
    later = record("0.1.1", published_time=NOON.replace(hour=13))
    assert isinstance(
        classify(document("0.1.2"), observation(THEIRS, later, index=on_index("0.1.1"))), Absent
    )


def external(version: str = "0.1.0") -> WorkspaceRuntime:
    plain = document(version)
    package = plain.spec.package.model_copy(update={"publish": "External"})
    return plain.model_copy(update={"spec": plain.spec.model_copy(update={"package": package})})


def test_a_version_that_somebody_else_publishes_is_waited_for_and_never_built() -> None:
    for seen in (
        observation(THEIRS, index=on_index("0.0.9")),
        observation(record(published_time=None), index=on_index("0.0.9")),
    ):
        state = classify(external(), seen)
        assert isinstance(state, Absent)
        assert state.release is None
        assert decide(external(), state, Progress(), NOON).actions == ()


def test_a_version_that_somebody_else_published_is_adopted_even_over_bytes_of_our_own() -> None:
    for seen in (
        observation(index=on_index("0.1.0")),
        observation(record(published_time=None), index=on_index("0.1.0")),
    ):
        state = classify(external(), seen)
        (action,) = decide(external(), state, Progress(), NOON).actions
        assert type(action).__name__ == "Adopt"
