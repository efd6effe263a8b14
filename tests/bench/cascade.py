"""Eight candidate images from one wheel, on full builds that are there: what a bump costs where nothing else changed."""

import json
import shutil
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.bench.figures import Figure, at_most
from tests.bench.release import Releases
from tests.bench.site import Site, alternate, listed, say
from tests.bench.stock import stocked_index
from tests.integration.images.small import Run, template_entry
from tests.parts.engine import gateway
from tests.parts.registry import running_registry
from tests.parts.small_wheel import SmallWheel
from tests.templates.generate import write_templates

ROUNDS = 5
_HOW = "`python -m builder cascade` in {} mode, process start to end: 8 candidates of the whole runtime on existing full builds; median"


def measure(site: Site) -> list[Figure]:
    """Both modes by turns, each with a new wheel every time."""
    folder = site.folder / "cascade"
    with (
        running_registry(folder / "registry") as registry,
        stocked_index(folder / "index", address=gateway(site.engine)) as index,
    ):
        releases = Releases(folder / "source")
        names = write_templates(folder / "templates")
        where = {"url": index.simple_url}
        remote = _Mode(Run(site.engine, folder / "remote", "Remote", {"insecure": True}, where), releases)
        engine = _Mode(Run(site.engine, folder / "engine", "Engine", {}, where), releases)
        try:
            first = releases.wheel(folder / "first")
            for mode, place in ((remote, f"{registry}/{site.prefix}c-"), (engine, f"{site.prefix}c-")):
                say(f"cascade: full builds for {mode.run.mode} mode")
                entries = {name: template_entry(name, f"{place}{name}", folder / "templates" / name, base=site.base_image) for name in names}  # fmt: skip
                mode.build_fully(first, entries)
            seconds = alternate(
                max(ROUNDS, site.pairs), lambda _: remote.seconds(), lambda _: engine.seconds()
            )
        finally:
            site.clear()
            shutil.rmtree(folder)
    say(f"cascade: Remote {listed(seconds[0])} s, Engine {listed(seconds[1])} s")
    return _figures(*seconds)


def _figures(remote: list[float], engine: list[float]) -> list[Figure]:
    """The bar is for the slower mode."""
    slower, mode = max((remote, "Remote"), (engine, "Engine"), key=lambda each: statistics.median(each[0]))
    return [
        Figure.middle("cascade.seconds", slower, how=f"the slower mode: {_HOW.format(mode)}", bar=at_most(1)),
        Figure.middle("cascade.remoteSeconds", remote, how=_HOW.format("Remote")),
        Figure.middle("cascade.engineSeconds", engine, how=_HOW.format("Engine")),
    ]


@dataclass
class _Mode:
    """One place for images, with the eight full builds in it."""

    run: Run
    releases: Releases
    _entries: dict[str, dict[str, object]] = field(default_factory=dict)

    def build_fully(self, wheel: SmallWheel, entries: Mapping[str, dict[str, object]]) -> None:
        """Make the full builds that all later candidates stand on."""
        ended = self.run.cascade(wheel, *entries.values())
        assert ended.code == 0, ended.log
        for name, made in self._made().items():
            known = {**made["fullBuild"], "inputsSha256": entries[name]["inputsSha256"]}
            self._entries[name] = {**entries[name], "fullBuild": known}

    def seconds(self) -> float:
        """Seconds of one cascade with a wheel that nobody has seen."""
        wheel = self.releases.wheel(self.run.out / "wheels")
        begun = time.monotonic()
        ended = self.run.cascade_apart(wheel, *self._entries.values())
        seconds = time.monotonic() - begun
        assert ended.code == 0, ended.log
        assert {made["built"] for made in self._made().values()} == {"Append"}
        return seconds

    def _made(self) -> dict[str, dict[str, Any]]:
        made: dict[str, dict[str, Any]] = json.loads((self.run.out / "result.json").read_text())["templates"]
        return made
