"""The arithmetic of the benches: medians, pairs, bars and what a file of figures holds."""

import json
from pathlib import Path

import pytest

from tests.bench.figures import Figure, at_least, at_most, table, write


def test_a_middle_is_the_median_and_keeps_every_sample() -> None:
    figure = Figure.middle("x.seconds", [3.0, 1.0, 2.0004], how="so")
    assert (figure.value, figure.unit, figure.ours, figure.baseline) == (2.0, "s", (3.0, 1.0, 2.0), ())


def test_a_largest_is_the_largest_of_ours_and_not_of_the_baseline() -> None:
    assert Figure.largest("x.max", [1.0, 4.0], [9.0], how="so").value == 4.0


def test_a_ratio_is_the_median_over_pairs_and_not_of_sums_or_medians() -> None:
    ours, baseline = [1.0, 2.0, 10.0], [5.0, 4.0, 30.0]
    assert Figure.times_faster("x.ratio", ours, baseline, how="so").value == 3.0
    assert Figure.times_the_floor("x.ratio", ours, baseline, how="so").value == 0.333


def test_sides_of_different_length_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="zip"):
        Figure.times_faster("x.ratio", [1.0], [1.0, 2.0], how="so")


@pytest.mark.parametrize(
    ("bar", "value", "holds"),
    [
        (at_least(4), 4.0, True),
        (at_least(4), 3.999, False),
        (at_most(1.5), 1.5, True),
        (at_most(1.5), 1.501, False),
        (None, 1e9, True),
    ],
)
def test_a_bar_holds_from_its_own_value_on(bar: object, value: float, holds: bool) -> None:  # noqa: FBT001 - read from the table above
    assert Figure("x", value, "s", "so", (value,), bar=bar).holds is holds  # type: ignore[arg-type]  # parametrized


def test_a_file_holds_every_field_and_null_for_no_bar(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    write(
        [
            Figure.times_faster("x.ratio", [1.0, 1.0], [4.0, 5.0], how="so", bar=at_least(4)),
            Figure.middle("x.seconds", [1.0], how="thus"),
        ],
        file,
    )
    assert json.loads(file.read_text()) == [
        {
            "id": "x.ratio",
            "value": 4.5,
            "unit": "times",
            "bar": 4,
            "holds": True,
            "how": "so",
            "ours": [1.0, 1.0],
            "baseline": [4.0, 5.0],
        },
        {
            "id": "x.seconds",
            "value": 1.0,
            "unit": "s",
            "bar": None,
            "holds": True,
            "how": "thus",
            "ours": [1.0],
            "baseline": [],
        },
    ]


def test_the_table_tells_what_does_not_hold() -> None:
    failing = Figure.middle("x.seconds", [2.0], how="so", bar=at_most(1))
    _, row, *rest = table([failing])
    assert row.split() == ["x.seconds", "2.000", "s", "at", "most", "1", "NO"]
    assert rest == ["", "x.seconds: so"]
