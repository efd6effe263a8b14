"""Reads the folders that things are built from: what they hold now, as one digest each."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from builder.contract import read_template_inputs, tree_sha256
from controller.api.conditions import Reason
from controller.model.observed import Known, Observed, Unknown
from controller.model.record import TemplateInputs


async def read_source(directory: Path, *, now: datetime) -> Observed[str]:
    """Return the digest of the runtime's source folder; Unknown with the first refusal when it cannot be built."""
    try:
        return Known(await asyncio.to_thread(tree_sha256, directory))
    except (OSError, ValueError) as error:
        # Only a refusal of the folder as a whole names it; the others name files in it.
        where = f"{directory}: "
        message = f"{where}{str(error).removeprefix(where)}".rstrip(".")
        return Unknown(
            f"{message}. Correct spec.source.directory, or what is in it.", now, Reason.SOURCE_REFUSED
        )


async def read_template(
    directory: Path, build_args: Mapping[str, str], *, now: datetime
) -> Observed[TemplateInputs]:
    """Return what a template's folder and build arguments hold."""
    try:
        if not (directory / "Dockerfile").is_file():
            return Unknown(f"{directory} holds no Dockerfile", now)
        found = await asyncio.to_thread(read_template_inputs, directory, build_args)
        return Known(TemplateInputs(**dataclasses.asdict(found)))
    except OSError as error:
        return Unknown(f"{directory}: {error.strerror}", now)
