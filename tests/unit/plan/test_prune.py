"""Which candidates may be deleted: old ones that nothing kept names, and nothing else."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Action, OldCandidate, Prune
from controller.model.observed import Known
from controller.model.plan import Failure, Progress
from controller.model.record import ReleaseRecord
from controller.model.target import Phase, Target
from controller.model.template_record import FullBuild, PlatformImage, TemplateRecord
from controller.plan.decide import decide
from controller.plan.fleet import sort_fleet
from controller.plan.prune import PRUNED_AT_ONCE, old_candidates, pruning
from controller.plan.state import Blocked, Outstanding, UpToDate
from tests.unit.simulator.ground import document, sha
from tests.unit.simulator.nouns import AWAY, record, succession, target, verdict
from tests.unit.simulator.virtual_time import NOON

REPOSITORY = "registry.example/ws/echo"
LONG_AGO = NOON - timedelta(days=20)
RELEASED = record("0.1.0")


def digest(name: str) -> str:
    return f"sha256:{sha(name)}"


def asked(days: int | None = 14, mode: str = "Remote") -> WorkspaceRuntime:
    prune = {"prune": {"candidatesOlderThanDays": days}} if days else {}
    echo = {"name": "echo", "image": REPOSITORY, "build": {"directory": "echo"}}
    artifacts = "registry.example/ws/artifacts" if mode == "Remote" else "records"
    return document("0.1.0", templates=[echo], registry={"mode": mode, "artifacts": artifacts, **prune})


def candidate(name: str = "a", **changes: Any) -> TemplateRecord:  # noqa: ANN401 -- any field
    fields = {
        "image": f"{REPOSITORY}:candidate-{sha(name)[:8]}",
        "digest": digest(name),
        "image_id": digest(f"configuration of {name}"),
        "built_time": LONG_AGO,
        **changes,
    }
    return TemplateRecord(**fields)


def abandoned(
    image: TemplateRecord | None = None,
    version: str = "0.0.9",
    **changes: Any,  # noqa: ANN401 -- any field
) -> ReleaseRecord:
    """A version that failed and that nobody wants, with one image."""
    fields = {
        "templates": {"echo": image or candidate()},
        "published_time": None,
        "verdict": verdict("Failed"),
        **changes,
    }
    return record(version, **fields)


def index(name: str, *children: str) -> TemplateRecord:
    platforms = {
        f"linux/{child}": PlatformImage(digest=digest(child), image_id=digest(f"id of {child}"))
        for child in children
    }
    return candidate(name, platforms=platforms)


def old(
    *records: ReleaseRecord, targets: Sequence[Target] = (), wanted: WorkspaceRuntime | None = None
) -> tuple[OldCandidate, ...]:
    by_version = {each.version: each for each in (RELEASED, *records)}
    return old_candidates(wanted or asked(), by_version, targets, NOON)


def test_the_old_candidate_of_a_failed_version_goes_and_the_reason_is_told() -> None:
    reason = "0.0.9 failed and is not in use; built 20 days ago"
    image = candidate()
    assert old(abandoned()) == (OldCandidate("0.0.9", "echo", image.image, (digest("a"),), reason),)


def test_without_the_field_nothing_is_pruned() -> None:
    assert old(abandoned(), wanted=asked(None)) == ()


def test_an_engine_loses_the_tag_of_the_image_id() -> None:
    found = old(abandoned(candidate(digest=None)), wanted=asked(mode="Engine"))
    assert [each.digests for each in found] == [(candidate().image_id,)]


def test_a_shadow_goes_as_a_candidate_does() -> None:
    found = old(abandoned(templates={}, shadows={"echo": candidate()}))
    assert [each.part for each in found] == ["shadow"]


@pytest.mark.parametrize(
    "kept",
    [
        abandoned(candidate(built_time=NOON - timedelta(days=13))),
        abandoned(candidate(built_time=None)),
        abandoned(candidate(image=f"{REPOSITORY}:0.0.9-nogit-00000000")),
        abandoned(candidate(image=f"{REPOSITORY}-of-others:candidate-00000000")),
        abandoned(candidate(digest=None)),
        abandoned(candidate(pruned_time=NOON)),
        abandoned(verdict=verdict("Good")),
        abandoned(published_time=NOON),
        abandoned(publisher="team/another"),
        abandoned(version="0.1.0"),
    ],
    ids=[
        "young",
        "of unknown age",
        "released",
        "elsewhere",
        "without digest",
        "given up before",
        "of a good version",
        "of a published version",
        "of another object",
        "of the wanted version",
    ],
)
def test_a_candidate_stays_that_is(kept: ReleaseRecord) -> None:
    assert old(kept) == ()


@pytest.mark.parametrize(
    "user",
    [
        target(version=None, image_id=candidate().image_id),
        target(version=None, image=f"{REPOSITORY}@{digest('a')}"),
        target(version="0.0.9"),
        target(pin="0.0.9"),
        target(succession=succession(Phase.SWITCHING, version="0.0.9")),
    ],
    ids=["its image id", "its digest", "its version", "a pin", "a replacement under way"],
)
def test_a_candidate_stays_that_a_target_needs_by(user: Target) -> None:
    assert old(abandoned(), targets=[user]) == ()
    assert len(old(abandoned(), targets=[target()])) == 1


@pytest.mark.parametrize(
    "naming",
    [
        candidate("b", previous=candidate("a")),
        candidate("b", taken=(digest("a"),)),
        candidate("b", followed=(digest("a"),)),
        candidate("b", full_build=FullBuild(image="x:full", digest=digest("a"), inputs_sha256=sha("x"))),
        index("b", "a"),
    ],
    ids=["previous", "taken", "followed", "full build", "child"],
)
def test_a_candidate_stays_that_a_kept_record_names_as_its(naming: TemplateRecord) -> None:
    good = abandoned(naming, "0.0.8", verdict=verdict("Good"))
    assert old(abandoned(), good) == ()
    as_shadow = good.model_copy(update={"templates": {}, "shadows": good.templates})
    assert old(abandoned(), as_shadow) == ()


def full_build(name: str = "full", **changes: Any) -> FullBuild:  # noqa: ANN401 -- any field
    fields = {
        "image": f"{REPOSITORY}:full-{sha(name)[:8]}",
        "digest": digest(name),
        "inputs_sha256": sha(name),
        **changes,
    }
    return FullBuild(**fields)


RELEASED_ON = record(
    "0.1.0", templates={"echo": candidate("r", full_build=full_build("last"), built_time=NOON)}
)


def old_builds(*records: ReleaseRecord) -> list[str]:
    return [each.image for each in old(RELEASED_ON, *records) if each.part == "full build"]


def test_a_full_build_goes_with_the_last_candidate_on_it_and_on_its_own_when_that_is_gone() -> None:
    build = full_build()
    one = abandoned(candidate("a", full_build=build))
    young = abandoned(candidate("b", full_build=build, built_time=NOON), "0.0.8")
    assert [each.part for each in old(RELEASED_ON, one)] == ["image", "full build"]
    reason = "nothing that is kept was built on it; built 20 days ago"
    assert old(RELEASED_ON, one)[1] == OldCandidate(
        "0.0.9", "echo", build.image, (build.digest,), reason, "full build"
    )
    assert old_builds(one, young) == []
    gone = abandoned(candidate("a", full_build=build, pruned_time=NOON))
    assert old_builds(gone) == [build.image]
    given_up = build.model_copy(update={"pruned_time": NOON})
    assert old(RELEASED_ON, abandoned(candidate("a", full_build=given_up, pruned_time=NOON))) == ()


@pytest.mark.parametrize(
    "build",
    [
        full_build("last"),
        full_build(image=f"{REPOSITORY}:latest"),
        full_build(image=f"{REPOSITORY}-of-others:full-00000000"),
    ],
    ids=["that the next image is put on", "that somebody else built", "elsewhere"],
)
def test_a_full_build_stays(build: FullBuild) -> None:
    assert old_builds(abandoned(candidate("a", full_build=build))) == []


def test_the_last_full_build_stays_even_if_only_a_version_that_nobody_wants_has_it() -> None:
    unbuilt = record("0.1.0", templates={})
    assert old(unbuilt, abandoned(candidate("a", full_build=full_build())))[-1].part == "image"


def test_a_shadow_goes_once_its_version_is_public_and_the_version_itself_stays() -> None:
    shadow = candidate("s", full_build=full_build(image=f"{REPOSITORY}:latest"))
    public = record("0.1.0", templates={"echo": candidate("r")}, shadows={"echo": shadow})
    (found,) = old(public)
    reason = "it stood in at the gate for 0.1.0, which is public; built 20 days ago"
    assert found == OldCandidate("0.1.0", "echo", shadow.image, (digest("s"),), reason, "shadow")
    assert old(public.model_copy(update={"published_time": None})) == ()
    assert old(public.model_copy(update={"publisher": "team/another"})) == ()
    assert old(public, targets=[target(version=None, image_id=shadow.image_id)]) == ()


def test_what_turned_out_to_be_needed_is_looked_at_again_after_a_day() -> None:
    assert old(abandoned(candidate(left_time=NOON - timedelta(hours=23)))) == ()
    assert len(old(abandoned(candidate(left_time=NOON - timedelta(hours=24))))) == 1


def test_an_index_goes_before_its_children_and_without_those_that_something_kept_has() -> None:
    gone = abandoned(index("whole", "amd64", "arm64"))
    assert old(gone)[0].digests == (digest("whole"), *sorted([digest("amd64"), digest("arm64")]))
    kept = abandoned(index("kept", "arm64"), version="0.0.8", verdict=verdict("Good"))
    assert old(gone, kept)[0].digests == (digest("whole"), digest("amd64"))
    whole = abandoned(candidate("whole"), version="0.0.8", verdict=verdict("Good"))
    assert old(gone, whole) == ()


def test_what_was_built_again_after_it_was_given_up_goes_again() -> None:
    before = candidate(pruned_time=LONG_AGO - timedelta(days=1))
    assert len(old(abandoned(before))) == 1


def test_the_oldest_go_first_and_a_bounded_number_at_once() -> None:
    records = {
        f"0.0.{each}": abandoned(
            candidate(str(each), built_time=LONG_AGO - timedelta(hours=each)), f"0.0.{each}"
        )
        for each in range(PRUNED_AT_ONCE + 5)
    }
    action = pruning(asked(), records, (), NOON)
    assert action is not None
    assert [each.version for each in action.images] == [
        f"0.0.{each}" for each in range(PRUNED_AT_ONCE + 4, 4, -1)
    ]


def planned(
    *in_flight: str,
    targets: Sequence[Target] = (),
    failure: Failure | None = None,
    read: bool = True,
    unread: Blocked | None = None,
) -> tuple[Action, ...]:
    records = {each.version: each for each in (RELEASED, abandoned())}
    plan = decide(
        asked(),
        UpToDate(RELEASED, sort_fleet(RELEASED, targets), outstanding=Outstanding(unread=unread)),
        Progress(frozenset(in_flight), {"prune/0.1.0": failure} if failure else {}),
        NOON,
        targets=Known(tuple(targets)),
        records=Known(records) if read else AWAY,
    )
    assert plan.failed == ()
    return plan.actions


def test_it_is_planned_when_all_is_up_to_date_and_nothing_else_goes_on() -> None:
    assert [type(each) for each in planned()] == [Prune]
    assert planned("replace/docker/local/ws-1|x") == ()
    assert planned(read=False) == ()
    assert planned(unread=Blocked("base image", "it is away")) == ()
    begun = target(succession=succession(Phase.SWITCHING))
    assert not any(isinstance(each, Prune) for each in planned(targets=[begun]))


def test_a_refusal_is_no_condition_and_is_not_asked_for_again() -> None:
    assert planned(failure=Failure("DeletionRefused", "no", None)) == ()
    assert planned(failure=Failure("Promoting", "away", NOON + timedelta(seconds=1))) == ()
    assert len(planned(failure=Failure("Promoting", "away", NOON))) == 1


NAMES = st.sampled_from("abcdef")


@st.composite
def images(draw: st.DrawFn) -> TemplateRecord:
    previous = candidate(draw(NAMES)) if draw(st.booleans()) else None
    image = index(draw(NAMES), *draw(st.lists(NAMES, max_size=2, unique=True)))
    build = FullBuild(image="x:full", digest=digest(draw(NAMES)), inputs_sha256=sha("x"))
    return image.model_copy(
        update={
            "previous": previous,
            "full_build": build if draw(st.booleans()) else None,
            "taken": (digest(draw(NAMES)),) if draw(st.booleans()) else (),
            "followed": (digest(draw(NAMES)),) if draw(st.booleans()) else (),
            "built_time": draw(st.sampled_from([LONG_AGO, NOON, None])),
        }
    )


@st.composite
def histories(draw: st.DrawFn) -> dict[str, ReleaseRecord]:
    return {
        version: abandoned(
            draw(images()),
            version,
            verdict=draw(st.sampled_from([verdict("Good"), verdict("Failed"), None])),
            published_time=draw(st.sampled_from([NOON, None])),
            shadows={"other": draw(images())} if draw(st.booleans()) else {},
        )
        for version in draw(st.lists(st.sampled_from(["0.0.6", "0.0.7", "0.0.8", "0.1.0"]), unique=True))
    }


def mentioned(image: TemplateRecord) -> str:
    """All that the image names, as text: told apart from how the planner reads it."""
    return image.model_dump_json()


@given(histories())
def test_no_digest_is_ever_deleted_that_anything_kept_names(records: dict[str, ReleaseRecord]) -> None:
    found = old_candidates(asked(), records, (), NOON)
    going = {(each.version, each.template) for each in found}
    doomed = {each for one in found for each in one.digests}
    for version, each in records.items():
        named = [(*pair, False) for pair in each.templates.items()]
        named += [(*pair, True) for pair in each.shadows.items()]
        in_use = each.published_time or version == "0.1.0" or (each.verdict and each.verdict.value == "Good")
        for name, image, is_shadow in named:
            stood_in = is_shadow and each.published_time
            if (in_use and not stood_in) or image.built_time != LONG_AGO:
                assert (version, name) not in going
                assert not any(digest in mentioned(image) for digest in doomed)
            elif image.previous is not None:
                assert not any(digest in mentioned(image.previous) for digest in doomed)
