"""What a document says of a probe is what the candidate is booted with."""

from typing import Any

import pytest

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.actions import Probe
from controller.model.delivery import DeliveredImage
from controller.model.probe import ModelUse, ProbeOrder
from controller.model.record import ReleaseRecord
from controller.model.record_part import Artifact
from controller.model.template_record import TemplateRecord
from controller.reconcile.probe_order import order_of
from tests.unit.simulator.ground import document

OURS, SHADOW, DELIVERED = ((f"sha256:{letter * 64}", f"sha256:{letter * 63}0") for letter in "abc")
"""What a registry calls each image, and an engine."""
DISPATCHED = {"strategy": "Dispatch", "dispatch": {"repository": "team/echo"}}


def image(digest: str, image_id: str) -> TemplateRecord:
    return TemplateRecord(image="ws/echo:1", digest=digest, image_id=image_id)


def ordered(
    probe: dict[str, Any], build: dict[str, Any] | None = None, delivered: DeliveredImage | None = None
) -> ProbeOrder:
    described: WorkspaceRuntime = document("0.1.0")
    said = {"startDeadlineSeconds": 7, "probe": probe, "build": build or {"directory": "echo"}}
    template = Template.model_validate({"name": "echo", "image": "ws/echo", **said})
    wheel = Artifact(file="a-0.1.0-py3-none-any.whl", sha256="a" * 64, size=1)
    record = ReleaseRecord(
        package="a",
        version="0.1.0",
        publisher=described.key,
        wheel=wheel,
        content_sha256="c" * 64,
        templates={"echo": image(*OURS)},
        shadows={"echo": image(*SHADOW)},
    )
    action = Probe("0.1.0", "echo", DELIVERED[0], "a test", delivered)
    return order_of(described, template, record, action, platform="linux/arm64")


def test_nothing_said_is_the_images_own_way_with_a_model() -> None:
    order = ordered({})
    assert (order.owner, order.template, order.image) == (
        "default/molecule-runtime",
        "echo",
        f"ws/echo@{OURS[0]}",
    )
    assert (order.version, order.content_sha256, order.start_deadline_seconds) == ("0.1.0", "c" * 64, 7)
    assert (order.model, order.platform) == (ModelUse.REQUIRED, "linux/arm64")
    settings = order.settings
    assert (settings.user, settings.read_only_root, settings.config_map) == (None, False, None)
    assert (settings.memory_bytes, settings.nano_cpus, settings.environment) == (None, None, {})


def test_all_that_is_said_is_done() -> None:
    order = ordered(
        {
            "model": "WithoutTools",
            "env": [{"name": "TIER", "value": "1"}, {"name": "EMPTY"}],
            "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}},
            "securityContext": {"runAsUser": 0, "readOnlyRootFilesystem": True},
            "configMapName": "production",
        }
    )
    assert order.model is ModelUse.WITHOUT_TOOLS
    settings = order.settings
    assert settings.environment == {"TIER": "1", "EMPTY": ""}
    assert (settings.user, settings.read_only_root, settings.config_map) == ("0", True, "production")
    assert (settings.memory_bytes, settings.nano_cpus) == (512 << 20, 500_000_000)


@pytest.mark.parametrize(("said", "meant"), [("Required", ModelUse.REQUIRED), ("None", ModelUse.NONE)])
def test_each_use_of_a_model_has_its_word(said: str, meant: ModelUse) -> None:
    assert ordered({"model": said}).model is meant


@pytest.mark.parametrize(
    ("build", "delivered", "booted"),
    [
        (None, None, OURS),
        (DISPATCHED, None, SHADOW),
        (DISPATCHED, DeliveredImage("ws/echo:latest", *DELIVERED), DELIVERED),
    ],
    ids=["our own", "its shadow", "what was delivered"],
)
def test_an_image_is_booted_by_its_digest_and_may_be_called_by_that_of_its_configuration_too(
    build: dict[str, Any] | None, delivered: DeliveredImage | None, booted: tuple[str, str]
) -> None:
    order = ordered({}, build, delivered)
    assert (order.image, order.digests) == (f"ws/echo@{booted[0]}", frozenset(booted))
