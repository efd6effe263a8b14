"""Stops of an object of this machine: kept in its state folder, seen by every pass, and never overlooked."""

import asyncio
import threading
from pathlib import Path

import pytest

from controller.api import stops
from controller.model.errors import Terminal
from controller.standalone.stops import change_stops, stops_file, stops_in
from controller.standalone.store import FileStore
from tests.unit.standalone.test_store import DOCUMENT


def test_every_reading_of_the_document_has_what_verbs_said_since(tmp_path: Path) -> None:
    file = tmp_path / "runtime.yaml"
    file.write_text(DOCUMENT)
    store = FileStore(file, tmp_path / "state")
    assert asyncio.run(store.read()).document.metadata.hold is None
    change_stops(store.folder, lambda _: stops.hold_object("an audit"))
    held = asyncio.run(store.read())
    assert held.document.metadata.hold == "an audit"
    change_stops(store.folder, lambda _: {"runtime.molecule.ai/hold": None})
    again = asyncio.run(store.read())
    assert again.document.metadata.hold is None
    assert again.generation == held.generation, "a stop is no other version of what is asked for"


def test_verbs_at_the_same_time_lose_nothing_of_each_other(tmp_path: Path) -> None:
    names = [f"ws-{number}" for number in range(20)]

    def hold(name: str) -> None:
        change_stops(tmp_path, lambda before: stops.hold(before, [name], "a demo"))

    threads = [threading.Thread(target=hold, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(stops.stop_of(stops_in(tmp_path), name) for name in names)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"runtime.molecule.ai/hold": 1}',
        '{"runtime.molecule.ai/hold-target": "{}"}',
        '{"runtime.molecule.ai/hold": ""}',
    ],
)
def test_what_cannot_be_read_moves_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "runtime.yaml"
    file.write_text(DOCUMENT)
    stops_file(tmp_path).write_text(text)
    with pytest.raises(Terminal) as refused:
        asyncio.run(FileStore(file, tmp_path).read())
    assert refused.value.reason == "StateUnreadable"
    assert refused.value.message.startswith(f"{tmp_path}/stops.json cannot be read: ")
    assert refused.value.fix == (
        "It says what is held, so nothing is moved. Correct it, or remove it to let all of that go."
    )
