"""Documents and worlds in which the second of two templates is built by somebody else."""

from datetime import timedelta
from typing import Any

from controller.api.v1alpha1 import WorkspaceRuntime
from controller.model.delivery import DeliveredImage
from controller.model.observation import Observation
from controller.model.observed import Known
from controller.model.plan import Plan, Progress
from controller.model.record import ReleaseRecord
from controller.model.template_record import TemplateRecord
from controller.plan.decide import decide
from controller.plan.state import classify
from tests.unit.simulator.ground import document, sha
from tests.unit.simulator.nouns import (
    AWAY,
    observation,
    record,
    served,
    template_record,
)
from tests.unit.simulator.virtual_time import NOON

ECHO, IMAGE = "registry.example/echo", "registry.example/greeter"
BASE, NEW, SHADOW, STRANGE = (f"sha256:{sha(name)}" for name in ("base", "new", "shadow", "a stranger's"))
UNPUBLISHED: dict[str, Any] = {"published_time": None, "verdict": None}
TELL: dict[str, Any] = {
    "strategy": "Dispatch",
    "dispatch": {"repository": "team/greeter", "timeoutSeconds": 600},
}
FOLLOW: dict[str, Any] = {"strategy": "Follow"}


def asked(gate: str = "Required", version: str = "0.1.1", **build: Any) -> WorkspaceRuntime:  # noqa: ANN401 -- any field
    """A document whose second template has this gate and build."""
    ours = {"name": "echo", "image": ECHO, "build": {"directory": "echo"}}
    other = {"name": "greeter", "image": IMAGE, "gate": gate, "build": build or TELL}
    registry = {"mode": "Remote", "artifacts": "registry.example/artifacts"}
    return document(version, templates=[ours, other], registry=registry)


def released(version: str = "0.1.1", **changes: Any) -> ReleaseRecord:  # noqa: ANN401 -- any field
    """A version whose own template is through with everything; nothing is recorded of the other."""
    echo = template_record(version, "echo", image=f"{ECHO}:{version}-nogit-00000000", tags=("latest",))
    return record(version, **{"templates": {"echo": echo}, **changes})


def seen(
    *records: ReleaseRecord,
    found: tuple[DeliveredImage, ...] | None = (),
    **changes: Any,  # noqa: ANN401 -- any field of an observation, and more `images`
) -> Observation:
    """A world with these records, where the second template's image is served and `found` was delivered."""
    latest = records[-1]
    images = {
        **served(*records),
        f"{ECHO}:latest": latest.templates["echo"].identity,
        f"{IMAGE}:latest": BASE,
        **{each.image: each.identity for each in latest.shadows.values()},
        **{each.reference: each.digest for each in found or ()},
        **changes.pop("images", {}),
    }
    deliveries = {"greeter": AWAY if found is None else Known(found)}
    kept = {name: image for name, image in images.items() if image}
    return observation(*records, images=Known(kept), deliveries=deliveries, **changes)


def shadow(*, proven: bool = True) -> TemplateRecord:
    return template_record(
        "0.1.1", "greeter", image=f"{IMAGE}:candidate-00000000", image_id=SHADOW, proven=proven
    )


def delivered(**labels: str) -> DeliveredImage:
    return DeliveredImage(f"{IMAGE}:latest", NEW, NEW, **labels)


def planned(wanted: WorkspaceRuntime, world: Observation, *, minutes: float = 0.0) -> Plan:
    now = NOON + timedelta(minutes=minutes)
    return decide(wanted, classify(wanted, world), Progress(), now, targets=world.targets)
