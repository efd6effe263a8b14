"""Metrics of all loops of one process, fed by what a `Reconciler` tells its observers: passes and actions.

Labels are few and bounded: the object, and words of ours. A target never is one, so that ten thousand of them make as
many series as ten. Which target lags, and why, stands in the object's status.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.api.status import Status
from controller.model.actions import Action, Adopt, Cascade, Package, Promote, Publish, Tag
from controller.model.errors import Terminal
from controller.plan.state import State, UpToDate
from controller.reconcile.result import Pass

_PASS_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STAGE_SECONDS: Final = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400)
_VERBS: Final = {
    Adopt: "verify",
    Package: "package",
    Cascade: "cascade",
    Publish: "publish",
    Promote: "promote",
    Tag: "promote",
}
"""Which verb of the builder an action runs."""


class Metrics(Collector):
    """The metrics of one process; `text` is what `/metrics` answers."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._monotonic = monotonic
        self._clock = clock
        self._objects: dict[str, ObjectMetrics] = {}
        self.pass_seconds = Histogram(
            "wsr_pass_seconds",
            "How long passes took, from the first question to the written status.",
            ["object"],
            buckets=_PASS_SECONDS,
            registry=registry,
        )
        self.targets = Gauge(
            "wsr_targets",
            "Targets by state; `all` are those that count, and the others are parts of them that may overlap.",
            ["object", "state"],
            registry=registry,
        )
        self.builder_runs = Counter(
            "wsr_builder_runs",
            "Builder runs that ended, by verb and result: done, refused (someone must change something), failed (it is tried"
            " again), superseded.",
            ["verb", "result"],
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "wsr_stage_seconds",
            "How long a release was in each state on its way from the bump to up to date.",
            ["object", "stage"],
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self.bump_seconds = Histogram(
            "wsr_bump_seconds",
            "How long releases took from the bump to up to date.",
            ["object"],
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self.api_requests = Counter(
            "wsr_api_requests",
            "Answers of the API server, by method (WATCH is a GET that stays) and HTTP status.",
            ["method", "code"],
            registry=registry,
        )
        registry.register(self)

    def of(self, key: str) -> ObjectMetrics:
        """Return what is told of the object NAMESPACE/NAME."""
        return self._objects.setdefault(key, ObjectMetrics(self, key, self._monotonic))

    def forget(self, key: str) -> None:
        """Drop the series of an object that is no more."""
        self._objects.pop(key, None)
        for metric in (self.pass_seconds, self.targets, self.stage_seconds, self.bump_seconds):
            metric.remove_by_labels({"object": key})

    def asked(self, method: str, code: int) -> None:
        """Count an answer of the API server."""
        self.api_requests.labels(method, str(code)).inc()

    def text(self) -> bytes:
        """Return all metrics in the text format, as of now."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield what changes while nothing happens."""
        ages = GaugeMetricFamily(
            "wsr_last_pass_age_seconds", "How long ago the last pass ended.", labels=["object"]
        )
        behind = GaugeMetricFamily(
            "wsr_behind_desired_seconds",
            "Since when not all targets run what is asked for; 0 when they do.",
            labels=["object"],
        )
        for key, seen in self._objects.items():
            if seen.ended is not None:
                ages.add_metric([key], self._monotonic() - seen.ended)
                since = seen.behind_since
                behind.add_metric([key], max(0.0, (self._clock() - since).total_seconds()) if since else 0.0)
        yield ages
        yield behind


@dataclass(slots=True)
class ObjectMetrics:
    """What one loop tells: give `on_pass` and `on_action` to its `Reconciler`."""

    metrics: Metrics
    key: str
    monotonic: Callable[[], float]
    ended: float | None = None
    """When the last pass ended, in monotonic seconds."""
    behind_since: datetime | None = None
    """Since when not all targets run what is asked for; None while they do."""
    _version: str | None = None
    _state: type[State] | None = None
    _since: float = 0.0
    _bumped: float | None = None
    _spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def on_pass(self, turn: Pass) -> None:
        """Take in a pass."""
        now = self.monotonic()
        self.metrics.pass_seconds.labels(self.key).observe(turn.seconds)
        self._note_stage(turn.document.spec.version, type(turn.state), now)
        self._count(turn.status)
        self.ended = now

    def on_action(self, action: Action, outcome: str | Exception | None) -> None:
        """Take in how an action ended."""
        verb = _VERBS.get(type(action))
        if verb is not None and outcome is not None:
            self.metrics.builder_runs.labels(verb, _result(outcome)).inc()

    def _count(self, status: Status) -> None:
        if (rollout := status.rollout) is not None:
            counts = rollout.model_dump(
                include={"up_to_date", "updating", "busy", "held", "unknown"}, by_alias=False
            )
            for state, count in {"all": rollout.total, **counts}.items():
                # What is not known is no zero: an alert on it would take the fleet for lost.
                self.metrics.targets.labels(self.key, state).set(math.nan if count is None else count)
        rolled_out = status.condition("RolledOut")
        is_behind = rolled_out is not None and rolled_out.status != "True"
        self.behind_since = rolled_out.last_transition_time if rolled_out and is_behind else None

    def _note_stage(self, version: str, state: type[State], now: float) -> None:
        """Add up the time in each state since a bump; what was begun before us is not known, and not told."""
        if self._version is not None and version != self._version:
            self._spent.clear()
            self._bumped = now
        elif self._state is not None:
            self._spent[self._state.__name__] += now - self._since
        self._version, self._state, self._since = version, state, now
        if state is UpToDate and self._bumped is not None:
            self.metrics.bump_seconds.labels(self.key).observe(now - self._bumped)
            for stage, seconds in self._spent.items():
                self.metrics.stage_seconds.labels(self.key, stage).observe(seconds)
            self._bumped = None


def _result(outcome: str | Exception) -> str:
    if isinstance(outcome, str):
        return "superseded" if outcome.startswith("cut off") else "done"
    return "refused" if isinstance(outcome, Terminal) else "failed"
