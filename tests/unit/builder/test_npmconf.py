"""Where npm on this machine gets packages, and what of that a build is told."""

from pathlib import Path

import pytest

from builder.npmconf import Npm

NPMRC = """\
; of the user
registry = "https://npm.example/team/"
@ours:registry=https://ours.example/
//npm.example/team/:_authToken=${TEAM_TOKEN}
//ours.example/:_password=c2VjcmV0=
fund=false
nodedir=/usr
empty=
"""


def machine(home: Path, **environment: str) -> Npm:
    return Npm.of_machine({"HOME": str(home), "npm_config_globalconfig": str(home / "global"), **environment})


def test_what_reaches_a_registry_is_taken_over_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text(NPMRC)
    npm = machine(tmp_path, TEAM_TOKEN="token-1")  # noqa: S106 -- of nobody
    assert npm.to_npmrc(ca_file="/ca").splitlines() == [
        "registry=https://npm.example/team/",
        "@ours:registry=https://ours.example/",
        "//npm.example/team/:_authToken=token-1",
        "//ours.example/:_password=c2VjcmV0=",
    ]


def test_the_environment_wins_over_the_user_s_file_and_that_over_the_global_one(tmp_path: Path) -> None:
    (tmp_path / "global").write_text("registry=https://global.example/\nproxy=http://proxy.example\n")
    assert machine(tmp_path).options["registry"] == "https://global.example/"
    (tmp_path / ".npmrc").write_text("registry=https://user.example/\n")
    assert machine(tmp_path).options == {"registry": "https://user.example/", "proxy": "http://proxy.example"}
    named = tmp_path / "named"
    named.write_text("registry=https://named.example/\n")
    assert machine(tmp_path, NPM_CONFIG_USERCONFIG=str(named)).options["registry"] == "https://named.example/"
    assert (
        machine(tmp_path, NPM_CONFIG_REGISTRY="https://e.example/").options["registry"]
        == "https://e.example/"
    )


@pytest.mark.parametrize("variable", ["npm_config_cafile", "NODE_EXTRA_CA_CERTS"])
def test_the_ca_file_is_named_where_the_build_has_it(tmp_path: Path, variable: str) -> None:
    ca_file = tmp_path / "ca.pem"
    assert machine(tmp_path, **{variable: str(ca_file)}).ca_file is None
    ca_file.touch()
    npm = machine(tmp_path, **{variable: str(ca_file)})
    assert (npm.ca_file, npm.to_npmrc(ca_file="/dev/x")) == (ca_file, "cafile=/dev/x\n")


def test_a_file_that_is_no_npmrc_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "global").write_bytes(b"\xff\xfe")
    (tmp_path / ".npmrc").mkdir()
    npm = machine(tmp_path)
    assert (npm.to_npmrc(ca_file="/ca"), npm.on_loopback) == ("", False)


def test_a_registry_on_loopback_is_known_as_one(tmp_path: Path) -> None:
    assert machine(tmp_path, npm_config_registry="http://localhost:4873/").on_loopback
    (tmp_path / ".npmrc").write_text("@ours:registry=http://127.0.0.1:4873/\n")
    assert machine(tmp_path, npm_config_registry="https://npm.example/").on_loopback


def test_credentials_do_not_show_when_the_options_are_printed(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text("//npm.example/:_authToken=token-1\n")
    assert "token-1" not in repr(machine(tmp_path))
