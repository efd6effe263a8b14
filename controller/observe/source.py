"""Reads the sources that things are built from: what they hold now, as one digest each."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime

from builder.contract import read_template_inputs, tree_sha256
from controller.api.conditions import Reason
from controller.api.v1alpha1 import Build, Source
from controller.clients.checkouts import Checkouts
from controller.model.observed import Known, Observed, Unknown
from controller.model.template_record import TemplateInputs


async def read_source(checkouts: Checkouts, source: Source, version: str, *, now: datetime) -> Observed[str]:
    """Return the digest of the runtime's source; Unknown with the first refusal when it cannot be built.

    Raises as `Checkouts.look`.
    """
    found = await checkouts.look(source, version)
    try:
        return Known(await asyncio.to_thread(tree_sha256, found.folder))
    except (OSError, ValueError) as error:
        # Only a refusal of the folder as a whole names it; the others name files in it.
        message = f"{found.name}: {str(error).removeprefix(f'{found.folder}: ')}".rstrip(".")
        where = "spec.source.directory" if source.git is None else "spec.source.git"
        return Unknown(f"{message}. Correct {where}, or what is in it.", now, Reason.SOURCE_REFUSED)


async def read_template(
    checkouts: Checkouts, build: Build, version: str, *, now: datetime
) -> Observed[TemplateInputs]:
    """Return what a template's folder and build arguments hold; raises as `Checkouts.look`."""
    found = await checkouts.look(build, version)
    try:
        if not (found.folder / "Dockerfile").is_file():
            return Unknown(f"{found.name} holds no Dockerfile", now)
        inputs = await asyncio.to_thread(read_template_inputs, found.folder, build.args)
        return Known(TemplateInputs(**dataclasses.asdict(inputs)))
    except OSError as error:
        return Unknown(f"{found.name}: {error.strerror}", now)
