"""Opens an object of this machine for a verb: its document, where its state is, and the world it works in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from controller.api.status import HistoryEntry
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.runs import Runs
from controller.settings import Settings
from controller.standalone.stops import stopped
from controller.standalone.store import FileStore, object_folder, read_document, saved_status
from controller.standalone.world import ALL, Needs, StandaloneWorld, open_world


@dataclass(frozen=True, slots=True)
class Session:
    """One opened object."""

    document: WorkspaceRuntime
    folder: Path
    store: FileStore
    world: StandaloneWorld

    def history(self) -> Sequence[HistoryEntry]:
        """Return which versions were asked for before, newest first, as the last run noted them."""
        status = saved_status(self.folder)
        return status.history if status else ()


@asynccontextmanager
async def open_session(  # noqa: PLR0913 -- each is one thing that an object is opened with
    file: Path,
    *,
    state: Path | None,
    secrets: Path | None,
    say: Callable[[str], None] = lambda _: None,
    needs: Needs = ALL,
    runs: Runs | None = None,
) -> AsyncIterator[Session]:
    """Open the object in `file`; nothing is written and nothing but the Secrets for `needs` is read until it is used.

    Builder runs are those of `runs`, or new ones.

    Raises:
        Terminal: the document, the environment or a Secret is not valid.
    """
    document = read_document(file)
    settings = Settings.of_process(secrets_dir=secrets, state_dir=state)
    folder = object_folder(settings.state_dir, document)
    document = stopped(document, folder)
    world = open_world(document, settings, base=_base(file), folder=folder, say=say, needs=needs, runs=runs)
    async with world as opened:
        yield Session(document, folder, FileStore(file, folder), opened)


def _base(file: Path) -> Path:
    """Return where the document's relative paths start: its own folder, links to the document not followed."""
    return (Path.cwd() / file).parent
