"""What comes next, as a table: tags, index and merged changes on the left, the version and its reason on the right."""

from collections.abc import Sequence

import pytest

from controller.model.errors import Terminal
from controller.model.release import Change, PullRequest
from controller.plan.release import Next, Nothing, Size, decide_release, newest_tag

PLAIN = Change("a" * 40, "Read the configuration once")


def change(commit: str, message: str, *labels: str, title: str = "A title") -> Change:
    return Change(commit * 40, message, (PullRequest(7, title, labels),))


def tags(*versions: str) -> list[str]:
    return [f"runtime-v{version}" for version in versions]


def version_after(*versions: str, label: str = "bug") -> str:
    decided = decide_release(tags(*versions), served=None, changes=[PLAIN], labels=[label])
    assert isinstance(decided, Next)
    assert decided.tag == f"runtime-v{decided.version}"
    return decided.version


@pytest.mark.parametrize(
    ("base", "patch", "minor", "major"),
    [
        ("0.1.6", "0.1.7", "0.2.0", "1.0.0"),
        ("0.1.9", "0.1.10", "0.2.0", "1.0.0"),
        ("1.2.3", "1.2.4", "1.3.0", "2.0.0"),
        ("1.2", "1.2.1", "1.3.0", "2.0.0"),
        ("1", "1.0.1", "1.1.0", "2.0.0"),
        ("1.2.3.4", "1.2.4", "1.3.0", "2.0.0"),
        ("0.1.6.post2", "0.1.7", "0.2.0", "1.0.0"),
        ("0.1.7rc1", "0.1.7", "0.2.0", "1.0.0"),
        ("0.2.0b1", "0.2.0", "0.2.0", "1.0.0"),
        ("1.0.0.dev3", "1.0.0", "1.0.0", "1.0.0"),
        ("1!0.1.6", "1!0.1.7", "1!0.2.0", "1!1.0.0"),
        ("0.2.0.post1.dev1", "0.2.1", "0.3.0", "1.0.0"),
        ("1.2.3.4rc1", "1.2.4", "1.3.0", "2.0.0"),
    ],
)
def test_the_next_version_grows_by_what_the_label_says(base: str, patch: str, minor: str, major: str) -> None:
    assert version_after(base) == patch
    assert version_after(base, label="release:minor") == minor
    assert version_after(base, label="release:major") == major


def test_a_version_that_was_yanked_is_never_given_again() -> None:
    decided = decide_release(
        tags("0.1.6"), served=["0.1.6"], yanked=["0.1.7", "0.1.8", "9.9.9"], changes=[PLAIN]
    )
    assert isinstance(decided, Next)
    assert decided.version == "0.1.9"


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (tags("0.1.9", "0.1.10", "0.1.2"), "runtime-v0.1.10"),
        (tags("0.2.0rc1", "0.1.10"), "runtime-v0.2.0rc1"),
        (tags("0.2.0", "0.2.0rc1", "0.2.0.dev1"), "runtime-v0.2.0"),
        (tags("0.1.6", "0.1.6.post1"), "runtime-v0.1.6.post1"),
        (["v9.9.9", "runtime-vnext", "runtime-9.9.9", "runtime-v0.1.0"], "runtime-v0.1.0"),
        (["v9.9.9"], None),
        ([], None),
    ],
)
def test_the_newest_tag_is_the_highest_version_of_our_tags(names: list[str], newest: str | None) -> None:
    assert newest_tag(names) == newest


@pytest.mark.parametrize(
    ("labels", "version"), [([], "0.1.0"), (["release:minor"], "0.1.0"), (["release:major"], "1.0.0")]
)
def test_the_first_release_is_0_1_0_unless_it_is_a_major_one(labels: list[str], version: str) -> None:
    decided = decide_release([], served=(), changes=[PLAIN], labels=labels)
    assert isinstance(decided, Next)
    assert decided.version == version


def test_the_biggest_label_of_all_changes_counts() -> None:
    changes = [change("a", "One", "release:patch"), change("b", "Two", "release:major", "release:minor")]
    decided = decide_release(tags("0.1.6"), served=["0.1.6"], changes=changes)
    assert decided == Next("1.0.0", Size.MAJOR, "2 changes since runtime-v0.1.6; label release:major")


