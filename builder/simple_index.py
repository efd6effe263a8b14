"""Opens a simple index for a run, with the ways in which it can fail as the ways in which a run can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from builder import index as simple
from builder.problems import Refused, TryAgain


@asynccontextmanager
async def open_index(
    url: str, *, credentials: simple.Credentials | None, ca: Path | None
) -> AsyncIterator[simple.Index]:
    """Open the simple index, with its failures as ours.

    Raises:
        Refused: CredentialsRejected, IndexRefused.
        TryAgain: IndexUnavailable.
    """
    try:
        async with simple.Index(url, credentials=credentials, ca_file=ca) as index:
            yield index
    except simple.Unauthorized as error:
        raise Refused("CredentialsRejected", [str(error)]) from error
    except simple.Unavailable as error:
        raise TryAgain("IndexUnavailable", str(error), retry_after=error.retry_after) from error
    except simple.IndexProblem as error:
        raise Refused("IndexRefused", [str(error)]) from error
