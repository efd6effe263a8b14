"""Entry of a builder run in a Kubernetes Job: `python -m builder.job ... -- VERB ...`, with its files fetched and its results sent.

A verb knows nothing of it: it finds what it reads where it expects it, and what it writes is taken from there. The report
and, in a second line, the digest of the artifact with what was written are the termination message of the pod.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from builder.__main__ import leave_when_told, reported, run
from builder.contract import Report
from builder.login import Login, credentials_of
from builder.oci import Client, NotFound, ReadOnly, Reference, RegistryError, Unauthorized, Unavailable
from builder.packing import fetch, packed, send
from builder.problems import Refused, TryAgain
from builder.verbs._arguments import Arguments

_MESSAGE: Final = Path("/dev/termination-log")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Given:
    """What the entry is given besides the verb: the artifact with the files, and how its registry is reached."""

    artifact: Reference
    results: str
    folders: tuple[Path, ...]
    writes: tuple[Path, ...]
    login: Login | None
    ca_file: Path | None
    insecure: bool
    message: Path
    verb: tuple[str, ...]

    @classmethod
    def read(cls, arguments: Sequence[str]) -> Given:
        """Read the arguments; raises Refused."""
        parser = Arguments("job", "Run a verb on files that an artifact holds.")
        parser.add_argument(
            "--artifact", required=True, help="HOST/REPOSITORY@DIGEST with what the run reads"
        )
        parser.add_argument("--results", required=True, help="tag for the artifact with what it writes")
        parser.add_argument("--folder", type=Path, action="append", default=[], help="where its files belong")
        parser.add_argument("--writes", type=Path, action="append", default=[], help="a folder with results")
        parser.add_argument("--login", type=Path, help="docker configuration, or a Secret's folder")
        parser.add_argument("--login-host", action="append", default=[], help="whom its password is for")
        parser.add_argument("--ca", type=Path, help="PEM bundle to trust instead of the system's")
        parser.add_argument("--insecure", action="store_true", help="plain HTTP")
        parser.add_argument("--message", type=Path, default=_MESSAGE, help="where the report goes")
        parser.add_argument("verb", nargs="+", help="VERB and its arguments, behind --")
        given = parser.parse_args(arguments)
        return cls(
            artifact=Reference.parse(given.artifact),
            results=given.results,
            folders=tuple(given.folder),
            writes=tuple(given.writes),
            login=Login(given.login, tuple(given.login_host)) if given.login else None,
            ca_file=given.ca,
            insecure=given.insecure,
            message=given.message,
            verb=tuple(given.verb),
        )


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return the exit code of the process."""
    given = Given.read(arguments)
    verb, rest = given.verb[0], given.verb[1:]
    leave_when_told()
    digests: list[str] = []

    def work() -> Report:
        _with_registry(given, lambda client: fetch(client, given.artifact, given.folders))
        report = run(verb, rest)
        if written := packed(given.writes):
            results = given.artifact.at(given.results)
            digests.append(_with_registry(given, lambda client: send(client, results, written)))
        return report

    report = reported(verb, work)
    given.message.write_text("\n".join((report.to_line(), *digests)))
    return report.outcome


def _with_registry(given: Given, work: Callable[[Client], Awaitable[_Result]]) -> _Result:
    async def working() -> _Result:
        client = Client(credentials_of(given.login), insecure=given.insecure, ca_file=given.ca_file)
        async with client:
            return await work(client)

    try:
        return asyncio.run(working())
    except Unavailable as error:
        raise TryAgain("RegistryUnavailable", str(error), retry_after=error.retry_after) from error
    except (ReadOnly, NotFound) as error:  # whoever starts the run anew puts the files there anew
        raise TryAgain(f"Registry{type(error).__name__}", str(error)) from error
    except Unauthorized as error:
        raise Refused("CredentialsMissing", [str(error)]) from error
    except RegistryError as error:
        raise Refused("RegistryRefused", [str(error)]) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
