"""What the looking verbs say of a fleet that is half way: documented fields, and the same in every form."""

import re

import yaml

from tests.e2e.desk import PACKAGE
from tests.e2e.scene import Scene

STATUS = {
    "observedGeneration",
    "conditions",
    "resolvedVersion",
    "source",
    "package",
    "templates",
    "rollout",
    "stragglers",
    "lastKnownGood",
    "held",
    "history",
}
ROLLOUT = {"wave", "total", "upToDate", "updating", "busy", "held", "unknown"}


def test_plan_status_and_why_tell_what_runs_and_what_comes(rollout: Scene) -> None:
    desk = rollout.desk
    old, new = rollout.populate("0.1.0", "plain-1", "polite-1")
    plan = desk.facts("plan")
    targets = [f"docker/local/{old.name}", f"docker/local/{new.name}"]
    assert plan["waves"] == [{"name": "everyone", "targets": targets}]
    assert plan["adopts"] == targets, "containers that we did not create yet"
    assert (plan["publish"], [entry["build"] for entry in plan["templates"]]) == (False, [False, False])

    why = desk.facts("why", targets[0])
    assert why["image"] == rollout.images["0.1.0"]["plain"]
    assert why["running"]["version"] == "0.1.0"
    assert why["verdict"]["value"] == "Good"
    assert why["next"] == "It will be replaced by 0.1.1."
    assert re.fullmatch("[0-9a-f]{64}", why["wheelSha256"])

    desk.run()
    status = desk.facts("status")
    assert set(status) >= STATUS
    assert status == desk.status(), "other tests read it where it is written"
    assert set(status["rollout"]) >= ROLLOUT
    assert (status["rollout"]["total"], status["rollout"]["upToDate"]) == (2, 2)
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "Ready": "True",
        "Published": "True",
        "ImagesBuilt": "True",
        "RolledOut": "True",
    }
    assert [(one["name"], one["state"]) for one in status["templates"]] == [
        ("plain", "Proven"),
        ("polite", "Proven"),
    ]
    assert status["lastKnownGood"] == "0.1.1"
    assert [(entry["version"], entry["verdict"]) for entry in status["history"]] == [
        ("0.1.1", "Good"),
        ("0.1.0", "Good"),
    ]

    why = desk.facts("why", old.name)
    assert {"commit", "wheelSha256", "image", "wave", "running", "verdict"} <= set(why)
    assert why["running"] == {"version": "0.1.1", "contentSha256": old.runtime()["contentSha256"]}
    wheel = f"{PACKAGE.replace('-', '_')}-0.1.1-py3-none-any.whl"
    assert why["wheelSha256"] == rollout.index.files(PACKAGE)[wheel]
    assert why["image"] == rollout.images["0.1.1"]["plain"]
    assert why["next"] == "Nothing; it runs 0.1.1 as asked for."
    for verb, *more in (("plan",), ("status",), ("why", old.name)):
        assert yaml.safe_load(desk.wsr(verb, *more, "-o", "yaml").out) == desk.facts(verb, *more)
    table = desk.wsr("status").out
    assert "RolledOut" in table
    assert "2 of 2 targets are up to date" in table
    assert desk.wsr("status").log == ""
    desk.bump("0.1.0")
    assert (
        desk.wsr("status").log == f"{desk.document} has changed since; no run has looked at it as it is now."
    )
