"""A registry that refuses or is away while a release goes through it: what a user is told, and that it goes on afterwards."""

import re
from pathlib import Path

import pytest

from tests.e2e.scene import Scene
from tests.parts.registry import running_registry
from tests.parts.servers import free_port


def _said(scene: Scene, type_: str) -> tuple[str, str, str]:
    condition = scene.desk.condition(type_)
    assert condition is not None
    return condition["status"], condition["reason"], condition["message"]


@pytest.mark.long
def test_a_registry_that_takes_no_writes_is_named_with_the_cure_and_used_when_it_does(
    scene: Scene, tmp_path: Path
) -> None:
    port = free_port()
    with running_registry(tmp_path / "registry", port=port, read_only=True) as registry:
        scene.desk.keep_in(registry)
        artifacts = re.escape(f"{registry}/{scene.desk.prefix}artifacts")
        running = scene.desk.start("run")
        running.until(
            rf"Building: {re.escape(registry)} answered 405 to POST {artifacts}@sha256:[0-9a-f]{{64}}\. "
            r"It takes no writes: end its read-only mode, or name another registry; trying again\.$"
        )
        assert scene.desk.condition("Stalled") is None
    with running_registry(tmp_path / "registry", port=port):
        running.until(r"adopt 0\.1\.0: molecule_ai_workspace_runtime-0\.1\.0-py3-none-any\.whl")
        running.interrupt()


def test_a_registry_that_is_down_or_wants_a_password_is_unknown_and_says_why(
    scene: Scene, tmp_path: Path
) -> None:
    port = free_port()
    registry = f"127.0.0.1:{port}"
    scene.desk.keep_in(registry)
    scene.desk.run("--wait", "2s", code=3)
    status, reason, message = _said(scene, "ImagesBuilt")
    assert (status, reason) == ("Unknown", "Unknown")
    begins = f"The release records cannot be read: The registry {registry} cannot be reached for "
    assert message.startswith(f"{begins}{registry}/{scene.desk.prefix}artifacts:changed: ")

    with running_registry(tmp_path / "registry", port=port, users={"robot": "right"}):
        scene.desk.run(code=1)
        assert _said(scene, "ImagesBuilt")[:2] == ("Unknown", "Unknown")
        status, reason, message = _said(scene, "Stalled")
        assert (status, reason) == ("True", "CredentialsMissing")
        assert _said(scene, "Ready") == ("Unknown", reason, message)
        assert scene.desk.condition("Reconciling") is None
        assert message == (
            f"The release records cannot be read: The registry {registry} asks for a user and password and none are "
            f"known for it. Add them to the docker configuration: docker login {registry}. Name a Secret in "
            "registry.pushSecretName (to read: pullSecretName), or run docker login for this registry."
        )
        pair = {"username": "robot", "password": "wrong"}
        scene.desk.write_secret("registry", **pair)
        with scene.desk.editing() as spec:
            spec["registry"]["pushSecretName"] = "registry"
        running = scene.desk.start("run")
        running.until("CredentialsMissing: The release records cannot be read: ")
        scene.desk.write_secret("registry", **{**pair, "password": "right"})
        running.until("cascade .*: because")
        running.interrupt()
        scene.desk.run("--until", "ImagesBuilt")
    assert _said(scene, "ImagesBuilt")[0] == "True"
