"""The stories that are told: what the document asks for, what goes wrong on the way, and who steps in."""

from typing import Any

from tests.unit.simulator.box import sha
from tests.unit.simulator.ground import TEMPLATES, Event, Life
from tests.unit.simulator.story import Stage, Story


def _one_busy(stage: Stage) -> list[Event]:
    stage.box(3).work.append((stage.begin, stage.begin + 60))
    return []


def _gate_fails(stage: Stage) -> list[Event]:
    stage.machine.bad_at_gate.add(("0.1.1", "greeter"))
    return []


def _rollout_fails(stage: Stage) -> list[Event]:
    stage.machine.bad_in_fleet.add(("0.1.1", "ws-4"))
    return []


def _index_down(stage: Stage) -> list[Event]:
    stage.machine.unread.add("index")
    back = stage.at(20.0, "the package index answers again", lambda: stage.machine.unread.discard("index"))
    return [back, *stage.away("index", "package index", 36.0, 60.0)]


def _host_unknown(stage: Stage) -> list[Event]:
    return stage.away("targets", "Docker Engine", 20.0, 60.0)


def _held_and_pinned(stage: Stage) -> list[Event]:
    stage.box(2).hold = "a customer demo until five"
    stage.box(3).pin = "0.1.0"
    stage.whole.store.annotate(hold_targets='{"ws-4": "its owner debugs it"}')
    return []


def _requested(stage: Stage) -> list[Event]:
    ask = stage.whole.store.annotate
    stage.box(3).work.append((stage.begin + 60, stage.begin + 100))
    return [
        stage.at(60.0, "a new build of echo is asked for", lambda: ask(rebuild='{"echo": "CVE-2026-1"}')),
        stage.at(180.0, "nothing else is asked for", lambda: None),
    ]


def _moved_base_fails(stage: Stage) -> list[Event]:
    machine = stage.machine

    def moved() -> None:
        machine.base = f"sha256:{sha('a base that lacks something')}"
        machine.bad_at_gate.add(("0.1.1", "greeter"))

    def mended() -> None:
        machine.base = f"sha256:{sha('the base, mended')}"
        machine.bad_at_gate.clear()

    return [
        stage.at(60.0, "the base image moves, and greeter does not boot on it", moved),
        stage.at(120.0, "the base image moves again, mended", mended),
    ]


def _unsafe(stage: Stage) -> list[Event]:
    stage.box(2).hold = "a customer demo until five"
    stage.box(4).shape_unsafe = "Container metrics is linked to it. Use a network instead of --link."
    return []


def _object_held(stage: Stage) -> list[Event]:
    store = stage.whole.store
    return [
        stage.at(
            19.0, "the object is held in the middle of the rollout", lambda: store.annotate(hold="an audit")
        ),
        stage.at(60.0, "the hold is taken off", lambda: store.annotate(hold=None)),
    ]


def _gone_back(stage: Stage) -> list[Event]:
    store = stage.whole.store
    to = "0.1.0 from 0.1.1 whose answers are worse"
    hold = '{"ws-4": "a customer demo until five"}'
    return [
        stage.at(50.0, "ws-4 is held", lambda: store.annotate(hold_targets=hold)),
        stage.at(60.0, f"the owner goes back: rollback-to: {to}", lambda: store.annotate(rollback_to=to)),
        stage.at(120.0, "the state folder is lost, and wsr run is started once more", store.lose),
        stage.at(
            180.0, "0.1.2 is asked for, with the annotation still there", lambda: store.edit(version="0.1.2")
        ),
    ]


def _template_removed(stage: Stage) -> list[Event]:
    stage.whole.world.crashes_at = frozenset({stage.whole.world.steps + 25})
    edit, spec = stage.whole.store.edit, stage.whole.store.document.model_dump(mode="json")["spec"]
    left = [template for template in spec["templates"] if template["name"] != "greeter"]
    return [stage.at(19.9, "template greeter leaves the document", lambda: edit(templates=left))]


def _build_fails(stage: Stage) -> list[Event]:
    stage.machine.bad_builds.add(("0.1.1", "greeter"))

    def corrected() -> None:
        stage.machine.bad_builds.clear()
        stage.machine.inputs["greeter"] = sha("inputs of greeter, corrected")

    return [
        stage.at(60.0, "wsr run is started once more", lambda: None),
        stage.at(90.0, "the template greeter is corrected", corrected),
    ]


def _edited_back(stage: Stage) -> list[Event]:
    store = stage.whole.store
    back = "spec.version is edited back to 0.1.0"
    broken = "spec.version is edited to 0.1.2, which fails on ws-1"
    stage.machine.bad_in_fleet.add(("0.1.2", "ws-1"))
    return [
        stage.at(60.0, back, lambda: store.edit(version="0.1.0")),
        stage.at(120.0, broken, lambda: store.edit(version="0.1.2")),
    ]


