"""When targets may begin to be replaced: what the clock of a window shows decides, on days on which it is changed, too."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from controller.api.v1alpha1 import Window
from controller.plan.windows import is_open, next_opening

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = {"start": "22:00", "end": "05:00", "timeZone": "Europe/Berlin"}
"""Berlin's clock goes from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25."""


def windows(*given: dict[str, Any]) -> list[Window]:
    return [Window.model_validate(each) for each in given]


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def openings(now: datetime, *given: dict[str, Any], many: int = 3) -> list[str]:
    """The times of the next openings, as UTC has them."""
    asked, found = windows(*given), []
    for _ in range(many):
        opening = next_opening(asked, now)
        assert opening is not None
        assert is_open(asked, opening)
        assert not is_open(asked, opening - timedelta(seconds=1))
        found.append(f"{opening:%m-%d %H:%M}")
        now = opening
        while is_open(asked, now):
            now += timedelta(minutes=1)
    return found


@pytest.mark.parametrize(
    ("local", "open_"),
    [
        ("2026-05-04 21:59:59", False),
        ("2026-05-04 22:00:00", True),
        ("2026-05-05 04:59:59", True),
        ("2026-05-05 05:00:00", False),
        ("2026-05-05 12:00:00", False),
    ],
)
def test_a_window_is_open_from_its_start_to_before_its_end(local: str, *, open_: bool) -> None:
    assert is_open(windows(NIGHT), at(local)) is open_


def test_a_window_belongs_to_the_day_on_which_it_opens() -> None:
    monday = windows({**NIGHT, "days": ["Mon"]})
    assert is_open(monday, at("2026-05-05 04:00")), "the night that began on Monday"
    assert not is_open(monday, at("2026-05-04 04:00")), "the night that began on Sunday"
    assert not is_open(monday, at("2026-05-05 23:00"))
    assert openings(at("2026-05-05 12:00"), {**NIGHT, "days": ["Mon", "Sat"]}) == [
        "05-09 20:00",
        "05-11 20:00",
        "05-16 20:00",
    ]


def test_a_window_that_ends_when_it_begins_is_open_for_a_day() -> None:
    friday = windows({"days": ["Fri"], "start": "12:00", "end": "12:00"})
    assert is_open(friday, at("2026-05-01 12:00", ZoneInfo("UTC")))
    assert is_open(friday, at("2026-05-02 11:59", ZoneInfo("UTC")))
    assert not is_open(friday, at("2026-05-02 12:00", ZoneInfo("UTC")))


def test_the_first_of_several_windows_counts_and_each_has_a_clock_of_its_own() -> None:
    tokyo = {"start": "02:00", "end": "03:00", "timeZone": "Asia/Tokyo"}
    assert openings(at("2026-05-04 12:00"), NIGHT, tokyo) == ["05-04 17:00", "05-04 20:00", "05-05 17:00"]


def test_a_night_on_which_the_clock_is_changed_is_shorter_or_longer_and_opens_once() -> None:
    assert openings(at("2026-03-28 12:00"), NIGHT) == ["03-28 21:00", "03-29 20:00", "03-30 20:00"]
    assert is_open(windows(NIGHT), at("2026-03-29 04:59"))
    assert openings(at("2026-10-24 12:00"), NIGHT) == ["10-24 20:00", "10-25 21:00", "10-26 21:00"]


def test_a_window_that_its_clock_passes_over_does_not_open_that_day() -> None:
    never = {"start": "02:15", "end": "02:45", "timeZone": "Europe/Berlin"}
    assert openings(at("2026-03-28 00:00"), never) == ["03-28 01:15", "03-30 00:15", "03-31 00:15"]
    sundays = {**never, "days": ["Sun"]}
    assert openings(at("2026-03-23 00:00"), sundays, many=1) == ["04-05 00:15"], (
        "two weeks after the last one"
    )


def test_a_window_whose_start_is_passed_over_opens_when_the_clock_has_been_changed() -> None:
    late = {"start": "02:30", "end": "04:00", "timeZone": "Europe/Berlin"}
    assert openings(at("2026-03-29 00:00"), late, many=2) == ["03-29 01:00", "03-30 00:30"]
    assert not is_open(windows(late), at("2026-03-29 04:00"))


def test_a_window_that_its_clock_shows_twice_opens_twice() -> None:
    twice = {"start": "02:15", "end": "02:45", "timeZone": "Europe/Berlin"}
    assert openings(at("2026-10-25 00:00"), twice) == ["10-25 00:15", "10-25 01:15", "10-26 01:15"]


def test_a_window_that_the_clock_goes_back_into_opens_again() -> None:
    ended = {"start": "01:00", "end": "02:30", "timeZone": "Europe/Berlin"}
    assert openings(at("2026-10-25 00:00"), ended) == ["10-24 23:00", "10-25 01:00", "10-26 00:00"]
    assert not is_open(windows(ended), at("2026-10-25 02:45"))
    assert is_open(windows(ended), at("2026-10-25 02:15", fold=1))


def test_a_clock_that_is_changed_by_half_an_hour_and_one_that_skips_a_day_are_followed() -> None:
    howe = {"start": "02:10", "end": "03:00", "timeZone": "Australia/Lord_Howe"}
    assert openings(at("2026-10-03 12:00", ZoneInfo("Australia/Lord_Howe")), howe, many=1) == ["10-03 15:30"]
    apia = {"days": ["Fri"], "start": "09:00", "end": "10:00", "timeZone": "Pacific/Apia"}
    assert openings(at("2011-12-24 12:00", ZoneInfo("Pacific/Apia")), apia, many=1) == ["01-05 19:00"]
