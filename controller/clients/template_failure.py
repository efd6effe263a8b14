"""What it means that a builder run made no image of a template: only some failures are for whoever keeps the template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from controller.api.conditions import Reason
from controller.clients.registry import refused, unauthorized
from controller.model.errors import Problem, Terminal, Transient

_ELSEWHERE: Final = (
    "Build it where there is a Docker Engine (wsr run with the same registry.artifacts), or let its own repository do it"
    " with strategy Dispatch."
)


def failure_of(template: str, error: Mapping[str, Any], *, log: Path) -> Problem:
    """Return the cause of an `error` in a run's result (`builder.contract.CascadeRun`); `log` is the run's folder."""
    text = f"Template {template}: {error['message']}"
    if error["transient"]:
        return Transient(text, retry_after=error.get("retryAfterSeconds"))
    if error["reason"] == "RegistryUnauthorized":
        return unauthorized(text)
    if error["reason"] == "FullBuildNeeded":
        return Terminal(Reason.BUILD_FORBIDDEN, text, fix=_ELSEWHERE)
    return refused(text) if error["reason"].startswith("Registry") else to_correct(text, log=log)


def to_correct(text: str, *, log: Path) -> Terminal:
    """Return the failure of a template that has to be corrected itself."""
    return Terminal(Reason.BUILD_FAILED, text, fix=f"Correct the template; the whole log is in {log}.")
