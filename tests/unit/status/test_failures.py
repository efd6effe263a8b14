"""What a status says of what failed or cannot be read: who must do what, and whether it moves on by itself."""

import pytest

from controller.model.actions import Cascade
from controller.model.observation import Observation
from controller.model.observed import Known, Unknown
from controller.model.plan import Failure, Progress
from controller.plan.decide import decide
from controller.plan.state import classify
from tests.unit.simulator.ground import document, sha
from tests.unit.simulator.nouns import (
    AWAY,
    observation,
    on_index,
    record,
    target,
)
from tests.unit.simulator.virtual_time import NOON
from tests.unit.status.ground import LATER, conditions, status


def test_several_failures_that_wait_for_somebody_are_counted() -> None:
    unbuilt = observation(record(templates={}, verdict=None, published_time=None))
    builds = decide(document(), classify(document(), unbuilt), Progress(), NOON).actions[0]
    assert isinstance(builds, Cascade)
    failures = {
        part.key: Failure("BuildFailed", f"Template {part.builds[0].template}: no.", None)
        for part in builds.parts
    }
    made = conditions(status(unbuilt, progress=Progress(frozenset(), failures)))
    assert made["Stalled"] == ("True", "BuildFailed", "Template echo: no. (and 1 more)")


@pytest.mark.parametrize(
    ("unread", "message", "published", "images_built", "rolled_out"),
    [
        (
            "records",
            "The release records cannot be read: it is away",
            ("Unknown", "Unknown"),
            ("Unknown", "Unknown"),
            ("False", "Pending"),
        ),
        (
            "images",
            "The images cannot be read: it is away",
            ("True", "Served"),
            ("True", "Proven"),
            ("False", "Pending"),
        ),
        (
            "targets",
            "The targets cannot be read: it is away",
            ("True", "Served"),
            ("True", "Proven"),
            ("Unknown", "Unknown"),
        ),
    ],
)
def test_what_cannot_be_read_is_unknown_and_is_looked_at_again(
    unread: str,
    message: str,
    published: tuple[str, str],
    images_built: tuple[str, str],
    rolled_out: tuple[str, str],
) -> None:
    made = conditions(status(observation(record(), **{unread: AWAY})))
    assert made["Ready"] == ("Unknown", "Unknown", message)
    assert made["Reconciling"][0] == "True"
    assert made["Published"][:2] == published
    assert made["ImagesBuilt"][:2] == images_built
    assert made["RolledOut"][:2] == rolled_out


def test_a_lower_version_than_the_newest_stalls_with_both_versions_and_the_cure() -> None:
    seen = observation(record(), index=on_index("0.1.0"), targets=Known((target(),)))
    made = conditions(status(seen, "0.0.9"))
    for type_ in ("Ready", "Published", "RolledOut"):
        assert made[type_][:2] == ("False", "VersionRefused")
    assert made["Stalled"][:2] == ("True", "VersionRefused")
    assert made["Published"][2].startswith("Version 0.0.9 is lower than 0.1.0, the newest final release ")
    assert made["Published"][2].endswith(" or, if 0.1.0 was a mistake, yank it on the index.")


def test_an_index_that_is_away_says_nothing_about_publication() -> None:
    made = conditions(status(observation(index=AWAY)))
    assert made["Published"] == ("Unknown", "Unknown", "The package index cannot be read: it is away")


def test_an_outage_takes_neither_the_image_for_new_workspaces_nor_the_last_known_good() -> None:
    before = status(observation(record()))
    during = status(observation(records=AWAY), previous=before)
    assert during.templates == before.templates
    assert during.last_known_good == "0.1.0"


def test_what_a_publication_waits_for_is_told_while_it_waits() -> None:
    seen = observation(record(published_time=None, verdict=None))
    key = f"publish/0.1.0/{sha('wheel 0.1.0')}"
    quiet = conditions(status(seen, progress=Progress(frozenset({key}))))
    assert quiet["Published"] == ("False", "Publishing", "Version 0.1.0 is being published.")
    waits = {key: "Waiting for the index: x.whl not listed yet", "publish/0.0.9/x": "old"}
    waits = dict(sorted(waits.items()))  # the other one first
    made = conditions(status(seen, progress=Progress(frozenset({key}), {}, waits)))
    told = ("False", "IndexNotVisible", "Waiting for the index: x.whl not listed yet.")
    assert (made["Published"], made["Ready"]) == (told, told)
    assert made["Reconciling"] == ("True", *told[1:])


