"""An image that somebody deleted is told where it is missed, and nothing is asked of it any more."""

from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.plan import Progress
from controller.plan.state import UpToDate, classify
from controller.status.scope import Scope
from controller.status.summarize import summarize
from tests.unit.plan.test_held_back import OURS, left_out_world, with_one_in_use
from tests.unit.simulator.nouns import target
from tests.unit.simulator.shared import IMAGE, NEW, asked, planned, seen
from tests.unit.simulator.virtual_time import NOON


def told(wanted: WorkspaceRuntime, world: Observation) -> Status:
    scope = Scope(wanted, 1, world, classify(wanted, world), planned(wanted, world), Progress())
    return summarize(scope, Status(), NOON)


def test_an_image_of_a_template_that_stays_behind_is_told_when_it_was_deleted_and_stalls_nothing() -> None:
    wanted = asked("AllowFailure", **OURS)
    earlier = left_out_world(**{f"{IMAGE}:0.1.0-nogit-0": ""})
    assert isinstance(classify(wanted, earlier), UpToDate)
    assert planned(wanted, earlier).actions == ()
    running = target("ws-2", "0.1.1", template="greeter", image_id=NEW)
    behind = target("ws-3", "0.1.0", template="greeter")
    of_this_version = seen(with_one_in_use(), targets=Known((target("ws-1", "0.1.1"), running, behind)))
    state = classify(wanted, of_this_version)
    assert isinstance(state, UpToDate), "neither its tags nor its targets can be brought to it"
    assert [(each.target.name, each.reason) for each in state.fleet.missed] == [("ws-3", "TemplatesHeldBack")]
    for world, version in ((earlier, "0.1.0"), (of_this_version, "0.1.1")):
        made = told(wanted, world).templates[1]
        assert (made.state, made.image) == ("HeldBack", None)
        assert made.message is not None
        assert f" Its image in use, {IMAGE}:{version}-nogit-0" in made.message
        assert made.message.endswith(f"@{NEW}, was deleted: what runs it goes on.")
