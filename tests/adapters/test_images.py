"""Images of the real templates, built from their Dockerfiles and taken through the gate."""

import json
import subprocess
from typing import Any

import docker
import pytest

from tests.adapters.conftest import Bench
from tests.e2e.desk import Desk
from tests.parts.template import TEMPLATES


def candidate(desk: Desk, name: str, engine: str) -> dict[str, Any]:
    """Take the template through the gate, and return what the engine says of the image that passed."""
    desk.run("--until", "ImagesBuilt")
    client = docker.DockerClient(base_url=engine)
    try:
        images = client.images.list(desk.image(name))
        (found,) = [image for image in images if any("candidate-" in tag for tag in image.tags)]
        return dict(found.attrs)
    finally:
        client.close()


def in_image(engine: str, image: str, command: str) -> str:
    words = ["docker", "-H", engine, "run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "sh"]
    done = subprocess.run([*words, image, "-c", command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(folder.name, marks=[] if folder.name == "gemini-cli" else [pytest.mark.long])
        for folder in sorted(TEMPLATES.iterdir())
    ],
)
def test_a_template_passes_the_gate_with_a_read_only_root(bench: Bench, engine: str, name: str) -> None:
    image = candidate(bench.lay_out(name, securityContext={"readOnlyRootFilesystem": True}), name, engine)
    config = image["Config"]
    assert (config["User"], config["Entrypoint"]) == ("agent", ["molecule-runtime"])
    assert "ADAPTER_MODULE=adapter" in config["Env"]
    assert config["Labels"]["ai.molecule.runtime.version"] == "0.1.0"
    seen = in_image(engine, image["Id"], "id -u agent; cat /root/.npmrc /etc/pip.conf; ls /app /tmp")
    assert seen.splitlines()[0] == "1000"
    assert seen.count("No such file") == 2
    assert "tests" not in seen
    assert "npmrc" not in json.dumps(image)
