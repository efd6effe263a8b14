"""An adapter without a framework: it proves that a workspace boots, answers, remembers and drains.

What it answers:

- `recall` quotes what was said before in the conversation, or says that nothing was.
- `sleep SECONDS: MESSAGE` works for that long, then answers MESSAGE. It makes a workspace busy on purpose.
- Any other message is echoed, word by word when the caller streams.
"""

import asyncio
import re
from collections.abc import AsyncIterator

from adapters.base import BaseAdapter, Turn

MAX_SLEEP_SECONDS = 3600.0

_SLEEP = re.compile(r"\s*sleep\s+(\d+(?:\.\d+)?)\s*:\s*", re.IGNORECASE)


class EchoAdapter(BaseAdapter):
    """Answers with what it was told."""

    name = "echo"

    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer as the module's text says."""
        text = turn.text
        if sleep := _SLEEP.match(text):
            await asyncio.sleep(min(float(sleep[1]), MAX_SLEEP_SECONDS))
            text = text[sleep.end() :]
        answer = _recall(turn) if text.strip().lower() == "recall" else f"echo: {text}"
        for chunk in re.findall(r"\S+\s*|\s+", answer):
            yield chunk


def _recall(turn: Turn) -> str:
    if not turn.history:
        return "nothing was said before in this conversation"
    return "you said before: " + "; ".join(exchange.user for exchange in turn.history)


Adapter = EchoAdapter
