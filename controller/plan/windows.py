"""Whether targets may begin to be replaced at a time, and when they next may: what the clocks of the windows show. Pure.

A window is all moments at which its clock shows a time in it. So a day of change needs no rule of its own: what the clock
passes over is no part of it, and what the clock shows twice is in it twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from controller.api.v1alpha1 import Window
from controller.api.v1alpha1.windows import DAYS

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_LOOKED_AHEAD_DAYS: Final = 15
"""A window of one day of the week may be passed over by its clock once; a week later it is there."""


def is_open(windows: Iterable[Window], now: datetime) -> bool:
    """Whether one of `windows` is open at `now` (aware)."""
    return any(_shows(window, now.astimezone(ZoneInfo(window.time_zone))) for window in windows)


def next_opening(windows: Sequence[Window], now: datetime) -> datetime | None:
    """Return when the next of `windows` opens after `now` (both aware UTC), none being open; None where none does in two weeks."""
    moments = {
        moment
        for window in windows
        for moment in _moments(window, now)
        if moment > now and is_open([window], moment)
    }
    return min(moments, default=None)


def _shows(window: Window, local: datetime) -> bool:
    """Whether a clock that shows `local` shows a time in the window, which belongs to the day on which it opens."""
    start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
    shown = local.time()
    today, yesterday = _opens_on(window, local.date()), _opens_on(window, local.date() - _DAY)
    if start < end:
        return today and start <= shown < end
    return (today and start <= shown) or (yesterday and shown < end)


def _opens_on(window: Window, day: date) -> bool:
    return not window.days or DAYS[day.weekday()] in window.days


def _moments(window: Window, now: datetime) -> Iterator[datetime]:
    """Yield every moment at which the window may open in the days to come: when its clock shows the start, or is changed."""
    zone, start = ZoneInfo(window.time_zone), time.fromisoformat(window.start)
    today = now.astimezone(zone).date()
    for number in range(_LOOKED_AHEAD_DAYS):
        for fold in (0, 1):
            yield datetime.combine(today + number * _DAY, start.replace(fold=fold), zone).astimezone(UTC)
        begin = now.replace(microsecond=0) + number * _DAY
        if _offset(zone, begin) != _offset(zone, begin + _DAY):
            yield _change(zone, begin, begin + _DAY)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first whole second between two at which the clock of `zone` has been changed."""
    old = _offset(zone, before)
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        before, after = (middle, after) if _offset(zone, middle) == old else (before, middle)
    return after


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()