def failing(key_of: Observation, failure: Failure, version: str = "0.1.0") -> Progress:
    asked = document(version)
    wanted = decide(asked, classify(asked, key_of), Progress(), NOON).actions
    return Progress(frozenset(), {action.key: failure for action in wanted})


def test_a_failure_that_is_tried_again_is_told_while_reconciling() -> None:
    failure = Failure("Building", "The engine is away; trying again.", LATER)
    made = conditions(status(observation(), progress=failing(observation(), failure)))
    assert made["Ready"] == ("False", "Building", "The engine is away; trying again.")
    assert made["Reconciling"][0] == "True"
    assert "Stalled" not in made


def test_a_failure_that_waits_for_somebody_stalls() -> None:
    failure = Failure("BuildFailed", "main.py:3: does not parse.", None)
    made = conditions(status(observation(), progress=failing(observation(), failure)))
    assert made["Ready"] == ("False", "BuildFailed", "main.py:3: does not parse.")
    assert made["Stalled"] == ("True", "BuildFailed", "main.py:3: does not parse.")
    assert "Reconciling" not in made


def test_nothing_is_stalled_while_something_else_goes_on() -> None:
    failure = Failure("BuildFailed", "No.", None)
    progress = failing(observation(), failure)
    busy = Progress(frozenset({"cascade/0.0.9/x"}), progress.failures)
    made = conditions(status(observation(), progress=busy))
    assert "Stalled" not in made


def test_the_failure_that_waits_for_somebody_is_told_before_one_that_is_tried_again() -> None:
    seen = observation(record(), targets=Known((target("ws-1", "0.0.9"), target("ws-2", "0.0.9"))))
    first, second = (
        action.key for action in decide(document(), classify(document(), seen), Progress(), NOON).actions
    )
    progress = Progress(
        frozenset(),
        {first: Failure("Rolling", "Again.", LATER), second: Failure("ImageContested", "Look at it.", None)},
    )
    made = status(seen, progress=progress)
    assert conditions(made)["RolledOut"] == ("False", "ImageContested", "Look at it.")
    assert [each.why for each in made.stragglers] == ["Again.", "Look at it."]


def test_credentials_that_are_missing_show_on_publication_only() -> None:
    seen = observation(record(published_time=None, verdict=None))
    failure = Failure("CredentialsMissing", "Set PYPI_TOKEN.", None)
    made = conditions(status(seen, progress=failing(seen, failure)))
    assert made["Published"] == ("False", "CredentialsMissing", "Set PYPI_TOKEN.")
    assert made["ImagesBuilt"][0] == "True"


def test_a_suspended_object_neither_reconciles_nor_stalls() -> None:
    made = conditions(status(observation(record()), suspend=True))
    assert made["Ready"][:2] == ("False", "Suspended")
    assert not {"Reconciling", "Stalled"} & made.keys()


REFUSED = Unknown("The registry wants a password. Give one.", NOON, stalled="CredentialsMissing")


@pytest.mark.parametrize("unread", ["records", "index", "source", "images", "targets"])
def test_what_only_a_person_can_make_readable_stalls_with_the_cure(unread: str) -> None:
    known = () if unread in {"index", "source"} else (record(),)
    made = status(observation(*known, **{unread: REFUSED}))
    ready, stalled = made.condition("Ready"), made.condition("Stalled")
    assert ready is not None
    assert stalled is not None
    assert (ready.status, ready.reason) == ("Unknown", "CredentialsMissing")
    assert (stalled.reason, stalled.message) == (ready.reason, ready.message)
    assert stalled.message.endswith("cannot be read: The registry wants a password. Give one.")
    assert made.condition("Reconciling") is None


@pytest.mark.parametrize("unread", ["records", "index", "source", "images", "targets"])
def test_what_may_pass_by_itself_does_not_stall(unread: str) -> None:
    known = () if unread in {"index", "source"} else (record(),)
    made = status(observation(*known, **{unread: AWAY}))
    assert made.condition("Stalled") is None
    reconciling = made.condition("Reconciling")
    assert reconciling is not None
    assert reconciling.reason == "Unknown"
