"""What `wsr approve` does: writes down the hash that the status says waits for approval."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from controller.api.names import ANNOTATION_APPROVE
from controller.api.status import Status
from controller.cli._cluster import annotate, look_again, opened
from controller.cli._of_cluster import TAKEN_UP_SECONDS
from controller.cli.options import Address, Here
from controller.model.errors import Terminal, Waiting
from controller.settings import Settings
from controller.standalone.stops import change_stops
from controller.standalone.store import object_folder, read_document, saved_status, status_is_of

_LEAST_CHARACTERS: Final = 8
_LOOK_SECONDS: Final = 0.5


def here(place: Here, expected: str | None) -> str:
    """Approve what the last run of a document found to wait, and return one line about it.

    Raises:
        Terminal: nothing waits, or something else than `expected`; or the state folder cannot be written.
    """
    document = read_document(place.file)
    settings = Settings.of_process(secrets_dir=place.secrets, state_dir=place.state)
    folder = object_folder(settings.state_dir, document)
    status = saved_status(folder) if status_is_of(folder, document) else None
    if status is None:
        raise Terminal(
            "NotFound",
            f"Nothing is known of the object in {place.file} as it is now.",
            fix=f"Run: wsr run -f {place.file} --once",
        )
    approved = _waiting(document.key, status, expected, look=f"wsr status -f {place.file}")
    change_stops(folder, lambda _: {ANNOTATION_APPROVE: approved})
    return f"{approved} is approved; the next pass goes on with it."


def there(place: Address, expected: str | None) -> str:
    """Approve what the operator of an object found to wait, wait until it goes on, and return one line about it.

    Raises:
        Terminal: nothing waits, or something else than `expected`; nobody may, or as `_cluster.opened`.
        Transient: the cluster does not answer.
        Waiting: the operator has not looked at the object as it is, or has not taken it up in `TAKEN_UP_SECONDS`; it still may.
    """
    return asyncio.run(_there(place, expected))


async def _there(place: Address, expected: str | None) -> str:
    async with opened(place) as (cluster, (seen,)):
        if seen.behind:
            raise Waiting(
                f"the operator of {seen.key} to look at it as it is now", retry_after=TAKEN_UP_SECONDS
            )
        look = f"wsr status {seen.name} -n {seen.namespace}"
        approved = _waiting(seen.key, seen.status, expected, look=look)
        await annotate(cluster, seen, lambda _: {ANNOTATION_APPROVE: approved})
        deadline = time.monotonic() + TAKEN_UP_SECONDS
        while time.monotonic() < deadline:
            now = await look_again(cluster, seen)
            if now.status.awaiting_approval != approved:
                return f"{approved} is approved; {seen.key} goes on with it."
            await asyncio.sleep(_LOOK_SECONDS)
        raise Waiting(
            f"the operator of {seen.key} to take up annotation {ANNOTATION_APPROVE}, which stays",
            retry_after=TAKEN_UP_SECONDS,
        )


def _waiting(key: str, status: Status, expected: str | None, *, look: str) -> str:
    """Return the hash of what waits for approval. Raises Terminal when nothing does, or something else than `expected`."""
    waits = status.awaiting_approval
    if waits is None:
        raise Terminal("NotFound", f"Nothing of {key} waits for approval.", fix=f"Look what is true: {look}")
    if expected is None or (len(expected) >= _LEAST_CHARACTERS and waits.startswith(expected)):
        return waits
    raise Terminal(
        "NotFound",
        f"{waits} waits for approval, not {expected}; nothing was approved.",
        fix=f"Look at what waits now: {look}",
    )
