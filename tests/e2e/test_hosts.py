"""Several Docker hosts of one document: each has its own containers, and one that vanishes keeps no other waiting."""

from pathlib import Path

import pytest

from tests.e2e.proxy import before_unix
from tests.e2e.scene import Scene


@pytest.mark.long
def test_a_host_that_vanishes_in_the_middle_keeps_no_other_waiting_and_loses_nothing(
    scene: Scene, registry: str, tmp_path: Path
) -> None:
    desk, fleet = scene.desk, scene.fleet
    desk.keep_in(registry)
    desk.run()
    image, label = scene.fetch("0.1.0"), "e2e.test/host"
    near = fleet.add("plain-1", image, labels={label: "near"}, networks=["front"])
    far = fleet.add("plain-2", image, labels={label: "far"}, networks=["front"])
    scene.populate("0.1.0")
    before = fleet.shapes()
    socket = tmp_path / "far.sock"
    with before_unix(Path(fleet.engine.removeprefix("unix://")), socket) as proxy:
        with desk.editing() as spec:
            (own,) = spec["targets"]["dockerHosts"]
            labels = own["selector"]["matchLabels"]
            spec["targets"]["dockerHosts"] = [
                {
                    **own,
                    "name": name,
                    "endpoint": endpoint,
                    "selector": {"matchLabels": {**labels, label: name}},
                }
                for name, endpoint in (("near", fleet.engine), ("far", f"unix://{socket}"))
            ]
        desk.bump("0.1.1")
        # The one that is not named first waits for work: it is stopped when the other one runs it.
        running = desk.start("run", "--once")
        running.until(f"docker/far/{far.name}: StopOld$")
        proxy.cut()
        running.until(f"replace docker/near/{near.name}: proven")
        running.until("The targets in far cannot be read: .*did not answer")
        assert fleet.versions()[near.name] == "0.1.1"
        away = running.interrupt()
        assert not away.lines("promote 0.1.1")
        unseen = [one for one in desk.status()["stragglers"] if one["name"].startswith("docker/far/")]
        assert unseen, desk.status()
        proxy.restore()
        desk.run()
    scene.assert_all_run("0.1.1")
    after = fleet.shapes()
    assert all(before[name].kept_by(after[name]) for name in before)