def _some_stopped(stage: Stage) -> list[Event]:
    stage.box(1).stopped = stage.box(4).stopped = True
    return []


def _interrupted(stage: Stage) -> list[Event]:
    stage.whole.world.crashes_at = frozenset({stage.whole.world.steps + 25})
    return []


def _changed_in_the_middle(stage: Stage) -> list[Event]:
    edit = stage.whole.store.edit
    return [stage.at(22.0, "spec.version is edited to 0.1.2", lambda: edit(version="0.1.2"))]


def _lower(stage: Stage) -> list[Event]:
    edit = stage.whole.store.edit
    return [
        stage.at(60.0, "spec.version is edited to 0.0.9, which no index has", lambda: edit(version="0.0.9")),
    ]


def _theirs(**build: Any) -> dict[str, Any]:  # noqa: ANN401 -- any field of a build
    """A document whose second template is built by somebody else."""
    image = "registry.example/team/"
    return {
        "registry": {"mode": "Remote", "artifacts": f"{image}artifacts"},
        "templates": [
            {"name": "echo", "image": f"{image}echo", "build": {"directory": "echo"}},
            {"name": "greeter", "image": f"{image}greeter", "build": build},
        ],
    }


_DISPATCH = _theirs(strategy="Dispatch", dispatch={"repository": "team/greeter", "timeoutSeconds": 600})
_FOLLOW = _theirs(strategy="Follow")


def _first_image(whole: Life) -> None:
    """Whoever builds greeter has pushed an image already, and takes 20 seconds for the next one."""
    machine = whole.world.machine
    machine.deliver(whole.store.document.spec.templates[1], None)
    machine.others.takes["greeter"] = 20.0


def _delivered(stage: Stage) -> list[Event]:
    stage.machine.others.takes["greeter"] = 45.0
    return []


def _silent(stage: Stage) -> list[Event]:
    takes = stage.machine.others.takes
    del takes["greeter"]
    template = stage.whole.store.document.spec.templates[1]
    late = "whoever builds greeter pushes an image of 0.1.1 after all"
    return [stage.at(900.0, late, lambda: stage.machine.deliver(template, "0.1.1"))]


def _followed(stage: Stage) -> list[Event]:
    """First an image that does not work, then one that does; neither says what is in it."""
    others, machine = stage.machine.others, stage.machine
    del others.takes["greeter"]
    others.labelled = False
    template = stage.whole.store.document.spec.templates[1]

    def broken() -> None:
        machine.bad_deliveries.add(machine.deliver(template, "0.1.1"))

    return [
        stage.at(60.0, "somebody pushes a greeter with 0.1.1 that fails its turn", broken),
        stage.at(120.0, "somebody pushes another one", lambda: machine.deliver(template, "0.1.1", edition=2)),
    ]


def _image_of_greeter(stage: Stage) -> str:
    return stage.machine.records["0.1.1"].templates["greeter"].identity


def _deleted_and_told(stage: Stage) -> list[Event]:
    """Whoever was told delivers, and not a second time before its time is over."""
    machine, template = stage.machine, stage.whole.store.document.spec.templates[1]

    def deleted() -> None:
        machine.delete(_image_of_greeter(stage))
        del machine.others.takes["greeter"]

    late = "whoever builds greeter pushes an image of 0.1.1 under the tag 0.1.1 alone"
    return [
        stage.at(120.0, "somebody deletes the image of greeter from the registry", deleted),
        stage.at(900.0, late, lambda: machine.deliver(template, "0.1.1", edition=2, tag="0.1.1")),
    ]


def _deleted_and_followed(stage: Stage) -> list[Event]:
    machine, template = stage.machine, stage.whole.store.document.spec.templates[1]
    delete = "somebody deletes the image of greeter from the registry"
    return [
        stage.at(120.0, delete, lambda: machine.delete(_image_of_greeter(stage))),
        stage.at(180.0, "somebody pushes it again", lambda: machine.deliver(template, "0.1.1")),
    ]


def _tag_of_the_held_back(stage: Stage) -> list[Event]:
    machine = stage.machine
    machine.bad_at_gate.add(("0.1.1", "greeter"))

    def deleted() -> None:
        del machine.images[machine.records["0.1.0"].templates["greeter"].image]

    return [stage.at(60.0, "somebody deletes the immutable tag that greeter runs under", deleted)]


def _no_image_yet(stage: Stage) -> list[Event]:
    template = stage.whole.store.document.spec.templates[1]
    stage.machine.delete(stage.machine.images[f"{template.image}:latest"])
    first = "somebody pushes an image of greeter"
    return [stage.at(60.0, first, lambda: stage.machine.deliver(template, None, edition=2))]


