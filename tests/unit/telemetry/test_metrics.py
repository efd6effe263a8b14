"""What `/metrics` says of a rollout, read as a Prometheus reads it: in seconds, by object and word, never by target."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.model.actions import Package, Publish
from controller.model.errors import Terminal, Transient
from controller.telemetry.metrics import Metrics
from tests.unit.simulator.ground import Life, life
from tests.unit.simulator.virtual_time import now, run, seconds

KEY = "default/molecule-runtime"


Labels = tuple[tuple[str, str], ...]


def samples(metrics: Metrics) -> dict[str, dict[Labels, float]]:
    """All that is told, by name and labels."""
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name][tuple(sorted(labels.items()))]


def by(metrics: Metrics, name: str, label: str) -> dict[str, float]:
    """The values of a metric by one of its labels."""
    return {dict(labels)[label]: value for labels, value in samples(metrics)[name].items()}


async def rolled(whole: Life, metrics: Metrics, *, busy: str = "") -> None:
    """0.1.0 runs everywhere, unseen by the metrics; then 0.1.1 is asked for and rolled out before their eyes."""
    await whole.live()
    observer = metrics.of(KEY)
    whole.on_pass, whole.on_action = observer.on_pass, observer.on_action
    await whole.live()
    if busy:
        whole.world.machine.boxes[busy].work.append((seconds(), 1e9))
    whole.store.edit(version="0.1.1")
    async with asyncio.timeout(86_400):
        await whole.live()


def test_a_rollout_is_told_stage_by_stage_and_the_stages_add_up_to_the_whole() -> None:
    metrics = Metrics(monotonic=seconds, clock=now)

    async def play() -> None:
        await rolled(life(4), metrics)
        stages = by(metrics, "wsr_stage_seconds_sum", "stage")
        assert list(stages) == ["Absent", "Unbuilt", "Unproven", "Unpublished", "Stale", "Unpromoted"]
        whole = value(metrics, "wsr_bump_seconds_sum", object=KEY)
        assert whole > 10
        assert sum(stages.values()) == pytest.approx(whole)
        assert value(metrics, "wsr_bump_seconds_count", object=KEY) == 1
        runs = by(metrics, "wsr_builder_runs_total", "verb")
        assert runs == {"package": 1, "cascade": 1, "publish": 1, "promote": runs["promote"]}

    run(play())


def test_the_age_of_the_last_pass_grows_while_nothing_happens() -> None:
    metrics = Metrics(monotonic=seconds, clock=now)

    async def play() -> None:
        await rolled(life(2), metrics)
        assert value(metrics, "wsr_last_pass_age_seconds", object=KEY) == 0
        await asyncio.sleep(600)
        assert value(metrics, "wsr_last_pass_age_seconds", object=KEY) == 600
        assert value(metrics, "wsr_behind_desired_seconds", object=KEY) == 0

    run(play())


def test_a_target_that_stays_busy_leaves_the_fleet_behind_and_has_no_series_of_its_own() -> None:
    metrics = Metrics(monotonic=seconds, clock=now)

    async def play() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rolled(life(4), metrics, busy="docker/local/ws-3"), 3_600)
        assert value(metrics, "wsr_behind_desired_seconds", object=KEY) > 3_000
        counts = [value(metrics, "wsr_targets", object=KEY, state=state) for state in ("all", "up_to_date")]
        assert counts == [4, 3]
        assert "ws-3" not in metrics.text().decode()

    run(play())


def test_runs_are_counted_by_verb_and_result() -> None:
    metrics = Metrics()
    observer = metrics.of(KEY)
    publish = Publish("0.1.1", "a" * 64, "")
    outcomes: list[str | Exception | None] = [
        None, "done", Terminal("IndexRefused", "No.", fix="Ask."), Transient("later"), RuntimeError("a bug"),
        "cut off: nobody wants it any more",
    ]  # fmt: skip
    for outcome in outcomes:
        observer.on_action(publish, outcome)
    observer.on_action(Package("0.1.1", "b" * 64, ""), "done")
    results = {"done": 1.0, "refused": 1.0, "failed": 2.0, "superseded": 1.0}
    for result, count in results.items():
        assert value(metrics, "wsr_builder_runs_total", verb="publish", result=result) == count
    assert value(metrics, "wsr_builder_runs_total", verb="package", result="done") == 1
    assert len(samples(metrics)["wsr_builder_runs_total"]) == 5


def test_an_object_that_is_gone_has_no_series_any_more_and_others_keep_theirs() -> None:
    metrics = Metrics(monotonic=seconds, clock=now)

    async def play() -> None:
        await rolled(life(2), metrics)
        metrics.of("other/one").on_pass  # noqa: B018 -- it was seen, and had no pass yet
        metrics.forget(KEY)
        metrics.asked("WATCH", 200)
        assert KEY not in metrics.text().decode()
        assert value(metrics, "wsr_api_requests_total", method="WATCH", code="200") == 1

    run(play())


def test_every_name_has_its_unit_and_every_metric_says_what_it_is() -> None:
    metrics = Metrics()
    families = list(text_string_to_metric_families(metrics.text().decode()))
    assert {family.name for family in families} == {
        "wsr_pass_seconds",
        "wsr_last_pass_age_seconds",
        "wsr_behind_desired_seconds",
        "wsr_targets",
        "wsr_builder_runs",
        "wsr_stage_seconds",
        "wsr_bump_seconds",
        "wsr_api_requests",
    }
    assert [family.name for family in families if not family.documentation.endswith(".")] == []
