"""Two templates are taken for the same only when nothing but the image of one container is another."""

import copy
from typing import Any

import pytest

from controller.clients._kube_workloads import same_but_image

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "ws-1"}},
    "spec": {
        "containers": [
            {"name": "workspace", "image": "ws/echo:1", "env": [{"name": "TIER", "value": "2"}]},
            {"name": "beside", "image": "beside:1"},
        ],
        "terminationGracePeriodSeconds": 30,
    },
}


def changed(*at: str | int, to: object) -> dict[str, Any]:
    made = copy.deepcopy(TEMPLATE)
    here: Any = made
    for each in at[:-1]:
        here = here[each]
    here[at[-1]] = to
    return made


def test_another_image_of_that_container_makes_no_difference() -> None:
    other = changed("spec", "containers", 0, "image", to="ws/echo:2")
    assert same_but_image(TEMPLATE, other, "workspace")
    assert not same_but_image(TEMPLATE, other, "beside")


def test_a_revision_holds_a_template_as_a_patch_and_what_is_not_set_as_null() -> None:
    kept = changed("metadata", "creationTimestamp", to=None) | {"$patch": "replace"}
    assert same_but_image(kept, TEMPLATE, "workspace")


@pytest.mark.parametrize(
    ("at", "to"),
    [
        (("spec", "containers", 1, "image"), "beside:2"),
        (("spec", "containers", 0, "env", 0, "value"), "3"),
        (("spec", "containers", 0, "args"), ["--more"]),
        (("spec", "terminationGracePeriodSeconds"), 60),
        (("metadata", "labels", "more"), ""),
        (("metadata", "annotations"), {}),
    ],
)
def test_anything_else_does(at: tuple[str | int, ...], to: object) -> None:
    assert not same_but_image(TEMPLATE, changed(*at, to=to), "workspace")
