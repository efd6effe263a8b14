"""Takes the inventory of an image by running the image's own Python in it once: facts instead of guesses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Protocol

from builder.engine import EngineError, Finished
from builder.inventory import Inventory, NotInventoried
from builder.stages.inventory_script import AGAIN

INTERPRETERS = ("python3", "python")


class Runner(Protocol):
    """What can run a command in an image: an engine, or what has built it."""

    async def run(
        self, image: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """Run it in a container that is removed then; raises EngineError."""


async def take_inventory(runner: Runner, image: str, *, package: str, script: str) -> Inventory:
    """Return what an image holds.

    Args:
        runner: where the image is.
        image: reference or id of the image.
        package: name of the runtime's distribution.
        script: name of its console script; the interpreter in its first line is the one that counts.

    Raises:
        NotInventoried: no Python in it, or it does not answer.
        EngineError: the image is absent or the engine fails.
    """
    text = resources.files("builder.stages").joinpath("inventory_script.py").read_text()
    failures = []
    for interpreter in INTERPRETERS:
        command = [interpreter, "-B", "-c", text, package, script]
        try:
            finished = await runner.run(image, command, environment={AGAIN: text})
        except EngineError as error:
            if "executable file not found" not in str(error):
                raise
            failures.append(f"{interpreter} is not on its PATH")
            continue
        if finished.exit_code == 0:
            return Inventory.from_document(json.loads(finished.stdout))
        failures.append(
            f"{interpreter} ended with {finished.exit_code}: {finished.stderr.decode()[-400:].strip()}"
        )
    raise NotInventoried(f"Image {image} cannot be looked into: {'; '.join(failures)}.")
