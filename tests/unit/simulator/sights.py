"""What is seen of the machine in memory, and what cannot be."""

from collections.abc import Mapping

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.observation import Observation
from controller.model.observed import Observed, Unknown
from controller.model.package import IndexFile, Release, ServedPackage
from controller.model.target import Target
from controller.plan.steering import steered
from tests.unit.simulator.box import BASE_NAME, parts_of
from tests.unit.simulator.holdings import Holdings


class Sights(Holdings):
    """Every source, as an observation tells it."""

    def observe(self, document: WorkspaceRuntime) -> Observation:
        version = document.spec.version
        record = self.records.get(version)
        needed = record is None or record.published_time is None
        for image in self.others.arrive(self.seconds()):
            self._pushed(image)
        told, untold = self._images_told(document)
        served = {} if needed else self.others.served(document, told)
        return Observation(
            source=self._read("source", self.tree) if needed else None,
            index=self._read("index", self._served(document.spec.package.name)) if needed else None,
            records=self._read("records", dict(self.records)),
            images=self._read("images", told),
            templates={name: self._read("templates", parts_of(value)) for name, value in self.inputs.items()},
            targets=self.targets(document),
            bases={BASE_NAME: self._read("bases", self.base)},
            deliveries={name: self._read("images", found) for name, found in served.items()},
            unread={} if "images" in self.unread else untold,
        )

    def _images_told(self, document: WorkspaceRuntime) -> tuple[Mapping[str, str], Mapping[str, Unknown]]:
        untold: dict[str, Unknown] = {}
        for template in document.spec.templates:
            source = f"images of {template.name}"
            if source in self.unread | self.refusing:
                stalled = "CredentialsMissing" if source in self.refusing else None
                untold[f"{template.image}:latest"] = Unknown("401", self.now(), stalled=stalled)
        refused = set(map(_repository, untold))
        told = {
            reference: image
            for reference, image in self.images.items()
            if _repository(reference) not in refused
        }
        return told, untold

    def targets(self, document: WorkspaceRuntime) -> Observed[tuple[Target, ...]]:
        listed = {template.name for template in document.spec.templates}
        seen = (box.target(self.seconds(), listed) for box in self.boxes.values())
        return self._read("targets", steered(document, seen))

    def _served(self, package: str) -> ServedPackage:
        files = {
            version: IndexFile(f"x-{version}-py3-none-any.whl", "http://index/x.whl", sha256)
            for version, sha256 in self.index.items()
        }
        return ServedPackage(package, {version: Release(version, (file,)) for version, file in files.items()})


def _repository(reference: str) -> str:
    return reference.rpartition(":")[0]
