"""Keep what a framework knows of each conversation in a file of its own, for frameworks that keep nothing themselves."""

import json
import logging
import time
import uuid
from pathlib import Path
from typing import Any

from adapters.base import AdapterConfigurationError
from whole_file import replace_text

logger = logging.getLogger(__name__)


class ConversationFiles:
    """One JSON document for each conversation, replaced whole; a damaged one is kept aside and named in the log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> None:
        """Make the folder.

        Raises:
            AdapterConfigurationError: it cannot be made.
        """
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise AdapterConfigurationError(
                f"{self._folder} cannot be made: {error}; let this user write to its folder"
            ) from error

    def read(self, context_id: str) -> dict[str, Any]:
        """Return what was written last, {} for a conversation that is not known.

        Raises:
            OSError: the file is there and cannot be read.
        """
        path = self._path(context_id)
        try:
            return dict(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError) as error:
            self.set_aside(context_id, error)
            return {}

    def write(self, context_id: str, document: dict[str, Any]) -> None:
        """Keep this instead of what was there.

        Raises:
            OSError: it cannot be written; what was there is kept.
        """
        replace_text(self._path(context_id), json.dumps(document))

    def set_aside(self, context_id: str, reason: Exception) -> None:
        """Keep a document that is of no use under another name.

        Raises:
            OSError: it cannot be renamed.
        """
        set_aside(self._path(context_id), reason)

    def _path(self, context_id: str) -> Path:
        return self._folder / f"{uuid.uuid5(uuid.NAMESPACE_URL, context_id)}.json"


def set_aside(path: Path, reason: Exception) -> None:
    """Rename a state file that is of no use, and say so.

    Raises:
        OSError: it cannot be renamed.
    """
    aside = path.with_name(f"{path.name}.unusable-{int(time.time())}")
    path.rename(aside)
    logger.warning(
        "Starting without what it held: %s is unusable (%s: %s), kept as %s",
        path,
        type(reason).__name__,
        reason,
        aside.name,
    )
