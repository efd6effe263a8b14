"""When targets may begin to be replaced: times of the week, by the clock of a time zone."""

from __future__ import annotations

import difflib
from typing import Annotated, Final, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field

from controller.api.patterns import CLOCK_PATTERN, TIME_ZONE_PATTERN
from controller.api.v1alpha1._base import Distinct, Document

Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
DAYS: Final[tuple[str, ...]] = get_args(Day)
"""As `datetime.weekday` counts them."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # the last one for a folder of the database, as Europe
        close = difflib.get_close_matches(name, sorted(available_timezones()), n=1, cutoff=0.8)
        hint = f"did you mean {close[0]}?" if close else "write one, as Europe/Berlin or UTC"
        raise ValueError(f"{name!r} is no time zone of the IANA database; {hint}") from None
    return name


ClockTime = Annotated[str, Field(max_length=5, pattern=CLOCK_PATTERN)]
TimeZone = Annotated[str, Field(max_length=64, pattern=TIME_ZONE_PATTERN), AfterValidator(_zone)]


class Window(Document):
    """A time of the week in which targets may begin to be replaced, by the clock of its time zone.

    What the clock shows decides, on a day on which it is changed, too: a window opens at the first moment that the clock shows
    of it, not at all when the clock passes over all of it, and twice when the clock shows it twice.
    """

    days: Annotated[list[Day], Field(max_length=7), Distinct] = []
    """The days on which it opens; none named: every day."""
    start: ClockTime
    """When it opens, as 22:00."""
    end: ClockTime
    """When it closes, as 05:00: on the day after when that is not later than `start`."""
    time_zone: TimeZone = "UTC"
    """The time zone of its clock, by its name in the IANA database, as Europe/Berlin."""
