"""What runs the runtime, and may be replaced."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from controller.api.field_error import FieldError
from controller.api.patterns import ENDPOINT_PATTERN, PREFIX_PATTERN
from controller.api.v1alpha1._base import Distinct, Document, Labels, Name, SecretName

TCP_WITHOUT_TLS: Final = (
    "is needed for an endpoint with tcp://; name a Secret with ca.crt, tls.crt and tls.key"
)
TLS_WITHOUT_TCP: Final = "is for an endpoint with tcp://; remove it"
SSH_WITHOUT_KEY: Final = (
    "is needed for an endpoint with ssh://; name a Secret with ssh-privatekey and known_hosts"
)
KEY_WITHOUT_SSH: Final = "is for an endpoint with ssh://; remove it"


class Selector(Document):
    """A label selector."""

    match_labels: Labels = {}
    """Labels that must all be there, each with this value."""


class DockerHost(Document):
    """A Docker Engine whose containers are targets."""

    name: Name
    """The host's name, the second part of its targets' ids, as in docker/HOST/CONTAINER."""
    endpoint: Annotated[str, Field(max_length=2048, pattern=ENDPOINT_PATTERN)]
    """The engine's address, as unix:///var/run/docker.sock, or of another machine: tcp://HOST:PORT, which needs
    `tlsSecretName`, or ssh://USER@HOST[:PORT][/SOCKET], which needs `sshSecretName` and nothing there but a user who may use the
    engine's socket. `wsr run` builds and proves in the first one with unix:; the operator of a cluster has none of these."""
    tls_secret_name: SecretName | None = None
    """The Secret (purpose `docker-host`) by which the engine at tcp://HOST:PORT and this program know each other: `ca.crt`,
    `tls.crt` and `tls.key`. Whoever an engine lets in is root on its host: without certificates none is asked."""
    ssh_secret_name: SecretName | None = None
    """The Secret (purpose `docker-host`) for ssh://: `ssh-privatekey`, and `known_hosts` with the host's line."""
    container_prefix: Annotated[str, Field(min_length=1, max_length=63, pattern=PREFIX_PATTERN)] = "ws-"
    """Only containers whose name starts with this are targets."""
    selector: Selector = Selector.model_validate({"matchLabels": {"molecule.platform.managed": "true"}})
    """Only containers that carry all of these labels are targets."""
    keep_superseded: Annotated[int, Field(ge=0, le=100)] | None = None
    """How many earlier images of each template stay there, of those that were pulled for targets, besides what is in use,
    wanted or last known good; older ones are removed after a replacement. Without it nothing is removed. With
    `registry.mode: Engine` it has no effect: images live there only."""

    @model_validator(mode="after")
    def _known(self) -> DockerHost:
        if self.endpoint.startswith("tcp:") and self.tls_secret_name is None:
            raise FieldError(TCP_WITHOUT_TLS, "tlsSecretName")
        if not self.endpoint.startswith("tcp:") and self.tls_secret_name is not None:
            raise FieldError(TLS_WITHOUT_TCP, "tlsSecretName")
        if self.endpoint.startswith("ssh:") and self.ssh_secret_name is None:
            raise FieldError(SSH_WITHOUT_KEY, "sshSecretName")
        if not self.endpoint.startswith("ssh:") and self.ssh_secret_name is not None:
            raise FieldError(KEY_WITHOUT_SSH, "sshSecretName")
        return self


class Workloads(Document):
    """Deployments and StatefulSets of a cluster that are targets: those whose label `runtime.molecule.ai/managed` is "true"."""

    name: Name
    """What this entry is called."""
    namespaces: Annotated[list[Name], Field(min_length=1, max_length=50), Distinct]
    """The namespaces that they are in; each must let this object in by its label `runtime.molecule.ai/allowed-from`, which
    names the namespace of the object."""
    selector: Selector = Selector()
    """Only workloads that carry all of these labels, too, are targets."""
    container: Name = "workspace"
    """The container whose image is rolled; a workload without it is refused (ContainerNotFound)."""
    control_token_secret_name: SecretName | None = None
    """The Secret (purpose `control`) whose `token` the workspaces drain for; their owner mounts it from a Secret of the same
    content. Without it a workspace drains when it is told to end, within its grace period."""


class Targets(Document):
    """What runs the runtime."""

    workloads: Annotated[list[Workloads], Field(max_length=20)] = []
    """Deployments and StatefulSets: of the operator's own cluster, or with `wsr run` of the one that KUBECONFIG leads to."""
    docker_hosts: Annotated[list[DockerHost], Field(max_length=20)] = []
    """The Docker Engines whose containers are targets; several need `registry.mode: Remote`."""
    on_drift: Literal["Report", "Correct"] = "Report"
    """What happens when somebody else writes another image onto a workload after us. Report: it is said, and left so.
    Correct: ours is put back, once for each edit of the document, and then it is said."""

    @model_validator(mode="after")
    def _some(self) -> Targets:
        if not self.workloads and not self.docker_hosts:
            raise ValueError("names nothing to roll; name dockerHosts, workloads, or both")
        return self
