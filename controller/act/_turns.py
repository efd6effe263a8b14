"""Lets a candidate answer two turns of one conversation, and judges what it did with its model on the way."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Final

from controller.clients.a2a import Agent, TurnFailed
from controller.clients.candidate import Candidate, Ended
from controller.model.errors import NotFound, Terminal, Transient
from controller.model.probe import Failed, ModelUse, ProbeOrder, ProbeReason
from controller.model_server.script import Script

_QUESTIONS: Final[Mapping[ModelUse, tuple[str, str]]] = {
    ModelUse.REQUIRED: (
        "This is a check. Please use one of your tools once, and tell me word for word what it returned.",
        "This is a check. Please tell me again, word for word, what the tool returned.",
    ),
    ModelUse.WITHOUT_TOOLS: (
        "This is a check. Please tell me a word of your own.",
        "This is a check. Please tell me that word again.",
    ),
}
_END_NOTICED_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.05
_WITHOUT_MODEL: Final = "; for an agent that has none, set templates[].probe.model: None"
_NO_TOOL: Final = (
    "offered its model no tool; for an agent that has none, set templates[].probe.model: WithoutTools"
)
_NAMED: Final = 5
"""How many tools or refused calls a message names."""


class Conversation:
    """One context of one candidate."""

    def __init__(self, candidate: Candidate, agent: Agent, order: ProbeOrder) -> None:
        self._candidate = candidate
        self._agent = agent
        self._order = order
        self._context: str | None = None

    async def turn(self, number: int) -> float:
        """Ask and judge turn 1 or 2; return its seconds.

        Raises:
            Failed: with the reason; Transient: somebody else killed the candidate, or its model does not answer.
        """
        clock = asyncio.get_running_loop().time
        begun = clock()
        model = self._candidate.model
        if model is not None:
            await model.begin(number)
        text = await self._answer(number)
        if not text.strip():
            raise Failed(ProbeReason.TURN_FAILED, f"failed turn {number} of 2: its answer is empty")
        seconds = clock() - begun
        if model is not None:
            _judge(await model.seen(), number, text)
        return seconds

    async def _answer(self, number: int) -> str:
        deadline = self._order.turn_deadline_seconds
        try:
            async with asyncio.timeout(deadline):
                answer = await self._agent.send(self._question(number), context_id=self._context)
        except TimeoutError as error:
            script = await self._seen()
            what = f"gave no answer in turn {number} of 2 within {deadline:g} s{_calls(script, number)}"
            raise Failed(ProbeReason.TIMED_OUT, what) from error
        except TurnFailed as error:
            script = await self._seen()
            wrong_key = script is not None and script.key_refused
            reason = (
                ProbeReason.BAD_CONFIGURATION if error.configuration or wrong_key else ProbeReason.TURN_FAILED
            )
            what = f"failed turn {number} of 2: {error.message}{_calls(script, number)}"
            raise Failed(reason, what) from error
        except (Transient, NotFound, Terminal) as error:
            raise await self._broken(number, error) from error
        if self._context is not None and answer.context_id != self._context:
            raise Failed(
                ProbeReason.TURN_FAILED, "failed turn 2 of 2: it did not continue the context of turn 1"
            )
        self._context = answer.context_id
        return answer.text

    def _question(self, number: int) -> str:
        if self._order.model is ModelUse.NONE:
            # A fresh word each time: no cache and no canned answer can have seen this question.
            return f"This is a check. Please repeat this word: {secrets.token_hex(8)}"
        return _QUESTIONS[self._order.model][number - 1]

    async def _seen(self) -> Script | None:
        model = self._candidate.model
        return None if model is None else await model.seen()

    async def _broken(self, number: int, error: Exception) -> Failed:
        """Tell a broken connection from a process that ended."""
        ended = await end_after_silence(self._candidate)
        code = None if ended is None else ended.exit_code
        what = str(error) if code is None else f"its process ended with exit code {code}"
        return Failed(ProbeReason.TURN_FAILED, f"failed turn {number} of 2: {what}", exit_code=code)


async def end_after_silence(candidate: Candidate) -> Ended | None:
    """Return how a candidate ended that does not answer: an engine or node notices an end a little later than we do."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _END_NOTICED_SECONDS
    while True:
        ended = (await candidate.look()).ended
        if ended is not None or clock() >= deadline:
            return ended
        await asyncio.sleep(_PAUSE_SECONDS)


def _calls(script: Script | None, number: int) -> str:
    """Return what is known of the model's side of a turn that failed."""
    if script is None:
        return ""
    none = "" if script.calls[number] else "; its model had got no call"
    return f"{none}{_refusals(script)}"


def _judge(script: Script, number: int, answer: str) -> None:
    """Hold the turn to what its model saw and said.

    Raises:
        Failed: the model was not asked, no tool was run for it, or the conversation did not go on.
    """
    if script.calls[number] == 0:
        what = f"answered turn {number} of 2 without a call of its model"
        if script.key_refused:
            raise Failed(ProbeReason.BAD_CONFIGURATION, f"{what}{_refusals(script)}")
        raise Failed(ProbeReason.NO_MODEL_CALL, f"{what}{_refusals(script)}{_WITHOUT_MODEL}")
    if number == 1 and script.tools and not script.tool_results:
        offered = _some(sorted(script.offered))
        what = f"offered its model {offered}, and none of them gave a word back" if offered else _NO_TOOL
        raise Failed(ProbeReason.NO_TOOL_USE, f"in turn 1 of 2 {what}")
    if number == 2 and script.nonce not in answer:  # noqa: PLR2004 -- the turns are numbered
        why = (
            "its answer leaves out what its model said"
            if script.recalled
            else "its model was not sent it again"
        )
        raise Failed(
            ProbeReason.FORGOT_CONVERSATION, f"did not repeat in turn 2 of 2 what turn 1 had brought: {why}"
        )


def _refusals(script: Script) -> str:
    if script.key_refused:
        return "; its model refused the key that it sent"
    return f"; its model refused {_some(script.refused)}" if script.refused else ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
