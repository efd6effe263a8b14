"""More stories: what workspaces and the people around them do while a version reaches them."""

from typing import Any

from tests.unit.simulator.box import sha
from tests.unit.simulator.ground import Box, Event
from tests.unit.simulator.story import Stage, Story


def _slow(stage: Stage) -> list[Event]:
    stage.box(2).boot_seconds = 1200.0
    return []


def _flapping(stage: Stage) -> list[Event]:
    """It has a moment between two tasks now and then, and says so."""
    begin = stage.begin
    stage.box(3).work.extend((begin + start, begin + start + 19) for start in range(0, 200, 20))
    return []


def _never_idle(stage: Stage) -> list[Event]:
    stage.box(3).work.append((stage.begin, stage.begin + 400))
    return []


def _newcomer(stage: Stage) -> list[Event]:
    """The platform starts a workspace from the tag it always takes."""
    machine = stage.machine

    def started() -> None:
        old = machine.records["0.1.0"]
        image = old.templates["echo"].image_id or ""
        machine.add(Box("ws-5", "echo", image, "0.1.0", old.content_sha256))

    return [
        stage.at(22.0, "the platform starts another workspace of echo, ws-5, from ws/echo:latest", started)
    ]


def _deleted(stage: Stage) -> list[Event]:
    def gone() -> None:
        del stage.machine.boxes["docker/local/ws-4"]

    return [stage.at(20.0, "the owner of ws-4 deletes it", gone)]


def _crash_loop(stage: Stage) -> list[Event]:
    stage.box(2).crash_loops = stage.box(3).crash_loops = True
    return []


def _state_lost(stage: Stage) -> list[Event]:
    stage.whole.lose_state = True
    stage.whole.world.crashes_at = frozenset({stage.whole.world.steps + 21})
    return []


def _registry_away(stage: Stage) -> list[Event]:
    unread, registry = stage.machine.unread, {"images", "records"}
    return [
        stage.at(10.0, "the registry does not answer any more", lambda: unread.update(registry)),
        stage.at(50.0, "the registry answers again", lambda: unread.difference_update(registry)),
    ]


def _mended(stage: Stage) -> list[Event]:
    machine, whole = stage.machine, stage.whole
    machine.bad_in_fleet.add(("0.1.1", "ws-4"))

    def resumed() -> None:
        machine.bad_in_fleet.clear()
        machine.resume(whole.store.document, whole.store.status.history)

    return [stage.at(120.0, "the volume of ws-4 is mended, and somebody says `wsr resume`", resumed)]


def _forward(stage: Stage) -> list[Event]:
    edit = stage.whole.store.edit
    stage.machine.bad_in_fleet.add(("0.1.1", "ws-4"))
    stage.machine.tree = sha("the source of 0.1.1")
    newer = "spec.version is edited to 0.1.2, which mends it"
    return [stage.at(120.0, newer, lambda: edit(version="0.1.2"))]


def _tag_moved(stage: Stage) -> list[Event]:
    stranger = stage.machine.is_moved_by_a_stranger
    moved = "somebody pushes another image as ws/echo:latest"
    return [stage.at(20.0, moved, lambda: stranger("ws/echo:latest"))]


def _ten_edits(stage: Stage) -> list[Event]:
    edit = stage.whole.store.edit

    def to(number: int) -> Event:
        version = f"0.1.{number + 2}"
        return stage.at(
            5.0 + number / 2, f"spec.version is edited to {version}", lambda: edit(version=version)
        )

    return [to(number) for number in range(10)]


_CUTS: dict[str, Any] = {
    "rollout": {"maxUnavailable": 2, "drain": {"timeoutSeconds": 60, "onTimeout": "Proceed"}}
}

TROUBLES = {
    "slow-boot": Story("A target that takes twenty minutes to boot is slow, not dead", _slow),
    "flapping": Story("A target with a task every twenty seconds is replaced between two of them", _flapping),
    "never-idle": Story("A target that does not become idle is left, told, and asked again", _never_idle),
    "never-idle-cut": Story("The same where its owners let work be cut after a minute", _never_idle, _CUTS),
    "newcomer": Story("A workspace that is started meanwhile gets the version, too", _newcomer),
    "target-deleted": Story("A target is deleted by its owner in the middle of the rollout", _deleted),
    "crash-loop": Story(
        "What is down already is cured first, and takes nothing from the budget",
        _crash_loop,
        {"rollout": {"maxUnavailable": 1}},
    ),
    "state-lost": Story("The process is killed, and its state folder is lost with it", _state_lost),
    "registry-away": Story("The registry is away while the candidates are proven", _registry_away),
    "resumed": Story("A version that failed is tried again once somebody says so", _mended),
    "forward": Story("After a version that failed, the next one mends it", _forward),
    "tag-moved": Story("A stranger moves a moving tag in the middle, and is not overwritten", _tag_moved),
    "ten-edits": Story("The version is edited ten times in five seconds; the last one wins", _ten_edits),
}
