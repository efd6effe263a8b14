"""A template with a dependency of its own: it counts what was said, in words."""

from collections.abc import AsyncIterator

from molecule_runtime.adapters import BaseAdapter
from molecule_runtime.adapters.base import Turn


class GreeterAdapter(BaseAdapter):
    """Greets, and says how often it was spoken to in this conversation."""

    name = "greeter"

    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message."""
        # Left to the first turn, as adapters do whose frameworks take minutes to import: the workspace is ready sooner.
        import humanize  # noqa: PLC0415
        from molecule_runtime.adapters.base import Exchange  # noqa: PLC0415

        said = [*turn.history, Exchange(user=turn.text, agent="")]
        yield f"Hello! This is the {humanize.ordinal(len(said))} thing you tell me: "
        yield said[-1].user


Adapter = GreeterAdapter
