"""What `wsr history` does: prints which versions a status says were asked for."""

from __future__ import annotations

from controller.api.status import HistoryEntry, Status
from controller.cli._status import status_of
from controller.cli.options import Address, Here
from controller.cli.output import columns, print_facts


def show(place: Here | Address, *, output: str) -> None:
    """Print the history.

    Raises:
        Terminal: the document is not valid, nothing is known of the object yet, or as `_cluster.opened`.
        Transient: the cluster does not answer.
    """
    status = status_of(place)
    entries = [each.model_dump(mode="json", by_alias=True) for each in status.history]
    facts = {"lastKnownGood": status.last_known_good, "history": entries}
    print_facts(facts, output, _table(status))


def _table(status: Status) -> list[str]:
    rows = [["VERSION", "VERDICT", "REASON", "ASKED FOR", "TOOK"]]
    rows += [
        [each.version, each.verdict, each.reason or "-", f"{each.started_time:%Y-%m-%d %H:%MZ}", _took(each)]
        for each in status.history
    ]
    return [*columns(rows), "", f"The last known good version is {status.last_known_good or 'none'}."]


def _took(entry: HistoryEntry) -> str:
    if entry.finished_time is None:
        return "-"
    seconds = round((entry.finished_time - entry.started_time).total_seconds())
    minutes, hours = seconds // 60, seconds // 3600
    return f"{hours}h{minutes % 60:02}m" if hours else f"{minutes}m{seconds % 60:02}s"
