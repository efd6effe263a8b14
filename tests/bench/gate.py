"""The gate alone: eight candidates of a release, from the first that is made to the last that has answered."""

import re
import shutil

from tests.bench.chain import lay_out
from tests.bench.figures import Figure, at_most
from tests.bench.release import Releases
from tests.bench.site import Site, listed, say
from tests.bench.stock import stocked_index
from tests.e2e.desk import Desk
from tests.parts.engine import gateway
from tests.parts.registry import running_registry

_BEGUN = re.compile(r"\[ *(?P<seconds>[\d.]+)s\] probe [^:]+: because")
_ENDED = re.compile(r"\[ *(?P<seconds>[\d.]+)s\] probe [^:]+: booted .* answered two turns(?P<calls>.*)")


def measure(site: Site) -> list[Figure]:
    """With the stand-in model and without one, by turns, each time with a release that nobody has seen."""
    folder = site.folder / "gate"
    with (
        running_registry(folder / "registry") as registry,
        stocked_index(folder / "index", address=gateway(site.engine)) as index,
    ):
        desk = lay_out(site, folder / "desk", registry=registry, index=index)
        releases = Releases(desk.source)
        try:
            say("gate: the first release, full builds included")
            desk.run()
            talking, silent = site.alternate(
                lambda _: _seconds(desk, releases.edit(), model="Required"),
                lambda _: _seconds(desk, releases.edit(), model="None"),
            )
        finally:
            site.clear()
            shutil.rmtree(folder)
    say(f"gate: with a model {listed(talking)} s, without {listed(silent)} s")
    what = "8 candidates of the whole runtime in `wsr run --once` (Remote mode), from the first begun to the last proven{}; median"
    return [
        Figure.middle("gate.seconds", talking, bar=at_most(15), how=what.format(", each with a tool call and two turns of a model")),
        Figure.middle("gate.secondsWithoutModel", silent, how=what.format(", with probe.model None")),
    ]  # fmt: skip


def _seconds(desk: Desk, version: str, *, model: str) -> float:
    with desk.editing() as spec:
        for template in spec["templates"]:
            template["probe"] = {"model": model}
    desk.bump(version)
    log = desk.run().log
    begun, ended = list(_BEGUN.finditer(log)), list(_ENDED.finditer(log))
    assert len(begun) == len(ended) == len(desk.spec["templates"]), log
    assert all(bool(each["calls"]) == (model == "Required") for each in ended), log
    return max(float(each["seconds"]) for each in ended) - min(float(each["seconds"]) for each in begun)
