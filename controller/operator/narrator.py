"""Tells what becomes of an object: log lines for whoever runs the operator, events where the status turns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from controller.api.conditions import ConditionType, Reason
from controller.api.status import Status
from controller.model.actions import Action
from controller.model.errors import Problem, Waiting
from controller.operator.store import Superseded
from controller.operator.vitals import Vitals
from controller.plan.gate import FAILURES
from controller.reconcile.result import Pass
from controller.telemetry.log import FACTS

LOG: Final = logging.getLogger("controller.operator")
_FAILING: Final = FAILURES | {Reason.ROLLING_BACK}
"""What has failed may be told before all else has come to its end, and long before nothing moves any more."""
_STAGES: Final = (ConditionType.PUBLISHED, ConditionType.IMAGES_BUILT, ConditionType.ROLLED_OUT)


@dataclass(frozen=True, slots=True)
class News:
    """An event about an object: `type` as Kubernetes has it, reason and message those of a condition."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Narrator:
    """Tells of one object, `key`; `post` takes events, and `redacted` takes what is secret out of them."""

    key: str
    vitals: Vitals
    redacted: Callable[[str], str]
    post: Callable[[News], None]

    def on_pass(self, turn: Pass) -> None:
        """Take note of a sign of life."""
        del turn
        self.vitals.looked(self.key)

    def on_action(self, action: Action, outcome: str | Exception | None) -> None:
        """Log that an action starts, ended well, waits, or failed."""
        kind = type(action).__name__
        facts = {"object": self.key, "actionKey": action.key, "reason": action.reason}
        if outcome is None:
            self._log(logging.INFO, f"Beginning {kind}", facts)
        elif isinstance(outcome, str):
            self._log(logging.INFO, f"Ended {kind}: {outcome}", facts)
        elif isinstance(outcome, Waiting):
            self._log(logging.INFO, f"Delayed {kind}: {outcome}", facts)
        elif isinstance(outcome, Problem):
            self._log(logging.WARNING, f"Failed {kind}: {outcome}", facts)
        else:
            self._log(logging.ERROR, f"Failed {kind} by a bug: {outcome}", facts, error=outcome)

    def on_trouble(self, error: Exception) -> None:
        """Log what keeps a pass from being made."""
        self.vitals.looked(self.key)
        if isinstance(error, Superseded):
            return
        bug = None if isinstance(error, Problem) else error
        self._log(
            logging.ERROR if bug else logging.WARNING, f"Trying again: no pass was made: {error}", error=bug
        )

    def on_write(self, before: Status, after: Status) -> None:
        """Log and post what turned."""
        for news in turns(before, after):
            self._log(logging.INFO, f"Turning to {news.reason}: {news.message}")
            self.post(News(news.type, news.reason, self.redacted(news.message)))

    def say(self, line: str) -> None:
        """Log a line of progress."""
        self._log(logging.INFO, line)

    def _log(
        self,
        level: int,
        message: str,
        facts: Mapping[str, str] | None = None,
        *,
        error: BaseException | None = None,
    ) -> None:
        LOG.log(level, message, exc_info=error, extra={FACTS: facts or {"object": self.key}})


def turns(before: Status, after: Status) -> Iterator[News]:
    """Yield the events of one write: the summary's when its status or reason changed, a stage's when it became true.

    What is true at the first sight of a status is no transition, and an object that was never looked at has no news.
    """
    ready, was = after.condition(ConditionType.READY), before.condition(ConditionType.READY)
    if was is None:
        return
    for type_ in _STAGES:
        stage, earlier = after.condition(type_), before.condition(type_)
        became = stage is not None and stage.status == "True"
        if stage is not None and became and (earlier is None or earlier.status == "False"):
            yield News("Normal", stage.reason, stage.message)
    if ready is not None and (ready.status, ready.reason) != (was.status, was.reason):
        alarming = ready.reason in _FAILING or after.condition(ConditionType.STALLED) is not None
        yield News("Warning" if alarming else "Normal", ready.reason, ready.message)
