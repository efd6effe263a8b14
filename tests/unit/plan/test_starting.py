"""What waits for an approval or for a window, what does not, and what people are told meanwhile."""

from datetime import datetime, timedelta
from typing import Any

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.actions import Action, Replace
from controller.model.observed import Known
from controller.model.plan import Plan, Progress
from controller.model.record import ReleaseRecord
from controller.model.target import Phase, Target
from controller.plan.decide import decide
from controller.plan.delivery import Delivery
from controller.plan.fleet import sort_fleet
from controller.plan.starting import approval_hash
from controller.plan.state import Held, Outstanding, Stale, State, Unbuilt, Unpromoted, Unpublished, UpToDate
from tests.unit.simulator.ground import document, sha
from tests.unit.simulator.nouns import image, record, succession, target, template_record, verdict
from tests.unit.simulator.shared import asked as of_others
from tests.unit.simulator.virtual_time import NOON

WANTED = record("0.1.1", verdict=None)
NEW = record("0.1.1", verdict=None, published_time=None)
FAILED = record("0.1.1", verdict=verdict("Failed", reason="RolloutFailed"))
APPROVAL = {"maxUnavailable": 9, "approval": "Required"}
AT_TWO = {"maxUnavailable": 9, "windows": [{"start": "14:00", "end": "15:00"}]}
TWO = NOON + timedelta(hours=2)


def asked(rollout: dict[str, Any], **annotations: str) -> WorkspaceRuntime:
    named = {f"runtime.molecule.ai/{name}": value for name, value in annotations.items()}
    return document("0.1.1", annotations=named, rollout=rollout)


def plan(wanted: WorkspaceRuntime, state: State, now: datetime = NOON, *, of: ReleaseRecord = WANTED) -> Plan:
    return decide(wanted, state, Progress(), now, records=Known({of.version: of}))


def kinds(actions: tuple[Action, ...]) -> list[str]:
    return [type(action).__name__ for action in actions]


def goes(made: Plan) -> list[str]:
    return [each.target.rsplit("/", 1)[1] for each in made.actions if isinstance(each, Replace)]


def stale(*targets: Target, of: ReleaseRecord = WANTED) -> Stale:
    return Stale(of, sort_fleet(of, targets))


def approved(rollout: dict[str, Any] = APPROVAL, of: ReleaseRecord = WANTED) -> WorkspaceRuntime:
    return asked(rollout, approve=approval_hash(asked(rollout), of))


def test_nothing_is_published_or_tagged_before_somebody_approves_it() -> None:
    state = Unpublished(NEW, ("echo",))
    waits = plan(asked(APPROVAL), state, of=NEW)
    assert waits.actions == ()
    assert waits.stop is not None
    wanted = approval_hash(asked(APPROVAL), NEW)
    assert (waits.stop.reason, waits.stop.hash) == (Reason.AWAITING_APPROVAL, wanted)
    assert waits.stop.message == f"Version 0.1.1 has passed the gate and waits for approval of {wanted}."
    assert waits.patience == timedelta(0), "only somebody else can bring it on"
    assert kinds(plan(approved(of=NEW), state, of=NEW).actions) == ["Tag", "Publish"]
    assert plan(approved(of=NEW), state, of=NEW).stop is None


def test_a_version_that_is_public_is_not_rolled_out_or_promoted_before_somebody_approves_it() -> None:
    assert goes(plan(asked(APPROVAL), stale(target(version="0.1.0")))) == []
    assert goes(plan(approved(), stale(target(version="0.1.0")))) == ["ws-1"]
    promoting = Unpromoted(WANTED, sort_fleet(WANTED, ()), ("echo",))
    assert plan(asked(APPROVAL), promoting).actions == ()
    assert kinds(plan(approved(), promoting).actions) == ["Promote"]


def test_where_nothing_is_to_be_done_nobody_is_asked() -> None:
    assert plan(asked(APPROVAL), UpToDate(WANTED, sort_fleet(WANTED, [target()]))).stop is None


def test_what_leads_to_the_gate_needs_no_approval() -> None:
    builds = Unbuilt(NEW, ())
    assert plan(asked(APPROVAL), builds, of=NEW).stop is None


