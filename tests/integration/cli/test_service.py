"""`wsr run` as a service: unit and compose file say what systemd, the command line and the settings understand."""

import re
import shlex
import subprocess
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from controller.cli.run import run
from controller.settings import Settings
from tests.e2e.wsr import WSR
from tests.parts.ground import need
from tools.images.recipes import RECIPES

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
UNIT = DEPLOY / "wsr.service"
PLACES = {"WSR_STATE_DIR": "/var/lib/wsr", "WSR_SECRETS_DIR": "/etc/wsr/secrets"}
LISTENS = ("127.0.0.1", 8089)


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    """The compose file's one service; a variable that must be set has its name for a value."""
    text = re.sub(r"\$\{(\w+):\?[^}]*\}", r"\1", (DEPLOY / "compose.yaml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)["services"]["wsr"]
    return found


def options(words: list[str]) -> click.Context:
    """What `wsr run` takes these words for; a word that it does not know fails."""
    assert words[0] == "run"
    return run.make_context("run", words[1:])


def test_systemd_understands_every_line_of_the_unit_and_rates_what_is_left_to_it(tmp_path: Path) -> None:
    analyze = need("systemd-analyze", package="systemd")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/workspace-runtime/.venv/bin/wsr", str(WSR)))
    verified = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    # In tenths: below 20 it is "OK", as what needs the network and the engine's socket can be.
    rated = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
    assert subprocess.run(rated, capture_output=True, check=False).returncode == 0


def test_the_unit_starts_what_the_command_line_takes_and_is_not_started_anew_where_a_person_is_needed() -> (
    None
):
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys as they are written
    unit.read(UNIT)
    context = options(shlex.split(unit["Service"]["ExecStart"])[1:])
    assert (context.params["listen"], context.params["once"]) == (LISTENS, False)
    environment = dict(word.split("=", 1) for word in shlex.split(unit["Service"]["Environment"]))
    assert environment == PLACES
    assert unit["Service"]["StateDirectory"] == Path(environment["WSR_STATE_DIR"]).name
    assert unit["Service"]["RestartPreventExitStatus"] == "2"


def test_the_compose_file_starts_what_the_command_line_takes_with_places_that_are_there(
    service: dict[str, Any],
) -> None:
    context = options(service["command"])
    assert (context.params["listen"], context.params["once"]) == (LISTENS, False)
    variables = service["environment"]
    assert {name: value for name, value in variables.items() if value is not None} == PLACES
    targets = {mount["target"]: mount.get("read_only", False) for mount in service["volumes"]}
    assert targets == {"/etc/wsr": True, "/var/lib/wsr": False, "/var/run/docker.sock": False}
    assert str(context.params["file"]).startswith("/etc/wsr/")
    given = {name: value or "x" * 20 for name, value in variables.items()} | {"HOME": "/tmp"}  # noqa: S108 -- read, not used
    given["MOLECULE_IMAGE_PLATFORM"] = "linux/amd64"
    settings = Settings.from_environment(given)
    assert settings.docker_host == "unix:///var/run/docker.sock"
    secrets = {settings.admin_token, settings.pypi_token, settings.dispatch_token}
    assert (secrets, settings.ghcr is not None) == ({"x" * 20}, True), "a variable that nobody reads"


def test_the_container_may_do_nothing_but_use_the_engine_and_is_asked_where_it_listens(
    service: dict[str, Any],
) -> None:
    assert service["read_only"] is True
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert not {"privileged", "cap_add", "devices", "user", "pid", "ipc"} & set(service)
    host, port = LISTENS
    assert f"'http://{host}:{port}/healthz'" in service["healthcheck"]["test"][-1]
    assert RECIPES["workspace-runtime-wsr"].entrypoint == ("wsr",)
    assert "workspace-runtime-wsr" in (DEPLOY / "compose.yaml").read_text()
