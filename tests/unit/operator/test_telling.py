"""What is told of an object: a status that keeps its invariants, events where it turns, and a log without secrets."""

import json
import logging
from datetime import timedelta

from controller.api.status import Status
from controller.model.errors import Terminal
from controller.operator.inbox import Inbox
from controller.operator.narrator import News, turns
from controller.operator.store import difference
from controller.operator.vitals import Vitals
from controller.status.invariants import broken
from controller.status.unread import first_seen, refused
from controller.telemetry.log import FACTS, JsonLines
from tests.unit.operator.documents import whole
from tests.unit.simulator.virtual_time import NOON

REFUSAL = Terminal("Invalid", "spec.version: is none.", fix="Write one.")


def ready(status: Status) -> tuple[str, str, str]:
    condition = status.condition("Ready")
    assert condition is not None
    return condition.status, condition.reason, condition.message


def stuck(vitals: Vitals) -> tuple[str, ...]:
    return vitals.stuck


def is_ready(vitals: Vitals) -> bool:
    return vitals.ready


def test_an_object_that_was_never_looked_at_is_under_way_and_breaks_no_invariant() -> None:
    status = first_seen(3, NOON)
    assert broken(status) == []
    assert ready(status) == ("Unknown", "Pending", "Nothing was looked at yet.")
    assert status.is_true("Reconciling")
    assert status.observed_generation == 3


def test_a_refused_object_is_stalled_with_the_words_of_the_refusal_and_keeps_what_is_known() -> None:
    known = first_seen(1, NOON).model_copy(update={"last_known_good": "0.1.0"})
    status = refused(known, 2, REFUSAL, annotations={"runtime.molecule.ai/requested-at": "now"}, now=NOON)
    assert broken(status) == []
    assert ready(status) == ("False", "Invalid", "spec.version: is none. Write one.")
    assert status.is_true("Stalled")
    assert status.condition("Reconciling") is None
    assert (status.last_known_good, status.last_handled_reconcile_at) == ("0.1.0", "now")


def test_a_refusal_that_lasts_is_the_same_status_at_every_look() -> None:
    status = refused(Status(), 2, REFUSAL, annotations={}, now=NOON)
    assert refused(status, 2, REFUSAL, annotations={}, now=NOON + timedelta(hours=1)) == status


def test_an_event_tells_a_turn_of_the_summary_or_a_stage_that_came_true_and_nothing_else() -> None:
    seen = first_seen(1, NOON)
    assert list(turns(Status(), seen)) == []
    stalled = refused(seen, 1, REFUSAL, annotations={}, now=NOON)
    assert list(turns(seen, stalled)) == [News("Warning", "Invalid", "spec.version: is none. Write one.")]
    assert list(turns(stalled, stalled)) == []
    published = stalled.condition("Published")
    assert published is not None
    pending = stalled.model_copy(
        update={"conditions": (*stalled.conditions[:1], published.model_copy(update={"status": "False"}))}
    )
    done = published.model_copy(update={"status": "True", "reason": "Served", "message": "It is served."})
    assert list(
        turns(pending, stalled.model_copy(update={"conditions": (*stalled.conditions[:1], done)}))
    ) == [News("Normal", "Served", "It is served.")]


def test_a_failure_is_a_warning_also_while_work_goes_on() -> None:
    seen = first_seen(1, NOON)
    was = seen.condition("Ready")
    assert was is not None
    failed = was.model_copy(update={"status": "False", "reason": "GateFailed", "message": "It did not boot."})
    others = tuple(each for each in seen.conditions if each.type != "Ready")
    now = seen.model_copy(update={"conditions": (failed, *others)})
    assert now.is_true("Reconciling")
    assert list(turns(seen, now)) == [News("Warning", "GateFailed", "It did not boot.")]


def test_a_status_is_written_as_its_difference() -> None:
    before = {"same": 1, "gone": 2, "inner": {"same": 1, "gone": 2}, "list": [1, 2]}
    after = {"same": 1, "inner": {"same": 1, "new": 3}, "list": [2], "new": {"x": 1}}
    assert difference(before, after) == {
        "gone": None,
        "inner": {"gone": None, "new": 3},
        "list": [2],
        "new": {"x": 1},
    }
    assert difference(after, after) == {}


def test_a_line_of_the_log_is_json_without_what_is_secret() -> None:
    formatter = JsonLines(lambda: {"hunter22"})
    record = logging.LogRecord("x", logging.INFO, "x", 1, "Asking with %s", ("hunter22",), None)
    setattr(record, FACTS, {"object": "molecule/runtime", "reason": "token=abcdef"})
    line = json.loads(formatter.format(record))
    assert line.pop("time")
    assert line == {
        "level": "info",
        "message": "Asking with ***",
        "object": "molecule/runtime",
        "reason": "token=***",
    }


def test_an_edit_is_news_and_a_new_status_is_none() -> None:
    inbox = Inbox(whole())
    told = whole()
    told["metadata"]["resourceVersion"] = "11"
    inbox.put({**told, "status": {"observedGeneration": 1}})
    assert not inbox.changed.is_set()
    edited = whole(version="0.1.1")
    edited["metadata"] |= {"generation": 2, "resourceVersion": "12"}
    inbox.put(edited)
    assert inbox.changed.is_set()
    inbox.put(told)
    assert inbox.latest is edited, "what is older comes too late"
    stranger = whole()
    stranger["metadata"] |= {"uid": "two", "resourceVersion": "13"}
    inbox.put(stranger)
    assert inbox.latest is edited, "another object of that name is another object"


def test_an_operator_is_alive_as_long_as_every_object_is_looked_at_or_waits_for_somebody() -> None:
    now = [0.0]
    vitals = Vitals(clock=lambda: now[0])
    vitals.looked("molecule/a")
    vitals.rests("molecule/b")
    now[0] = 179.0
    assert stuck(vitals) == ()
    now[0] = 181.0
    assert stuck(vitals) == ("molecule/a",)
    assert vitals.pass_age_seconds == 181.0
    vitals.looked("molecule/a")
    assert stuck(vitals) == ()
    vitals.looked("molecule/b")
    now[0] = 400.0
    vitals.forget("molecule/a")
    assert stuck(vitals) == ("molecule/b",)


def test_a_standby_is_ready_while_the_api_server_answers_it() -> None:
    now = [0.0]
    vitals = Vitals(clock=lambda: now[0])
    assert not is_ready(vitals)
    vitals.answered()
    now[0] = 179.0
    assert is_ready(vitals)
    now[0] = 181.0
    assert not is_ready(vitals)
    vitals.leading = True
    assert is_ready(vitals)
