"""CrewAI's model on the workspace's event loop, so that a cancelled turn lets go of its endpoint.

CrewAI asks its model in a thread, and a thread cannot be interrupted in the middle of a request.
"""

import asyncio
from concurrent.futures import Future
from typing import Any

from molecule_runtime.adapters.speech import Speech
from pydantic import PrivateAttr

from crewai.llms.providers.openai.completion import OpenAICompletion


class InterruptibleModel(OpenAICompletion):
    """The model of one turn."""

    _loop: asyncio.AbstractEventLoop = PrivateAttr()
    _speech: Speech = PrivateAttr()
    _asked: "Future[Any] | None" = PrivateAttr(default=None)
    _interrupted: bool = PrivateAttr(default=False)
    _speaking: str | None = PrivateAttr(default=None)

    def attach(self, loop: asyncio.AbstractEventLoop, speech: Speech) -> None:
        """Say where to ask the endpoint, and who takes what it says."""
        self._loop, self._speech = loop, speech

    def call(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- as CrewAI declares it
        """Ask the endpoint, from a thread.

        Raises:
            concurrent.futures.CancelledError: the turn was cancelled.
        """
        asked = asyncio.run_coroutine_threadsafe(self.acall(*arguments, **options), self._loop)
        self._asked = asked
        if self._interrupted:
            asked.cancel()
        return asked.result()

    def hear(self, text: str, call_id: str | None) -> None:
        """Take a piece of what it says; messages of one turn are parted."""
        if text:
            self._speech.say(text if self._speaking in {None, call_id} else f"\n\n{text}")
            self._speaking = call_id

    def interrupt(self) -> None:
        """End what is being asked, and answer nothing more."""
        self._interrupted = True
        if self._asked is not None:
            self._asked.cancel()
