"""`wsr`: one module per verb, loaded only when it is asked for, so that `--help` and refusals are instant."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Final

import click

from controller.cli.output import exit_code

VERBS: Final = {
    "adapter": "Begin a template, and try one as the gate does.",
    "approve": "Let go out what has passed the gate.",
    "build": "Write the build tree of the runtime package.",
    "bump": "Write another version into the one line that holds it.",
    "history": "Show which versions were asked for, and what became of them.",
    "hold": "Hold an object or targets until they are resumed.",
    "image": "Print the image that a new workspace should use.",
    "plan": "Show what a run would do and why; touch nothing.",
    "refresh": "Pull current images, recreate what runs an old one.",
    "release": "Say which version of the runtime comes next, and tag it.",
    "resume": "Let go on what was held, or a version that failed.",
    "rollback": "Go back from the version that is asked for.",
    "run": "Bring what runs to what the document asks for.",
    "status": "Show what is true, and why.",
    "verify": "Prove a wheel: its bytes, a clean install, a boot, two turns.",
    "why": "Show what one target runs and where it came from.",
}
"""Each verb is the command of its name in the module of its name; the help of all needs none of them."""
_OBJECTS_BETWEEN_LOOKS: Final = 50_000


class _Verbs(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the alphabet."""
        del ctx
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a verb, or None for a word that is none."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command = getattr(importlib.import_module(f"controller.cli.{cmd_name}"), cmd_name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl(sorted(VERBS.items()))


@click.command(cls=_Verbs)
@click.version_option(package_name="workspace-runtime-controller", prog_name="wsr")
def wsr() -> None:
    """Keep agent workspaces on the runtime version they are asked to run.

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 not yet.
    """


def main() -> None:
    """Run `wsr` and leave with its exit code."""
    # What is imported is no garbage: looking for it every 700 objects takes a tenth of the time of a verb.
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)
    sys.exit(exit_code(wsr))
