"""A Secret is a folder of private files; one that is missing or exposed is refused with what to type."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from controller.model.errors import Terminal
from controller.secret_files import BasicCredentials, read_secret
from controller.settings import INDEX_CA, Settings

FIELD = "spec.package.index.credentialsSecretName"


def read(directory: Path | None, name: str) -> Mapping[str, Path]:
    return read_secret(directory, name, field=FIELD)


def write(folder: Path, files: Mapping[str, str], *, mode: int = 0o600) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
        (folder / name).chmod(mode)
    return folder


def test_a_secret_is_its_files_by_key(tmp_path: Path) -> None:
    write(tmp_path / "ghcr", {".dockerconfigjson": "{}", "ca.crt": "x"})
    assert read(tmp_path, "ghcr") == {
        ".dockerconfigjson": tmp_path / "ghcr" / ".dockerconfigjson",
        "ca.crt": tmp_path / "ghcr" / "ca.crt",
    }


def test_the_identity_of_a_trusted_publisher_reads_nothing_unless_there_are_credentials_beside_it(
    tmp_path: Path,
) -> None:
    write(tmp_path / "alone", {"oidc-token": "a.b.c"})
    assert BasicCredentials.of_reader(read(tmp_path, "alone")) is None
    write(tmp_path / "both", {"oidc-token": "a.b.c", "username": "ci", "password": "x"})
    assert BasicCredentials.of_reader(read(tmp_path, "both")) == BasicCredentials("ci", "x")
    write(tmp_path / "half", {"oidc-token": "a.b.c", "username": "ci"})
    with pytest.raises(Terminal, match="half has no password"):
        BasicCredentials.of_reader(read(tmp_path, "half"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_can_open_is_refused_with_the_command_that_cures_it(
    tmp_path: Path, mode: int
) -> None:
    folder = write(tmp_path / "pypi", {"token": "x"}, mode=mode)
    with pytest.raises(Terminal) as caught:
        read(tmp_path, "pypi")
    assert caught.value.reason == "SecretExposed"
    assert str(caught.value) == (
        f"spec.package.index.credentialsSecretName names Secret pypi, and {folder}/token is accessible to others "
        f"(mode {mode:04o}). Run: chmod 600 {folder}/token"
    )


def test_a_missing_secret_is_named_with_the_folder_to_create(tmp_path: Path) -> None:
    with pytest.raises(Terminal) as caught:
        read(tmp_path, "pypi")
    assert str(caught.value) == (
        f"{FIELD} names Secret pypi, which cannot be read from {tmp_path}/pypi: No such file or directory. "
        f"Create {tmp_path}/pypi with one file per key, for example {tmp_path}/pypi/token, readable only by you."
    )


def test_a_secret_without_a_folder_of_secrets_says_which_option_to_give() -> None:
    with pytest.raises(
        Terminal, match=rf"^{FIELD} names Secret pypi.*Pass --secrets DIR or set WSR_SECRETS_DIR"
    ):
        read(None, "pypi")


@pytest.mark.parametrize("name", ["../etc", "/etc", "a/b", "", ".", ".hidden"])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    write(tmp_path / "inner" / "ok", {"token": "x"})
    with pytest.raises(Terminal, match="is not the name of a Secret"):
        read(tmp_path / "inner", name)


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "pypi", {})
    with pytest.raises(Terminal, match=f"^{FIELD} names Secret pypi, which has no key"):
        read(tmp_path, "pypi")


def test_credentials_are_user_and_password_or_a_token(tmp_path: Path) -> None:
    pair = write(tmp_path / "pair", {"username": "me\n", "password": "hush\n"})
    token = write(tmp_path / "token", {"token": "pypi-x\n"})
    assert BasicCredentials.from_files(read(tmp_path, pair.name)) == BasicCredentials("me", "hush")
    assert BasicCredentials.from_files(read(tmp_path, token.name)) == BasicCredentials("__token__", "pypi-x")


def test_half_a_pair_of_credentials_is_refused_naming_the_missing_key(tmp_path: Path) -> None:
    write(tmp_path / "half", {"username": "me"})
    with pytest.raises(Terminal, match=r"half has no password\. Write the files username and password there"):
        BasicCredentials.from_files(read(tmp_path, "half"))


def test_a_secret_without_the_certificate_that_it_is_named_for_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "pki", {"tls.crt": "x"})
    settings = Settings(tmp_path, "unix:///x", tmp_path / "config.json", secrets_dir=tmp_path)
    assert settings.ca_file(None, field=INDEX_CA) is None
    with pytest.raises(Terminal) as caught:
        settings.ca_file("pki", field=INDEX_CA)
    assert caught.value.reason == "SecretIncomplete"
    assert str(caught.value) == (
        "spec.package.index.caSecretName names Secret pki, which has no ca.crt. "
        "Write there the PEM certificate of the authority that signed the server's."
    )
