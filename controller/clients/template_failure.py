"""What it means that a builder run made no image of a template: only some failures are for whoever keeps the template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from controller.api.conditions import Reason
from controller.clients.registry import refused, unauthorized
from controller.model.errors import Problem, Terminal, Transient

FULL_BUILD_NEEDED: Final = "FullBuildNeeded"
"""The reason of a run that may build nothing in full."""
ELSEWHERE: Final = (
    "Build it where there is a Docker Engine (wsr run with the same registry.artifacts), or let its own repository do it"
    " with strategy Dispatch."
)
_BASE: Final = (
    "Correct FROM in the template's Dockerfile, or its argument in build.args, or name a Secret that may read it in"
    " registry.pullSecretName."
)
_NODES: Final = (
    "Allow it on the nodes: a seccomp profile that lets unshare pass (fullBuilds.seccompProfile of the chart), and a kernel"
    " with user namespaces for everybody."
)


def failure_of(template: str, error: Mapping[str, Any], *, log: Path) -> Problem:
    """Return the cause of an `error` in a run's result (`builder.contract.CascadeRun`); `log` is the run's folder."""
    text = f"Template {template}: {error['message']}"
    if error["transient"]:
        return Transient(text, retry_after=error.get("retryAfterSeconds"))
    if error["reason"] == "RegistryUnauthorized":
        return unauthorized(text)
    if error["reason"] == "BaseUnavailable":
        return Terminal(Reason.BUILD_FAILED, text, fix=_BASE)
    if error["reason"] == FULL_BUILD_NEEDED:
        return Terminal(
            Reason.BUILD_FORBIDDEN, text, fix=f"Set fullBuilds.enabled in the operator's chart. {ELSEWHERE}"
        )
    if error["reason"] == "BuildForbidden":
        said = f"Template {template}: It has to be built in full, and the node lets no user namespace be made: {error['message']}"
        return Terminal(Reason.BUILD_FORBIDDEN, f"{said.rstrip('.')}.", fix=f"{_NODES} {ELSEWHERE}")
    return refused(text) if error["reason"].startswith("Registry") else to_correct(text, log=log)


def to_correct(text: str, *, log: Path) -> Terminal:
    """Return the failure of a template that has to be corrected itself."""
    return Terminal(Reason.BUILD_FAILED, text, fix=f"Correct the template; the whole log is in {log}.")
