"""Which state an object is in: the observation against what is asked for, as one of a closed union.

The order of the states is the order of the work: a version is recorded, built, proven, public, rolled out and
promoted, and the first of these that is not true yet names the state. What cannot be read leaves us Blocked on
it, never ahead of it.
"""

from __future__ import annotations

from controller.plan.known_good import image_for_new, images_for_new, last_known_good
from controller.plan.state._classify import classify
from controller.plan.state._states import (
    Absent,
    Blocked,
    Contested,
    Held,
    Outstanding,
    Released,
    Stale,
    State,
    Unbuilt,
    Undelivered,
    Unpromoted,
    Unproven,
    Unpublished,
    UpToDate,
    outstanding_of,
)

__all__ = [
    "Absent",
    "Blocked",
    "Contested",
    "Held",
    "Outstanding",
    "Released",
    "Stale",
    "State",
    "Unbuilt",
    "Undelivered",
    "Unpromoted",
    "Unproven",
    "Unpublished",
    "UpToDate",
    "classify",
    "image_for_new",
    "images_for_new",
    "last_known_good",
    "outstanding_of",
]
