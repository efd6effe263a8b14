"""Eight candidate images from one wheel, on full builds that are there: what a bump costs where nothing else changed."""

import asyncio
import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, at_least, at_most
from tests.bench.predecessor import Predecessor
from tests.bench.release import Releases
from tests.bench.site import Site, alternate, listed, say
from tests.bench.stock import stocked_index
from tests.contract.lying_proxy import lying_proxy
from tests.e2e.desk import PACKAGE
from tests.integration.images.small import Run, template_entry
from tests.parts.engine import gateway
from tests.parts.index import Index
from tests.parts.registry import running_registry
from tests.parts.small_wheel import SmallWheel
from tests.templates.generate import write_templates

MORE_ROUNDS = 3
"""Of ours alone: it is over in half a second, so its median deserves more samples than a baseline of half a minute."""
_HOW = "`python -m builder cascade` in {} mode, process start to end: 8 candidates of the whole runtime on existing full builds; median"
_AGAINST = "the same 8 templates by `docker build` alone (ours are pushed, too), two at a time, packages from the same local index, every layer kept that a new version leaves; median of the pairs"
_COUNTED = "blobs that one cascade of 8 templates uploads to a local registry, counted on the wire: one layer and 8 configurations"
_AGAIN = "blobs and manifests that the same cascade sends when it is run again; its digests are the same"
_UPLOAD = re.compile(r"PUT \S+digest=(\S+)")


def measure(site: Site) -> list[Figure]:
    """Both modes and the predecessor's builds by turns, each with a new wheel every time."""
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
        theirs = _Builds(_predecessor(site, folder, names, registry=registry, index=index), releases)
        try:
            first = releases.wheel(folder / "first")
            for mode, place in ((remote, f"{registry}/{site.prefix}c-"), (engine, f"{site.prefix}c-")):
                say(f"cascade: full builds for {mode.run.mode} mode")
                entries = {name: template_entry(name, f"{place}{name}", folder / "templates" / name, base=site.base_image) for name in names}  # fmt: skip
                mode.build_fully(first, entries)
            say("cascade: the first images of the baseline")
            theirs.seconds()
            ours, engines, baseline = site.alternate(
                lambda _: remote.seconds(), lambda _: engine.seconds(), lambda _: theirs.seconds()
            )
            more = alternate(MORE_ROUNDS, lambda _: remote.seconds(), lambda _: engine.seconds())
            uploads, again = asyncio.run(remote.uploads(registry))
        finally:
            site.clear()
            shutil.rmtree(folder)
    say(f"cascade: Remote {listed(ours + more[0])} s, Engine {listed(engines + more[1])} s")
    say(f"cascade: baseline {listed(baseline)} s; {len(uploads)} uploads, then {len(again)}")
    return [
        Figure.middle("cascade.seconds", ours + more[0], how=_HOW.format("Remote"), bar=at_most(0.6)),
        Figure.middle("cascade.engineSeconds", engines + more[1], how=_HOW.format("Engine"), bar=at_most(1)),
        Figure.times_faster("cascade.ratio", ours, baseline, how=f"{_HOW.format('Remote')} against {_AGAINST}", bar=at_least(30)),
        Figure("cascade.uploads", len(uploads), "blobs", _COUNTED, (len(uploads),), bar=at_most(len(names) + 1)),
        Figure("cascade.repeatedUploads", len(again), "sent", _AGAIN, (len(again),), bar=at_most(0)),
    ]  # fmt: skip


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
        self._cascade(wheel, list(self._entries.values()))
        return time.monotonic() - begun

    async def uploads(self, registry: str) -> tuple[list[str], list[str]]:
        """The digests that a cascade with a new wheel uploads, and all that it sends when it is run again."""
        wheel = self.releases.wheel(self.run.out / "wheels")
        async with lying_proxy(registry) as proxy:
            text = json.dumps(list(self._entries.values()))
            entries = json.loads(text.replace(registry, proxy.address))
            await asyncio.to_thread(self._cascade, wheel, entries)
            first = [found[1] for request in proxy.seen if (found := _UPLOAD.search(request))]
            digests = {name: made["digest"] for name, made in self._made().items()}
            proxy.seen.clear()
            await asyncio.to_thread(self._cascade, wheel, entries)
            assert digests == {name: made["digest"] for name, made in self._made().items()}
            assert len(set(first)) == len(first), "a blob was sent twice"
            return first, [one for one in proxy.seen if not one.startswith(("GET ", "HEAD "))]

    def _cascade(self, wheel: SmallWheel, entries: list[dict[str, object]]) -> None:
        ended = self.run.cascade_apart(wheel, *entries)
        assert ended.code == 0, ended.log
        assert {made["built"] for made in self._made().values()} == {"Append"}

    def _made(self) -> dict[str, dict[str, Any]]:
        made: dict[str, dict[str, Any]] = json.loads((self.run.out / "result.json").read_text())["templates"]
        return made


@dataclass
class _Builds:
    """What the predecessor does for the same eight images."""

    script: Predecessor
    releases: Releases
    _last: str = ""

    def seconds(self) -> float:
        """Seconds of eight builds of a version that the index has just got; ours are pushed as well."""
        wheel = self.releases.wheel(self.script.folder / "wheels")
        shutil.copy(wheel.path, self.script.folder.parent / "index" / "packages")
        while wheel.path.name not in self.script.index.files(PACKAGE):
            time.sleep(0.05)
        begun = time.monotonic()
        self.script.build_images(wheel.version, builds_at_once=2, push=False)
        seconds = time.monotonic() - begun
        if self._last:
            self.script.forget(self._last)
        self._last = wheel.version
        return seconds


def _predecessor(
    site: Site, folder: Path, names: tuple[str, ...], *, registry: str, index: Index
) -> Predecessor:
    return Predecessor(
        folder=folder / "their",
        engine=site.engine,
        base_image=site.base_image,
        source=folder / "source",
        templates=folder / "templates",
        index=index,
        repositories={name: f"{registry}/{site.prefix}their-{name}" for name in names},
        workspaces=(),
    )
