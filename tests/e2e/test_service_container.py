"""The compose file's container on a real engine: it may do next to nothing, and does its work."""

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.scene import Scene
from tests.parts.our_images import push_our_image
from tests.parts.servers import free_port

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
NOBODY = 65532
WORD = "a word that nobody guesses"
pytestmark = pytest.mark.long


@pytest.fixture
def service() -> dict[str, Any]:
    text = re.sub(r"\$\{(\w+):\?[^}]*\}", r"\1", COMPOSE.read_text())
    found: dict[str, Any] = yaml.safe_load(text)["services"]["wsr"]
    return found


def docker_run(service: dict[str, Any], *, image: str, name: str, folder: Path, port: int) -> list[str]:
    """The compose file's container as `docker run` makes it, at another port and with this folder for its own."""
    sources = {".": folder, "./state": folder / "state"}
    mounts = []
    for mount in service["volumes"]:
        source = sources.get(mount["source"], mount["source"])
        mounts.append(f"type=bind,source={source},target={mount['target']}")
        mounts[-1] += ",readonly" if mount.get("read_only") else ""
    environment = {key: value for key, value in service["environment"].items() if value is not None}
    words = [word.replace("8089", str(port)) for word in service["command"]]
    socket = Path("/var/run/docker.sock").stat()
    return [
        *("docker", "run", "--detach", "--name", name, "--network", service["network_mode"]),
        *("--read-only", "--pids-limit", str(service["pids_limit"]), "--group-add", str(socket.st_gid)),
        *(f"--cap-drop={each}" for each in service["cap_drop"]),
        *(f"--security-opt={each}" for each in service["security_opt"]),
        *(f"--tmpfs={each}" for each in service["tmpfs"]),
        *(f"--mount={each}" for each in mounts),
        *(f"--env={key}={value}" for key, value in environment.items()),
        *(image, *words),
    ]


@pytest.fixture
def container(
    service: dict[str, Any], rollout: Scene, registry: str, docker_prefix: str
) -> Iterator[tuple[str, int]]:
    image, name, port = push_our_image("workspace-runtime-wsr", registry), f"{docker_prefix}wsr", free_port()
    desk = rollout.desk
    desk.write_secret("hooks", token=WORD)
    desk.state.mkdir(exist_ok=True)
    # The document's folder is read by anybody, Secrets and state are of whom the image runs as.
    desk.folder.chmod(0o755)
    for path in (desk.state, desk.folder / "secrets"):
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", path], check=True)
    command = docker_run(service, image=image, name=name, folder=desk.folder, port=port)
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield name, port
    finally:
        print(subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=False).stderr)  # noqa: T201 -- for whoever looks into a failure
        subprocess.run(["docker", "rm", "-f", name], check=False, capture_output=True)
        subprocess.run(["docker", "rmi", image], check=False, capture_output=True)
        subprocess.run(["chown", "-R", f"{os.getuid()}", desk.state, desk.folder / "secrets"], check=True)


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def test_it_rolls_workspaces_tells_its_health_and_ends_with_0_when_it_is_stopped(
    rollout: Scene, container: tuple[str, int]
) -> None:
    name, port = container
    workspace = rollout.fleet.add("plain-1", rollout.images["0.1.0"]["plain"], networks=["front"])
    rollout.fleet.until(workspace, "0.1.1")
    deadline = time.monotonic() + 60
    while asked(port, "/readyz")[0] != 200:
        assert time.monotonic() < deadline, asked(port, "/readyz")
        time.sleep(0.2)
    assert asked(port, "/healthz") == (200, "ok\n")
    assert json.loads(asked(port, "/readyz")[1])["unreadable"] == []
    assert "wsr_last_pass_age_seconds" in asked(port, "/metrics")[1]
    said = subprocess.run(
        ["docker", "exec", name, "wsr", "status", "-f", "/etc/wsr/runtime.yaml", "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(said.stdout)["rollout"]["total"] == 1
    subprocess.run(["docker", "stop", "--time", "60", name], check=True, capture_output=True)
    state = subprocess.run(
        ["docker", "inspect", "--format", "{{.State.ExitCode}}", name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert state.stdout == "0\n"
