"""Selectors select what an API server selects with them."""

import pytest

from controller.clients.label_selector import pairs_of, selects

LABELS = {"app": "ws-1", "ring": "canary", "runtime.molecule.ai/managed": "true"}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", True),
        ("app=ws-1", True),
        ("app==ws-1", True),
        ("app=ws-2", False),
        ("app=ws-1,ring=canary", True),
        ("app=ws-1,ring=stable", False),
        ("app!=ws-2", True),
        ("app!=ws-1", False),
        ("other!=x", True),
        ("ring in (canary,stable)", True),
        ("ring in (stable)", False),
        ("ring notin (stable, canary)", False),
        ("other notin (x)", True),
        ("ring", True),
        ("other", False),
        ("!other", True),
        ("!ring", False),
        ("runtime.molecule.ai/managed=true, ring in (canary , x), !other", True),
        ("other=", False),
    ],
)
def test_a_selector_selects(selector: str, selected: bool) -> None:  # noqa: FBT001 -- read from the table above
    assert selects(selector, LABELS) is selected


def test_what_all_that_is_selected_carries_is_known() -> None:
    assert pairs_of("app=ws-1,ring in (canary),x in (a,b),!y,z!=1") == (("app", "ws-1"), ("ring", "canary"))


def test_what_is_no_selector_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'=x' is no label selector"):
        selects("=x", LABELS)