def test_another_wheel_image_or_rollout_is_asked_for_anew_and_other_targets_are_not() -> None:
    of = approval_hash
    same = of(asked(APPROVAL), WANTED)
    assert of(asked(APPROVAL), record("0.1.1")) == same, "a verdict is none of it"
    assert of(asked(APPROVAL), record("0.1.2", verdict=None)) != same
    other = WANTED.wheel.model_copy(update={"sha256": sha("another wheel")})
    assert of(asked(APPROVAL), WANTED.model_copy(update={"wheel": other})) != same
    rebuilt = template_record("0.1.1", "echo", image_id=image("0.1.1", "another"))
    assert of(asked(APPROVAL), WANTED.with_template("echo", rebuilt)) != same
    assert of(asked({**APPROVAL, "maxUnavailable": 1}), WANTED) != same
    late = plan(asked({**APPROVAL, "maxUnavailable": 1}, approve=same), stale(target(version="0.1.0")))
    assert late.stop is not None, "another hash was approved"


def test_an_image_that_has_not_passed_the_gate_is_not_what_is_approved() -> None:
    before = approval_hash(asked(APPROVAL), WANTED)
    newer = template_record(
        "0.1.1", "echo", image_id=image("0.1.1", "x"), proven=False, previous=WANTED.templates["echo"]
    )
    assert approval_hash(asked(APPROVAL), WANTED.with_template("echo", newer)) == before


def test_outside_of_windows_nothing_begins_and_the_next_opening_is_slept_to() -> None:
    waits = plan(asked(AT_TWO), stale(target("ws-1", "0.1.0")))
    assert (waits.actions, waits.patience) == ((), None)
    assert waits.stop is not None
    assert (waits.stop.reason, waits.stop.until) == (Reason.OUTSIDE_WINDOW, TWO)
    assert waits.stop.message == "no window is open, the next one opens at 2026-05-01T14:00:00Z"
    shortly = plan(asked(AT_TWO), stale(target("ws-1", "0.1.0")), TWO - timedelta(seconds=5))
    assert shortly.look_again == TWO
    assert goes(plan(asked(AT_TWO), stale(target("ws-1", "0.1.0")), TWO)) == ["ws-1"]


def test_what_was_begun_is_finished_outside_of_windows_and_without_approval() -> None:
    begun = target("ws-1", "0.1.0", succession=succession(Phase.SWITCHING))
    other = target("ws-2", "0.1.0", succession=succession(Phase.PREPARED, "0.1.2"))
    state = stale(begun, other, target("ws-3", "0.1.0"))
    for rollout in (AT_TWO, APPROVAL):
        made = plan(asked(rollout), state)
        assert goes(made) == ["ws-1", "ws-2"]
        images = [each.image_id for each in made.actions if isinstance(each, Replace)]
        assert images == [image("0.1.1", "echo"), None], "it ends with what it was begun with"


def test_a_reason_to_override_opens_the_windows() -> None:
    urgent = asked(AT_TWO, override="CVE-2026-1")
    made = plan(urgent, stale(target("ws-1", "0.1.0")))
    assert (goes(made), made.stop) == (["ws-1"], None)


def test_publication_waits_for_no_window_and_a_rollback_for_nothing() -> None:
    assert kinds(plan(asked(AT_TWO), Unpublished(NEW, ("echo",)), of=NEW).actions) == ["Tag", "Publish"]
    fleet = sort_fleet(record(), [target("ws-1", "0.1.1")], only_running=FAILED)
    for rollout in (AT_TWO, APPROVAL):
        back = plan(asked(rollout), Held("RolloutFailed", "…", record(), fleet, ("echo",)))
        assert kinds(back.actions) == ["Promote", "Replace"]


def test_an_approval_is_asked_for_before_a_window_is_waited_for() -> None:
    both = plan(asked(AT_TWO | APPROVAL), stale(target("ws-1", "0.1.0")))
    assert both.stop is not None
    assert both.stop.reason == Reason.AWAITING_APPROVAL


def test_nobody_is_told_to_build_an_image_of_what_is_not_approved() -> None:
    theirs = of_others()
    spec = theirs.spec.model_copy(update={"rollout": asked(APPROVAL).spec.rollout})
    wanted = theirs.model_copy(update={"spec": spec})
    due = Delivery("greeter", dispatch=theirs.spec.templates[1].build.dispatch)
    state = Unpromoted(WANTED, sort_fleet(WANTED, ()), ("echo",), outstanding=Outstanding((due,)))
    assert kinds(plan(theirs, state).actions) == ["Dispatch", "Promote"]
    assert plan(wanted, state).actions == ()
