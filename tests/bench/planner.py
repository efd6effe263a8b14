"""One planning pass over a fleet of 5,000: what decides and tells, without what looks and acts."""

import gc
import time
from collections.abc import Iterator

from controller.api.status import Status
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.plan import Progress
from controller.model.target import Target
from controller.plan.decide import decide
from controller.plan.state import classify
from controller.status.scope import Scope
from controller.status.summarize import summarize
from tests.bench.figures import Figure, at_most
from tests.bench.site import Site, listed, say
from tests.unit.simulator.ground import TEMPLATES, document
from tests.unit.simulator.nouns import observation, record, target
from tests.unit.simulator.virtual_time import NOON

TARGETS = 5_000
HOSTS = 50
FLEETS = {"none": 0.0, "half": 0.5, "all": 1.0}
"""How much of the fleet runs the new version."""
ROUNDS = 15
_HOW = (
    "classify, decide and summarize, one after the other, for 5,000 targets on 50 engines, {} of them at the new version,"
    " a tenth busy, maxUnavailable 25%; nothing is observed and nothing done; median"
)


def measure(site: Site) -> list[Figure]:
    """A pass at the begin of a rollout, in its middle and after its end; the middle, where most is decided, has the bar."""
    del site
    figures = []
    for name, part in FLEETS.items():
        seen = _observed(part)
        seconds = list(_passes(seen, "0.1.1"))
        say(f"planner: {name} of 5,000 rolled: {listed([each * 1000 for each in seconds])} ms")
        bar = at_most(0.05)
        figures.append(Figure.middle(f"planner.pass{'' if name == 'half' else name.capitalize()}", seconds, how=_HOW.format(name), bar=bar))  # fmt: skip
    return figures


def _observed(part: float) -> Observation:
    rolled = round(TARGETS * part)
    return observation(record("0.1.0"), record("0.1.1", verdict=None), targets=Known(tuple(_targets(rolled))))


def _targets(rolled: int) -> Iterator[Target]:
    for number in range(TARGETS):
        host = f"host-{number % HOSTS}"
        name = f"ws-{number:012x}"
        yield target(
            name,
            "0.1.1" if number < rolled else "0.1.0",
            id=f"docker/{host}/{name}",
            host=host,
            template=TEMPLATES[number % len(TEMPLATES)],
            busy=number % 10 == 0,
        )


def _passes(seen: Observation, version: str) -> Iterator[float]:
    """Yield the seconds of each pass; the first, which warms up, is not counted."""
    wanted = document(version, rollout={"maxUnavailable": "25%"})
    status = Status()
    for number in range(ROUNDS + 1):
        gc.collect()
        begun = time.perf_counter()
        state = classify(wanted, seen)
        progress = Progress()
        plan = decide(wanted, state, progress, NOON, targets=seen.targets, records=seen.records)
        scope = Scope(wanted, 1, seen, state, plan, progress)
        status = summarize(scope, status, NOON)
        if number:
            yield time.perf_counter() - begun