_WAVES: dict[str, Any] = {
    "rollout": {
        "maxUnavailable": 2,
        "waves": [
            {"name": "canary", "selector": {"matchLabels": {"ring": "canary"}}, "soakSeconds": 600},
            {"name": "half", "percent": 50, "soakSeconds": 120},
            {"name": "everyone"},
        ],
    }
}


def _in_waves(stage: Stage) -> list[Event]:
    stage.box(3).labels["ring"] = "canary"
    return []


def _canary_fails(stage: Stage) -> list[Event]:
    stage.machine.bad_in_fleet.add(("0.1.1", "ws-3"))
    return _in_waves(stage)


def _busy_canary(stage: Stage) -> list[Event]:
    """One of two canaries is at work for more than half an hour."""
    stage.box(5).labels["ring"] = "canary"
    stage.box(5).work.append((stage.begin, stage.begin + 2_000.0))
    return _in_waves(stage)


_EARLY_TAGS = {"rollout": {**_WAVES["rollout"], "promoteAfterWave": "canary"}}


def _fails_after_the_tags(stage: Stage) -> list[Event]:
    stage.machine.bad_in_fleet.add(("0.1.1", "ws-1"))
    return _in_waves(stage)


def _bearing(many: int) -> dict[str, Any]:
    """A canary by itself, and then everybody, of whom so many may fail."""
    canary = {"name": "canary", "selector": {"matchLabels": {"ring": "canary"}}}
    rest = {"name": "everyone", "maxFailures": many}
    return {"rollout": {"maxUnavailable": 2, "waves": [canary, rest]}}


def _some_fail(stage: Stage) -> list[Event]:
    stage.machine.bad_in_fleet |= {("0.1.1", "ws-2"), ("0.1.1", "ws-6")}
    return _in_waves(stage)


def _superseded_in_a_wave(stage: Stage) -> list[Event]:
    newer = "while the canary soaks, spec.version is edited to 0.1.2"
    return [*_in_waves(stage), stage.at(60.0, newer, lambda: stage.whole.store.edit(version="0.1.2"))]


def _approves(whole: Life) -> None:
    """Somebody looks at what waits for approval, and agrees, within 40 seconds."""
    whole.approves_after = 40.0


_APPROVAL: dict[str, Any] = {"rollout": {"maxUnavailable": 2, "approval": "Required"}}


def _asked_anew(stage: Stage) -> list[Event]:
    """What waits for approval is changed while somebody looks at it."""
    slower = {"maxUnavailable": 1, "approval": "Required"}
    edit = stage.whole.store.edit
    return [stage.at(30.0, "rollout.maxUnavailable is edited to 1", lambda: edit(rollout=slower))]


def _as_it_is(stage: Stage) -> list[Event]:
    del stage
    return []


_WINDOWS: dict[str, Any] = {
    "rollout": {
        "maxUnavailable": 1,
        "windows": [
            {"start": "12:00", "end": "12:02"},
            {"days": ["Fri"], "start": "15:00", "end": "16:00", "timeZone": "Europe/Berlin"},
        ],
    }
}


def _busy_at_the_end(stage: Stage) -> list[Event]:
    """One target is at work when the window closes, and is replaced when it has done it."""
    for number in range(1, 9):
        stage.box(number).work.append((stage.begin + 18.0, stage.begin + 70.0))
    return []


def _fails_outside(stage: Stage) -> list[Event]:
    """The version fails on a target whose replacement began before the window closed."""
    stage.machine.bad_in_fleet.add(("0.1.1", "ws-4"))
    return []


def _overridden(stage: Stage) -> list[Event]:
    annotate = stage.whole.store.annotate
    urgent = "the object is annotated with override: CVE-2026-1"
    return [stage.at(600.0, urgent, lambda: annotate(override="CVE-2026-1"))]


_MAY_FAIL = {
    "templates": [
        {"name": "echo", "image": "ws/echo", "build": {"directory": "echo"}},
        {"name": "greeter", "image": "ws/greeter", "gate": "AllowFailure", "build": {"directory": "greeter"}},
    ]
}


