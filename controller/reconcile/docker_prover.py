"""Proves candidates in a Docker Engine: it pulls them, and boots them on a network where the stand-in model alone is."""

from __future__ import annotations

from controller.act.probe import probe
from controller.api.conditions import Reason
from controller.api.v1alpha1 import Registry
from controller.clients.docker import DockerEngine
from controller.clients.docker_candidate import docker_candidate
from controller.clients.registry_config import pull_credentials
from controller.clients.stand_in import StandIn
from controller.model.errors import Terminal
from controller.model.probe import ProbeFailed, ProbeOrder, ProbePassed
from controller.settings import Settings


class DockerProver:
    """The `Prover` of one object and one engine."""

    def __init__(self, engine: DockerEngine, owner: str, settings: Settings) -> None:
        """`owner` is the object, `namespace/name`; `settings` lead to the credentials that images are pulled with."""
        self._engine = engine
        self._stand_in = StandIn(engine, owner)
        self._settings = settings

    async def platform(self) -> str:
        """See `Prover`."""
        return await self._engine.platform()

    async def prove(self, registry: Registry, order: ProbeOrder) -> ProbePassed | ProbeFailed:
        """See `Prover`; in Engine mode the engine has the image already."""
        if order.settings.config_map is not None:
            raise Terminal(
                Reason.GATE_MISCONFIGURED,
                f"The probe of template {order.template} names ConfigMap {order.settings.config_map}, and candidates are booted"
                " in a Docker Engine, which has none.",
                fix="Take templates[].probe.configMapName out of this document.",
            )
        if registry.mode == "Remote":
            credentials = pull_credentials(registry, self._settings, image=order.image)
            await self._engine.pull(order.image, credentials=credentials, platform=order.platform)
        return await probe_in_engine(self._engine, order, self._stand_in)


async def probe_in_engine(
    engine: DockerEngine, order: ProbeOrder, stand_in: StandIn
) -> ProbePassed | ProbeFailed:
    """Probe an image that the engine has. Raises as `Prover.prove`."""
    async with docker_candidate(engine, order, stand_in) as candidate:
        return await probe(candidate, order)
