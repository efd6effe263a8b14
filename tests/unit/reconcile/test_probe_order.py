"""What a document says of a probe is what the candidate is booted with."""

from typing import Any

import pytest

from controller.api.v1alpha1 import Template, WorkspaceRuntime
from controller.model.probe import ModelUse, ProbeOrder
from controller.model.record import ReleaseRecord
from controller.model.record_part import Artifact
from controller.reconcile.probe_order import order_of
from tests.unit.simulator.ground import document


def ordered(probe: dict[str, Any]) -> ProbeOrder:
    described: WorkspaceRuntime = document("0.1.0")
    build = {"directory": "echo"}
    template = Template.model_validate(
        {"name": "echo", "image": "ws/echo", "startDeadlineSeconds": 7, "probe": probe, "build": build}
    )
    wheel = Artifact(file="a-0.1.0-py3-none-any.whl", sha256="a" * 64, size=1)
    record = ReleaseRecord(
        package="a", version="0.1.0", publisher=described.key, wheel=wheel, content_sha256="c" * 64
    )
    return order_of(described, template, record, image="ws/echo:1")


def test_nothing_said_is_the_images_own_way_with_a_model() -> None:
    order = ordered({})
    assert (order.owner, order.template, order.image) == ("default/molecule-runtime", "echo", "ws/echo:1")
    assert (order.version, order.content_sha256, order.start_deadline_seconds) == ("0.1.0", "c" * 64, 7)
    assert order.model is ModelUse.REQUIRED
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
