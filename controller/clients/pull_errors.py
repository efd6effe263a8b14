"""Tells what a failed pull means from the words of whoever pulled, an engine or a node: registries have no others."""

from __future__ import annotations

import re

from controller.api.conditions import Reason
from controller.model.errors import NotFound, Terminal, Transient


def pull_failed(reference: str, text: str) -> NotFound | Transient | Terminal:
    """Return our error for a pull of `reference` that ended with `text`."""
    doing = f"pull {reference}: {one_line(text)}"
    if re.search(r"manifest unknown|not found|no such image|does not exist", text, re.IGNORECASE):
        return NotFound(f"Could not {doing}")
    if re.search(r"unauthorized|denied|authentication required|no basic auth", text, re.IGNORECASE):
        return Terminal(
            Reason.PULL_DENIED,
            f"Could not {doing}.",
            fix="Give registry.pullSecretName credentials that may pull this repository.",
        )
    return Transient(f"Could not {doing}")


def one_line(text: str) -> str:
    """Return `text` on one line, without a final period, for use inside a message."""
    return " ".join(text.split()).rstrip(".")
