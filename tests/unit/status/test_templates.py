"""What a status says of each template and its image."""

from dataclasses import replace

import pytest

from controller.model.observed import Known
from tests.unit.simulator.box import BASE_NAME
from tests.unit.simulator.ground import TEMPLATES, sha
from tests.unit.simulator.nouns import (
    AWAY,
    full_build,
    observation,
    record,
    served,
    template_inputs,
    template_record,
    verdict,
)
from tests.unit.status.ground import conditions, status


def test_a_template_tells_its_image_and_the_one_that_a_rollback_returns_to() -> None:
    later = record("0.1.1", verdict=None)
    made = status(observation(record(), later), "0.1.1").templates[0]
    assert made.state == "Proven"
    assert made.image == "ws/echo:0.1.1-nocommi-00000000"
    assert made.previous_image == "ws/echo:0.1.0-nocommi-00000000"


def test_a_candidate_is_not_for_new_workspaces() -> None:
    later = record(
        "0.1.1",
        verdict=None,
        published_time=None,
        templates={"echo": template_record("0.1.1", "echo", proven=False)},
    )
    first, second = status(observation(record(), later), "0.1.1").templates
    assert (first.state, first.image) == ("Unproven", "ws/echo:0.1.0-nocommi-00000000")
    assert (second.state, second.image) == ("Missing", "ws/greeter:0.1.0-nocommi-00000000")


def test_drift_that_the_document_does_not_act_on_shows_as_update_available() -> None:
    seen = observation(record(), templates={"echo": Known(template_inputs(sha("edited")))})
    echo, greeter = status(seen).templates
    assert (echo.state, echo.reason, echo.update_available) == (
        "UpdateAvailable",
        "DockerfileChanged",
        "DockerfileChanged",
    )
    assert echo.after == f"Dockerfile {template_inputs(sha('edited')).dockerfile_sha256[:12]}"
    assert echo.message == (
        "Add Template to build.rebuildOn of template echo to have it built from now on, or ask for this one build with "
        "annotation runtime.molecule.ai/rebuild."
    )
    assert (greeter.state, greeter.reason, greeter.message) == ("Proven", "WheelChanged", None)
    assert status(seen).is_true("Ready"), "nobody asked for it"


def test_an_update_waits_until_the_image_that_is_built_is_proven() -> None:
    unproven = record(templates={name: template_record("0.1.0", name, proven=False) for name in TEMPLATES})
    seen = observation(unproven, templates={"echo": Known(template_inputs(sha("edited")))})
    echo = status(seen).templates[0]
    assert (echo.state, echo.reason, echo.update_available) == (
        "Unproven",
        "WheelChanged",
        "DockerfileChanged",
    )


def test_the_base_of_a_full_build_is_told_and_one_that_cannot_be_read_is_named() -> None:
    built = full_build("echo", bases={BASE_NAME: f"sha256:{sha('base')}"})
    whole = record(templates={"echo": template_record("0.1.0", "echo", full_build=built)})
    alone = [{"name": "echo", "image": "ws/echo", "build": {"directory": "echo"}}]
    seen = observation(whole, bases={BASE_NAME: AWAY})
    echo = status(seen, templates=alone).templates[0]
    assert (echo.state, echo.base_digest) == ("Proven", f"sha256:{sha('base')}")
    assert echo.message == f"Base image {BASE_NAME} cannot be read: it is away"
    assert status(observation(record())).templates[0].base_digest is None


@pytest.mark.parametrize(
    ("unread", "rebuild_on", "what"),
    [
        ("templates", ["Version", "Template"], "template echo"),
        ("templates", ["Version", "Base"], "template echo"),
        ("bases", ["Version", "Base"], f"base image {BASE_NAME}"),
    ],
)
def test_nobody_says_ready_while_what_an_image_is_to_follow_cannot_be_read(
    unread: str, rebuild_on: list[str], what: str
) -> None:
    name = BASE_NAME if unread == "bases" else "echo"
    follows = [
        {"name": "echo", "image": "ws/echo", "build": {"directory": "echo", "rebuildOn": rebuild_on}},
        {"name": "greeter", "image": "ws/greeter", "build": {"directory": "greeter"}},
    ]
    made = conditions(status(observation(record(), **{unread: {name: AWAY}}), templates=follows))
    told = ("Unknown", "Unknown", f"The {what} cannot be read: it is away")
    assert made["Ready"] == told
    assert made["Reconciling"] == ("True", *told[1:])
    assert made["RolledOut"][0] == made["ImagesBuilt"][0] == "True", "what is known stays so"
    refused = replace(AWAY, stalled="CredentialsMissing")
    made = conditions(status(observation(record(), **{unread: {name: refused}}), templates=follows))
    assert made["Stalled"][:2] == ("True", "CredentialsMissing")
    assert "Reconciling" not in made


def test_what_no_image_is_to_follow_may_be_unread() -> None:
    seen = observation(record(), templates={"echo": AWAY}, bases={BASE_NAME: AWAY})
    assert conditions(status(seen))["Ready"][0] == "True"


def test_what_is_in_use_is_what_new_workspaces_get_while_the_next_image_is_not_proven() -> None:
    used = template_record("0.1.0", "echo")
    candidate = used.model_copy(
        update={"image": "ws/echo:candidate-1", "image_id": f"sha256:{sha('candidate')}", "proven": False}
    )
    waiting = record(
        templates={**record().templates, "echo": candidate.following(used)}, verdict=verdict("Good")
    )
    images = Known({**served(record(), latest="0.1.0"), candidate.image: candidate.identity})
    echo = status(observation(waiting, images=images)).templates[0]
    assert (echo.state, echo.image) == ("Unproven", used.image)
