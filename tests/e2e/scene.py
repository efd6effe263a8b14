"""What a test of the whole chain starts from: a desk whose versions are released, made once and copied for each test."""

import copy
import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import docker

from tests.demo.client import Workspace
from tests.demo.milestones import published
from tests.e2e.desk import TEMPLATES, Desk
from tests.e2e.fleet import Fleet
from tests.parts.engine import gateway
from tests.parts.index import Index, running_pypiserver
from tests.parts.shared import shared

_FACTS, _RECORDS = "release.json", "records.tar"
Images = dict[str, dict[str, str]]
"""Released images by version and template."""


@dataclass(frozen=True)
class Scene:
    """One test's own: desk, index with the folder of its files, and workspaces."""

    desk: Desk
    index: Index
    packages: Path
    fleet: Fleet
    images: Images

    def populate(self, version: str, *names: str) -> list[Workspace]:
        """Start workspaces of a version, each with a note in its volume; a name begins with its template's."""
        for name in names:
            self.fleet.add(name, self.images[version][name.split("-")[0]], networks=["front"])
        for workspace in self.fleet.workspaces:
            self.fleet.until(workspace, version)
            self.fleet.write(workspace, "/workspace/note", f"of {workspace.name}")
        return self.fleet.workspaces

    def assert_all_run(self, version: str) -> None:
        """Every workspace reports this version, has its volumes' content, and no other container is left."""
        workspaces = self.fleet.workspaces
        assert self.fleet.versions() == {workspace.name: version for workspace in workspaces}
        for workspace in workspaces:
            assert self.fleet.read(workspace, "/workspace/note") == f"of {workspace.name}"
        assert self.fleet.names() == {workspace.name for workspace in workspaces}

    def published(self) -> list[str]:
        """The versions that the index serves."""
        return published(self.index)

    def fetch(self, version: str, template: str = "plain") -> str:
        """Pull what `wsr image` answers into the engine, as a template's image of a version; return it."""
        image = self.desk.wsr("image", template).out.strip()
        self.fleet.client.images.pull(image)
        self.images.setdefault(version, {})[template] = image
        return image

    @contextmanager
    def beside(
        self, folder: Path, engine: str | None = None, client: docker.DockerClient | None = None
    ) -> Iterator["Scene"]:
        """Another machine, with an engine of its own where one is given.

        It has the same document, index and registry, and a state folder and workspaces of its own.
        """
        shutil.copytree(self.desk.folder, folder, ignore=shutil.ignore_patterns("state"))
        desk = Desk(folder, own_prefix(self.desk))
        fleet = Fleet(engine or self.fleet.engine, desk.prefix, desk.label, client or self.fleet.client)
        desk.take_own_targets(fleet.engine)
        try:
            yield Scene(desk, self.index, self.packages, fleet, copy.deepcopy(self.images))
        finally:
            desk.close()
            fleet.close()


@dataclass(frozen=True)
class Release:
    """A desk whose versions are released, with its index's files and its records, to be copied."""

    engine: str
    client: docker.DockerClient
    desk: Desk
    packages: Path
    records: bytes
    images: Images

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether one was saved there."""
        return (folder / _FACTS).exists()

    @classmethod
    def load(cls, folder: Path, engine: str, client: docker.DockerClient) -> Self:
        """The one that was saved there."""
        facts = json.loads((folder / _FACTS).read_text())
        desk, packages = Desk(folder / "desk", facts["prefix"]), folder / "index" / "packages"
        return cls(engine, client, desk, packages, (folder / _RECORDS).read_bytes(), facts["images"])

    def save(self, folder: Path) -> None:
        """Save it beside its desk and its index, for other processes to load."""
        (folder / _RECORDS).write_bytes(self.records)
        (folder / _FACTS).write_text(json.dumps({"prefix": self.desk.prefix, "images": self.images}))

    @contextmanager
    def copied(self, folder: Path) -> Iterator[Scene]:
        """Give a copy: its own index, records, names and state. Images are shared; moving tags are as released."""
        shutil.copytree(self.desk.folder, folder / "desk")
        shutil.copytree(self.packages, folder / "index" / "packages")
        desk = Desk(folder / "desk", own_prefix(self.desk))
        fleet = Fleet(self.engine, desk.prefix, desk.label, self.client)
        with running_pypiserver(folder / "index", address=gateway(self.engine)) as index:
            desk.move(index)
            try:
                _fill_volume(self.client, desk.records, self.records)
                for template, image in self.images[desk.spec["version"]].items():
                    self.client.images.get(image).tag(desk.image(template), desk.moving_tag)
                yield Scene(desk, index, folder / "index" / "packages", fleet, copy.deepcopy(self.images))
            finally:
                desk.close()
                fleet.close()


@contextmanager
def kept(
    home: Path, engine: str, client: docker.DockerClient, make: Callable[[Path], Release]
) -> Iterator[Release]:
    """A release that all workers of a run share: the first that needs it makes it, the last that leaves removes it.

    `make` lays desk and index out in the folder that it is given. What is below `home` goes with the release.
    """
    folder = home / "made"

    def start() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        make(folder).save(folder)

    def end() -> None:
        if Release.is_in(folder):
            Fleet(engine, Release.load(folder, engine, client).desk.prefix, {}, client).close()
        shutil.rmtree(folder, ignore_errors=True)

    home.mkdir(exist_ok=True)
    with shared(home, answers=lambda: Release.is_in(folder), start=start, end=end):
        yield Release.load(folder, engine, client)


def from_nothing(client: docker.DockerClient, *, engine: str, base_image: str, folder: Path) -> Release:
    """Release 0.1.0 with nothing there before: every image is a full build."""
    prefix = f"e2e{secrets.token_hex(3)}-"
    try:
        with running_pypiserver(folder / "index", address=gateway(engine)) as index:
            desk = Desk.lay_out(
                folder / "desk", prefix=prefix, engine=engine, index=index, base_image=base_image
            )
            desk.run()
        packages = folder / "index" / "packages"
        return Release(
            engine, client, desk, packages, _volume(client, desk.records), {"0.1.0": images_of(desk)}
        )
    except BaseException:
        Fleet(engine, prefix, {}, client).close()
        raise


def and_then(release: Release, version: str, folder: Path) -> Release:
    """Release one more version on a copy."""
    with release.copied(folder) as scene:
        scene.desk.bump(version)
        scene.desk.run()
        records = _volume(release.client, scene.desk.records)
        images = {**release.images, version: images_of(scene.desk)}
        return Release(release.engine, release.client, scene.desk, scene.packages, records, images)


def images_of(desk: Desk) -> dict[str, str]:
    """What `wsr image` answers, by template."""
    return {template: desk.wsr("image", template).out.strip() for template in TEMPLATES}


def own_prefix(desk: Desk) -> str:
    """A prefix for a copy of a desk; of the first part all copies have in common, the images that they share are named."""
    return f"{desk.prefix.partition('-')[0]}-{secrets.token_hex(2)}-"


def _volume(client: docker.DockerClient, name: str) -> bytes:
    """The content of a volume as a tar."""
    container = client.containers.create(
        "wsr-empty:1", ["none"], volumes={name: {"bind": "/volume", "mode": "rw"}}
    )
    try:
        return b"".join(container.get_archive("/volume")[0])
    finally:
        container.remove()


def _fill_volume(client: docker.DockerClient, name: str, content: bytes) -> None:
    container = client.containers.create(
        "wsr-empty:1", ["none"], volumes={name: {"bind": "/volume", "mode": "rw"}}
    )
    try:
        container.put_archive("/", content)
    finally:
        container.remove()