STORIES = {
    "approval": Story("Nothing goes out before somebody approves it", _as_it_is, _APPROVAL, before=_approves),
    "approval-asked-anew": Story(
        "What is changed while somebody looks at it is asked for anew",
        _asked_anew,
        _APPROVAL,
        before=_approves,
    ),
    "window": Story("Targets wait for a window in which they may begin", _as_it_is, _WINDOWS, targets=8),
    "window-finishes": Story(
        "What began in a window is finished when it is closed", _busy_at_the_end, _WINDOWS, targets=8
    ),
    "window-rollback": Story(
        "A version that fails is rolled back outside of windows, too", _fails_outside, _WINDOWS, targets=8
    ),
    "window-overridden": Story(
        "Somebody has a reason not to wait for a window", _overridden, _WINDOWS, targets=8
    ),
    "dispatch-delivered": Story(
        "A template whose own CI is told, and delivers", _delivered, _DISPATCH, before=_first_image
    ),
    "dispatch-silent": Story(
        "A template whose own CI is told, and delivers only after its time",
        _silent,
        _DISPATCH,
        before=_first_image,
    ),
    "follow": Story(
        "A template that somebody else builds and pushes, twice", _followed, _FOLLOW, before=_first_image
    ),
    "dispatch-deleted": Story(
        "An image that somebody delivered is deleted, and whoever builds it is told again",
        _deleted_and_told,
        _DISPATCH,
        before=_first_image,
    ),
    "follow-deleted": Story(
        "An image that is only followed is deleted, and pushed again by somebody",
        _deleted_and_followed,
        _FOLLOW,
        before=_first_image,
    ),
    "held-back-tag-deleted": Story(
        "The immutable tag of a template that was held back is set again",
        _tag_of_the_held_back,
        _MAY_FAIL,
    ),
    "allow-failure": Story("A template that fails and may is held back alone", _gate_fails, _MAY_FAIL),
    "untested": Story(
        "A template without any image to try the version on", _no_image_yet, _FOLLOW, before=_first_image
    ),
    "waves": Story("Eight targets in three waves, each with its soak", _in_waves, _WAVES, targets=8),
    "waves-canary-fails": Story(
        "A version that fails on the canary reaches nobody else", _canary_fails, _WAVES, targets=8
    ),
    "waves-some-fail": Story(
        "A wave bears a failure of two targets, and says so", _some_fail, _bearing(2), targets=8
    ),
    "waves-too-many-fail": Story(
        "One failure more than a wave bears brings everybody back", _some_fail, _bearing(1), targets=8
    ),
    "waves-busy": Story(
        "A canary whose work outlasts its drain keeps no wave waiting", _busy_canary, _WAVES, targets=8
    ),
    "waves-promote-early": Story(
        "Moving tags follow the canary, before the others do", _in_waves, _EARLY_TAGS, targets=8
    ),
    "waves-promoted-and-back": Story(
        "Moving tags that followed the canary go back with everybody",
        _fails_after_the_tags,
        _EARLY_TAGS,
        targets=8,
    ),
    "waves-superseded": Story(
        "A newer version while the first one soaks goes through all waves itself",
        _superseded_in_a_wave,
        _WAVES,
        targets=8,
    ),
    "one-busy": Story("A bump of eight targets, one of them busy for a minute", _one_busy, targets=8),
    "gate-failure": Story("A candidate that fails its turn is never published", _gate_fails),
    "rollout-failure": Story("A version that fails on a target goes back everywhere", _rollout_fails),
    "rollout-failure-paused": Story(
        "A version that fails on a target, with onFailure: Pause",
        _rollout_fails,
        {"rollout": {"maxUnavailable": 2, "onFailure": "Pause"}},
    ),
    "index-down": Story("The package index is away at first, and again for the upload", _index_down),
    "host-unknown": Story("The Docker Engine is away in the middle of the rollout", _host_unknown),
    "hold-and-pin": Story("Held and pinned targets are left alone, as was asked", _held_and_pinned),
    "unsafe-shape": Story("A target that cannot be replaced without a loss needs somebody", _unsafe),
    "requested": Story("A person asks for a new build of one template", _requested),
    "base-moved": Story(
        "A base image moves, and fails at the gate before it is mended",
        _moved_base_fails,
        {
            "templates": [
                {
                    "name": name,
                    "image": f"ws/{name}",
                    "build": {"directory": name, "rebuildOn": ["Version", "Base"]},
                }
                for name in TEMPLATES
            ]
        },
    ),
    "object-held": Story("A hold on the object stops all that moves, until it is taken off", _object_held),
    "gone-back": Story("The owner goes back from a version that was good, for good", _gone_back),
    "template-removed": Story(
        "A template leaves the document in the middle of a replacement that dies", _template_removed
    ),
    "build-failure": Story("One of two images cannot be built", _build_fails),
    "edit-back": Story("Back to an earlier version, which the next rollback then returns to", _edited_back),
    "stopped-targets": Story("Stopped targets are updated without being started", _some_stopped),
    "interrupted": Story("The process is killed in the middle of two replacements", _interrupted),
    "lower-version": Story("A version below the newest one is refused before it is built", _lower),
    "changed-in-the-middle": Story(
        "Another version is asked for in the middle of a rollout", _changed_in_the_middle
    ),
}
