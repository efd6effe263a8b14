"""Documents and machines that the simulations begin with."""

from typing import Any

from controller.api.v1alpha1 import WorkspaceRuntime
from tests.unit.simulator.box import Box, image_id, sha
from tests.unit.simulator.life import Event, Life, MemoryStore, SimulatedWorld
from tests.unit.simulator.machine import Machine
from tests.unit.simulator.virtual_time import now, seconds

TEMPLATES = ("echo", "greeter")


def document(
    version: str = "0.1.0",
    *,
    annotations: dict[str, str] | None = None,
    **spec: Any,  # noqa: ANN401 -- any field of the spec
) -> WorkspaceRuntime:
    return WorkspaceRuntime.model_validate(
        {
            "apiVersion": "runtime.molecule.ai/v1alpha1",
            "kind": "WorkspaceRuntime",
            "metadata": {"name": "molecule-runtime", "annotations": annotations or {}},
            "spec": {
                "version": version,
                "source": {"directory": "workspace"},
                "package": {"index": {"uploadURL": "http://index/", "simpleURL": "http://index/simple/"}},
                "registry": {"mode": "Engine", "artifacts": "records"},
                "templates": [
                    {"name": name, "image": f"ws/{name}", "build": {"directory": name}} for name in TEMPLATES
                ],
                "targets": {"dockerHosts": [{"name": "local", "endpoint": "unix:///run/docker.sock"}]},
                "rollout": {"maxUnavailable": 2, "drain": {"timeoutSeconds": 60}},
                **spec,
            },
        }
    )


def boxes(number: int) -> list[Box]:
    return [Box(f"ws-{index + 1}", TEMPLATES[index % len(TEMPLATES)]) for index in range(number)]


def life(number: int = 8, version: str = "0.1.0", **spec: Any) -> Life:  # noqa: ANN401 -- any field of the spec
    machine = Machine(seconds, now, inputs={name: sha(f"inputs of {name}") for name in TEMPLATES})
    machine.add(*boxes(number))
    return Life(MemoryStore(document(version, **spec), machine), SimulatedWorld(machine))


__all__ = ["TEMPLATES", "Box", "Event", "Life", "boxes", "document", "image_id", "life", "sha"]