def test_without_a_label_it_is_a_patch_and_the_reason_says_so() -> None:
    decided = decide_release(tags("0.1.6"), served=None, changes=[PLAIN])
    assert decided == Next("0.1.7", Size.PATCH, "1 change since runtime-v0.1.6; no release label")
    assert decide_release(tags("0.1.6"), served=None, changes=None) == Next(
        "0.1.7", Size.PATCH, "no release label"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([], "nothing under workspace/ or builder/ changed since runtime-v0.1.6"),
        ([change("c", "Tidy [skip-release]")], "ccccccc, the newest change, says [skip-release]"),
        ([change("c", "Tidy\n\nNote: [No-Release]")], "ccccccc, the newest change, says [No-Release]"),
        (
            [change("c", "Merge #7", title="Tidy [no-release]")],
            "ccccccc, the newest change, says [no-release]",
        ),
        ([change("c", "Tidy [skip-release]", "release:major"), PLAIN], "ccccccc, the newest change, says [skip-release]"),
    ],
)  # fmt: skip
def test_nothing_is_released_when_nothing_counts_or_the_newest_change_says_so(
    changes: Sequence[Change], reason: str
) -> None:
    assert decide_release(tags("0.1.6"), served=["0.1.6"], changes=changes) == Nothing(reason)


def test_a_later_change_releases_what_an_earlier_one_held_back() -> None:
    changes = [PLAIN, change("c", "Tidy [skip-release]", "release:minor")]
    decided = decide_release(tags("0.1.6"), served=["0.1.6"], changes=changes)
    assert isinstance(decided, Next)
    assert decided.version == "0.2.0"


def test_there_is_nothing_to_release_where_there_are_no_inputs() -> None:
    assert decide_release([], served=None, changes=[]) == Nothing(
        "there is nothing under workspace/ or builder/"
    )


AHEAD = (
    "If 0.1.999999 was a release, tag its commit: git tag -a runtime-v0.1.999999 COMMIT && git push origin "
    "runtime-v0.1.999999. If it was a stray upload, delete or yank it there."
)


@pytest.mark.parametrize(
    ("names", "served", "message", "fix"),
    [
        (tags("0.1.6"), ["0.1.6", "0.1.999999"], "The index serves 0.1.999999, but the newest tag is runtime-v0.1.6.", AHEAD),
        ([], ["0.1.999999"], "The index serves 0.1.999999, but there is no runtime-v* tag.", AHEAD),
        (
            tags("0.1.6", "0.1.7"),
            ["0.1.6"],
            "The newest tag is runtime-v0.1.7, but the newest version on the index is 0.1.6.",
            "Publish 0.1.7 first. If it was stopped and will never be, delete its tag: git push origin :refs/tags/runtime-v0.1.7",
        ),
        (
            tags("0.1.7"),
            [],
            "The newest tag is runtime-v0.1.7, but the index serves no release.",
            "Publish 0.1.7 first. If it was stopped and will never be, delete its tag: git push origin :refs/tags/runtime-v0.1.7",
        ),
    ],
)  # fmt: skip
def test_tags_and_index_that_disagree_are_refused_with_both_named(
    names: list[str], served: list[str], message: str, fix: str
) -> None:
    with pytest.raises(Terminal) as caught:
        decide_release(names, served=served, changes=[PLAIN])
    assert (caught.value.reason, caught.value.message, caught.value.fix) == ("VersionsDisagree", message, fix)


@pytest.mark.parametrize(
    ("names", "served", "version"),
    [
        (tags("0.1.6"), ["0.1.6", "0.1.7.dev4", "0.2.0rc1"], "0.1.7"),
        (tags("0.1.6"), ["0.1.6", "0.1.6.post1"], "0.1.7"),
        (tags("0.1.6.post1"), ["0.1.6"], "0.1.7"),
        (tags("0.1.6", "0.2.0rc1"), ["0.1.6"], "0.2.0"),
        (tags("0.1.06"), ["0.1.6", "no version"], "0.1.7"),
    ],
)
def test_versions_that_are_published_by_hand_without_a_tag_are_no_disagreement(
    names: list[str], served: list[str], version: str
) -> None:
    decided = decide_release(names, served=served, changes=[PLAIN])
    assert isinstance(decided, Next)
    assert decided.version == version


def test_a_tag_that_is_not_published_yet_matters_only_to_a_next_release() -> None:
    assert isinstance(decide_release(tags("0.1.7"), served=["0.1.6"], changes=[]), Nothing)


def test_a_stray_version_is_named_even_when_nothing_changed() -> None:
    with pytest.raises(Terminal, match=r"0\.1\.999999"):
        decide_release(tags("0.1.6"), served=["0.1.999999"], changes=[])


def test_a_version_at_the_ceiling_is_refused() -> None:
    with pytest.raises(Terminal) as caught:
        decide_release(
            tags("0.9.3"), served=None, changes=[change("a", "Break", "release:major")], ceiling="1.0"
        )
    assert str(caught.value) == (
        "The next version would be 1.0.0, at or above package.versionCeiling 1.0. "
        "Raise the ceiling in the document, or take the release label off the pull request."
    )
    assert isinstance(decide_release(tags("0.9.3"), served=None, changes=[PLAIN], ceiling="1.0"), Next)
