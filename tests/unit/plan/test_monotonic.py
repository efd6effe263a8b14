"""Publication moves forward; what may be lower says so in its own name, and every refusal names both versions."""

import pytest

from controller.model.observed import Known
from controller.model.package import IndexFile, Release, ServedPackage
from controller.model.record import ReleaseRecord
from controller.plan.monotonic import refusal
from controller.plan.state import Absent, Blocked, Held, Unpublished, classify
from tests.unit.simulator.ground import document, sha
from tests.unit.simulator.nouns import AWAY, TREE, observation, on_index, record, release, verdict

LOWER = (
    "Version 0.1.5 is lower than 0.1.6, the newest final release that the index serves, and a final release must be "
    "higher. Ask for a version above 0.1.6; release on an earlier line by its own name, such as 0.1.5.post1 or "
    "0.1.5rc1; or, if 0.1.6 was a mistake, yank it on the index."
)


def test_a_lower_final_release_is_refused_with_both_versions_and_the_cure() -> None:
    assert refusal("0.1.5", on_index("0.1.4", "0.1.6").value) == LOWER


@pytest.mark.parametrize(
    "version",
    [
        "0.1.7",
        "0.1.10",
        "0.1.6.post1",
        "1!0.0.1",
        "0.1.5.post1",
        "0.1.5rc1",
        "0.1.6rc2",
        "0.1.5.dev3",
        "0.1.5+local",
    ],
)
def test_what_is_higher_or_says_in_its_name_that_it_is_of_another_line_may_go(version: str) -> None:
    assert refusal(version, on_index("0.1.4", "0.1.6").value) is None


@pytest.mark.parametrize("version", ["0.1.4", "0.1.6"])
def test_what_the_index_serves_already_is_no_publication(version: str) -> None:
    assert refusal(version, on_index("0.1.4", "0.1.6").value) is None


def test_only_final_releases_count_as_newest_and_post_releases_are_final() -> None:
    assert refusal("0.1.7", on_index("0.1.6", "0.2.0rc1", "0.3.0.dev1").value) is None
    told = refusal("0.1.6", on_index("0.1.6.post2").value)
    assert told is not None
    assert told.startswith("Version 0.1.6 is lower than 0.1.6.post2, ")


def test_an_index_without_final_releases_refuses_nothing() -> None:
    assert refusal("0.0.1", on_index().value) is None
    assert refusal("0.0.1", on_index("9.0rc1").value) is None


@pytest.mark.parametrize(("yanked", "refused"), [((True, True), False), ((True, False), True)])
def test_a_stray_high_release_stands_in_the_way_until_all_of_it_is_yanked(
    yanked: tuple[bool, ...], *, refused: bool
) -> None:
    files = tuple(
        IndexFile(f"x-9.0.0{end}", "http://index/x", sha(end), yanked=gone)
        for end, gone in zip(("-py3-none-any.whl", ".tar.gz"), yanked, strict=True)
    )
    served = ServedPackage("x", {"0.1.6": release("0.1.6"), "9.0.0": Release("9.0.0", files)})
    assert (refusal("0.1.7", served) is not None) is refused


UNPUBLISHED = record("0.1.5", published_time=None, verdict=None)


@pytest.mark.parametrize("seen", [(), (UNPUBLISHED,)], ids=["nothing is built", "proven and not public"])
def test_a_lower_version_is_held_before_it_is_built_and_before_it_is_published(
    seen: tuple[ReleaseRecord, ...],
) -> None:
    state = classify(document("0.1.5"), observation(*seen, index=on_index("0.1.6")))
    assert state == Held("VersionRefused", LOWER)


def test_going_back_to_a_version_that_is_public_stays_allowed() -> None:
    adopted = classify(document("0.1.5"), observation(index=on_index("0.1.5", "0.1.6")))
    assert adopted == Absent(release("0.1.5"), None)
    recorded = classify(document("0.1.5"), observation(record("0.1.5"), index=on_index("0.1.5", "0.1.6")))
    assert not isinstance(recorded, Held)


def test_a_version_whose_upload_was_not_noted_is_finished_and_not_refused() -> None:
    state = classify(document("0.1.5"), observation(UNPUBLISHED, index=on_index("0.1.5", "0.1.6")))
    assert state == Unpublished(UNPUBLISHED, ())


def test_a_version_that_failed_tells_that_first() -> None:
    failed = record("0.1.5", published_time=None, verdict=verdict("Failed", reason="GateFailed"))
    state = classify(document("0.1.5"), observation(failed, index=on_index("0.1.6")))
    assert isinstance(state, Held)
    assert state.reason == "GateFailed"


@pytest.mark.parametrize("index", [AWAY, None])
def test_nothing_is_published_while_it_is_not_known_what_the_index_serves(index: object) -> None:
    state = classify(document("0.1.5"), observation(UNPUBLISHED, index=index, source=Known(TREE)))
    assert state == Blocked("package index", "it is away" if index else "it was not read")
