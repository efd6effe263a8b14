"""What would make a definition that no API server takes, or that merges badly, is refused while it is generated."""

from copy import deepcopy

import pytest

from controller.api.crd import definition
from controller.api.crd_rules import LISTS
from controller.api.status import Status


def test_a_definition_with_a_list_of_unknown_kind_is_refused_by_the_generator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lists = {path: kind for path, kind in deepcopy(dict(LISTS)).items() if path != "spec.templates[].tags"}
    monkeypatch.setattr("controller.api.crd.LISTS", lists)
    with pytest.raises(
        LookupError, match=r"^spec\.templates\[\]\.tags has no list type; say in crd_rules\.LISTS"
    ):
        definition()


def test_a_rule_for_a_field_that_is_gone_is_refused_by_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.api.crd.UNDEFAULTED", {"spec.templates[].colour": "why"})
    with pytest.raises(
        LookupError, match=r"^crd_rules names fields that no model has: spec\.templates\[\]\.colour$"
    ):
        definition()


def test_a_field_without_a_description_is_refused_by_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare(Status):
        colour: str = ""

    monkeypatch.setattr("controller.api.crd.Status", Bare)
    with pytest.raises(LookupError, match=r"^status has no description"):
        definition()
