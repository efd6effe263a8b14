"""Write log lines for operators: one line an event, on stderr, without secrets."""

import logging
import sys

from builtin_tools.security import Scrubber

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# The SDK logs a traceback for every malformed request; the caller gets a proper error, and the line is enough.
QUIET_TRACEBACKS = ("a2a.server.routes.jsonrpc_dispatcher", "a2a.compat.v0_3.jsonrpc_adapter")


class _ScrubbingFormatter(logging.Formatter):
    def __init__(self, scrubber: Scrubber) -> None:
        super().__init__(FORMAT)
        self._scrubber = scrubber

    def format(self, record: logging.LogRecord) -> str:
        return self._scrubber.scrub(super().format(record))


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


def start_logging(level: str, scrubber: Scrubber) -> None:
    """Send records of `level` and above to stderr; an unknown level means INFO."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_ScrubbingFormatter(scrubber))
    known = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    logging.basicConfig(level=known, handlers=[handler], force=True)
    for name in QUIET_TRACEBACKS:
        logging.getLogger(name).addFilter(_without_traceback)
