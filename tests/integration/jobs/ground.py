"""A namespace of a cluster with an object in it, whose builder runs are Jobs there."""

import base64
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from builder.oci import Client, Reference
from controller.api.v1alpha1 import Registry
from controller.clients.jobs import JobPlace, JobRuns, job_access
from controller.clients.kube import KubeCluster
from controller.settings import Settings
from tests.cluster.cluster import Cluster


@dataclass
class Ground:
    """A namespace with an object in it, and the folder in which its builder runs have their files."""

    cluster: Cluster
    kube: KubeCluster
    namespace: str
    work: Path
    place: JobPlace
    settings: Settings
    artifacts: str
    push_secret: str | None = None
    said: list[str] = field(default_factory=list)

    def jobs(self, **changed: Any) -> JobRuns:  # noqa: ANN401 -- any field of the place
        """The object's runs; `changed` are fields of the place."""
        registry = Registry.model_validate(
            {"artifacts": self.artifacts, "insecure": True, "pushSecretName": self.push_secret}
        )
        hosts = frozenset({self.artifacts.split("/", 1)[0]})
        return JobRuns(
            self.kube, replace(self.place, **changed), job_access(registry, self.settings, hosts=hosts)
        )

    def secret(self, name: str, **files: str) -> Path:
        """Make a Secret, in the namespace and in the folder of Secrets."""
        folder = self.work.parent / "secrets" / name
        folder.mkdir(parents=True)
        for key, value in files.items():
            (folder / key).touch(mode=0o600)
            (folder / key).write_text(value)
        data = {key: base64.b64encode(value.encode()).decode() for key, value in files.items()}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})
        return folder

    def apply(self, *objects: dict[str, Any]) -> None:
        self.cluster.apply(*objects, namespace=self.namespace)

    def everything(self) -> list[dict[str, Any]]:
        """All Jobs, pods and events of the namespace."""
        out = self.cluster.kubectl("-n", self.namespace, "get", "jobs,pods,events", "-o", "json").stdout
        return list(json.loads(out)["items"])

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.everything() if item["kind"] == kind]

    def files(self) -> list[Path]:
        """All files below the folder of builder runs."""
        return [path for path in self.work.rglob("*") if path.is_file()]

    async def left(self) -> list[str]:
        """Tags of artifacts that can still be had."""
        repository = Reference.parse(self.artifacts)
        async with Client(insecure=True) as client:
            return await client.tags(repository)
