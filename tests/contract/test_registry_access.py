"""With which credentials the registry of a document is reached, and that nothing else gets to see them."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from builder.login import Login
from builder.oci import Credential, DockerConfig, Unauthorized
from controller.api import v1alpha1
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_config import (
    pull_credentials,
    registry_access,
    registry_secret,
    secret_folders,
)
from controller.model.errors import Terminal
from controller.settings import Settings
from tests.parts.registry import running_registry, write_htpasswd
from tests.parts.token_server import running_token_server


def _document(host: str, *, push: str | None = None, pull: str | None = None) -> v1alpha1.Registry:
    names = {"pushSecretName": push, "pullSecretName": pull}
    return v1alpha1.Registry.model_validate({"artifacts": f"{host}/artifacts", "insecure": True, **names})


def _settings(folder: Path, environment: Mapping[str, str] | None = None) -> Settings:
    given = {"HOME": str(folder / "home"), "WSR_SECRETS_DIR": str(folder), **(environment or {})}
    return Settings.from_environment(given)


def _secret(folder: Path, name: str, pair: str) -> Mapping[str, Path]:
    """Write the Secret of `user:password`."""
    user, _, word = pair.partition(":")
    return _files(folder / name, {"username": user, "password": word})


def _config_secret(folder: Path, name: str, config: str) -> None:
    _files(folder / name, {".dockerconfigjson": config})


def _files(folder: Path, files: Mapping[str, str]) -> Mapping[str, Path]:
    folder.mkdir()
    for key, value in files.items():
        (folder / key).touch(mode=0o600)
        (folder / key).write_text(value)
    return {key: folder / key for key in files}


def _config(host: str, entry: Mapping[str, str]) -> str:
    return json.dumps({"auths": {host: entry}})


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry in which `reader` may only pull."""
    folder = tmp_path_factory.mktemp("locked")
    with running_token_server(folder, writer="word", reader="word") as tokens:
        tokens.readers = frozenset({"reader"})
        with running_registry(folder / "registry", tokens=tokens) as address:
            yield address


def _access(host: str, settings: Settings, registry: v1alpha1.Registry, *, reading: bool) -> RegistryAccess:
    files = registry_secret(registry, settings, hosts=frozenset({host}), reading=reading)
    return RegistryAccess(host, insecure=True, secret=files)


async def test_the_pull_secret_reads_and_the_push_secret_writes(locked: str, tmp_path: Path) -> None:
    _secret(tmp_path, "push", "writer:word")
    _secret(tmp_path, "pull", "reader:word")
    settings, registry = _settings(tmp_path), _document(locked, push="push", pull="pull")
    reference = f"{locked}/artifacts:1"
    async with Registry(_access(locked, settings, registry, reading=False)) as writing:
        digest = await writing.put_artifact(reference, b"x", kind="text/plain", file="x")
    async with Registry(_access(locked, settings, registry, reading=True)) as reading:
        assert await reading.digest(reference) == digest
        with pytest.raises(Terminal) as refused:
            await reading.put_artifact(f"{locked}/artifacts:2", b"y", kind="text/plain", file="y")
    assert refused.value.reason == "CredentialsMissing"
    assert refused.value.fix == (
        "Name a Secret in registry.pushSecretName (to read: pullSecretName), or run docker login for this registry."
    )


def test_an_engine_pulls_with_the_pull_secret_else_with_the_one_for_pushing(tmp_path: Path) -> None:
    _secret(tmp_path, "push", "writer:w")
    _secret(tmp_path, "pull", "reader:r")
    settings, image = _settings(tmp_path), "r.example/team/x:1"
    both = _document("r.example", push="push", pull="pull")
    assert pull_credentials(both, settings, image=image) == {"username": "reader", "password": "r"}
    push = _document("r.example", push="push")
    assert pull_credentials(push, settings, image=image) == {"username": "writer", "password": "w"}
    pull = _document("r.example", pull="pull")
    assert pull_credentials(pull, settings, image=image) == {"username": "reader", "password": "r"}
    assert pull_credentials(_document("r.example"), settings, image=image) is None


async def test_a_run_is_given_the_folders_of_secrets_and_nothing_that_is_in_them(tmp_path: Path) -> None:
    _secret(tmp_path, "push", "writer:w")
    _secret(tmp_path, "pull", "reader:r")
    settings, run, hosts = _settings(tmp_path), tmp_path / "run", frozenset({"r.example"})
    pull = _document("r.example", pull="pull")
    assert registry_access(pull, settings, hosts=hosts, folder=run) == {
        "insecure": True,
        "dockerConfig": None,
        "caFile": None,
        "pullConfig": str(tmp_path / "pull"),
        "hosts": ["r.example"],
    }
    both = _document("r.example", push="push", pull="pull")
    given = registry_access(both, settings, hosts=hosts, folder=run)
    assert not run.exists(), "the credentials are in no second place"
    assert secret_folders(both, settings) == (tmp_path / "push", tmp_path / "pull")
    logins = [Login(Path(given[key]), tuple(given["hosts"])) for key in ("dockerConfig", "pullConfig")]
    shown = [await login.credentials().for_host("r.example") for login in logins]
    assert shown == [Credential("writer", "w"), Credential("reader", "r")]
    assert await logins[0].credentials().for_host("other.example") is None
    logins[0].put_into(tmp_path / "docker")
    assert await DockerConfig(tmp_path / "docker" / "config.json").for_host("r.example") == shown[0]
    push = _document("r.example", push="push")
    assert registry_access(push, settings, hosts=hosts, folder=run)["pullConfig"] is None


def test_ghcr_variables_are_for_ghcr_and_where_no_secret_is_named(tmp_path: Path) -> None:
    settings = _settings(tmp_path, {"GHCR_USER": "octo", "GHCR_TOKEN": "cat"})
    found = {
        host: pull_credentials(_document(host), settings, image=f"{host}/team/x:1")
        for host in ("ghcr.io", "r.example")
    }
    assert found == {"ghcr.io": {"username": "octo", "password": "cat"}, "r.example": None}
    _secret(tmp_path, "own", "me:mine")
    named = _document("ghcr.io", push="own")
    assert pull_credentials(named, settings, image="ghcr.io/team/x:1") == {
        "username": "me",
        "password": "mine",
    }


@pytest.mark.parametrize(
    ("entry", "given"),
    [
        ({"username": "me", "password": "se:cret"}, {"username": "me", "password": "se:cret"}),
        (
            {"auth": base64.b64encode(b"me:se:cret").decode()},
            {"username": "me", "password": "se:cret"},
        ),
        ({"identitytoken": "long-lived"}, {"identitytoken": "long-lived"}),
        ({}, None),
    ],
)
def test_an_engine_is_given_each_form_of_a_docker_configuration(
    tmp_path: Path, entry: dict[str, str], given: dict[str, str] | None
) -> None:
    _config_secret(tmp_path, "pull", _config("r.example", entry))
    registry, settings = _document("r.example", pull="pull"), _settings(tmp_path)
    assert pull_credentials(registry, settings, image="r.example/team/x:1") == given
    assert pull_credentials(registry, settings, image="other.example/team/x:1") is None


def test_one_password_is_not_sent_to_two_registries(tmp_path: Path) -> None:
    _secret(tmp_path, "push", "me:mine")
    _config_secret(tmp_path, "both", _config("r.example", {"username": "me", "password": "mine"}))
    hosts, settings = frozenset({"r.example", "other.example"}), _settings(tmp_path)
    with pytest.raises(Terminal) as refused:
        registry_access(_document("r.example", push="push"), settings, hosts=hosts, folder=tmp_path)
    assert refused.value.reason == "SecretIncomplete"
    assert str(refused.value) == (
        "spec.registry.pushSecretName names Secret push, which has one password, and the document names the registries other.example and r.example. "
        "Write .dockerconfigjson there, with an entry for each."
    )
    registry_access(_document("r.example", push="both"), settings, hosts=hosts, folder=tmp_path)


async def test_a_secret_that_was_renewed_is_read_again(tmp_path: Path) -> None:
    files = _secret(tmp_path, "push", "robot:old")
    with running_registry(tmp_path / "registry", users={"robot": "old"}) as address:
        async with Registry(RegistryAccess(address, insecure=True, secret=files)) as registry:
            await registry.tags(f"{address}/any")
            write_htpasswd(tmp_path / "registry", {"robot": "new"})
            files["password"].write_text("new")
            await registry.tags(f"{address}/any")


def _helper(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper that notes what it sees."""
    seen, helper = folder / "seen", folder / "docker-credential-noting"
    helper.write_text(f'#!/bin/sh\nenv > {seen}\necho \'{{"Username": "robot", "Secret": "right"}}\'\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return seen


async def test_a_credential_helper_sees_none_of_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _helper(tmp_path, monkeypatch)
    monkeypatch.setenv("PYPI_TOKEN", "pypi-hush")
    config = tmp_path / "config.json"
    config.write_text('{"credsStore": "noting"}')
    with running_registry(tmp_path / "registry", users={"robot": "right"}) as address:
        environment = Settings.of_process().child_environment
        access = RegistryAccess(address, insecure=True, docker_config=config, helper_environment=environment)
        async with Registry(access) as registry:
            await registry.tags(f"{address}/any")
    assert "PATH=" in seen.read_text()
    assert "hush" not in seen.read_text()


async def test_a_credential_helper_is_a_name_and_no_path(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"credHelpers": {"r.example": "x/../../bin/sh"}}')
    with pytest.raises(Unauthorized) as refused:
        await DockerConfig(config).for_host("r.example")
    assert str(refused.value) == (
        f"{config} names the credential helper 'x/../../bin/sh', which is no name of a program. "
        "Correct credsStore/credHelpers."
    )


@pytest.mark.parametrize("text", ["[]", '{"auths": ["x"]}', '{"credHelpers": "x"}'])
async def test_what_is_no_docker_configuration_is_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config.json"
    config.write_text(text)
    with pytest.raises(Unauthorized) as refused:
        await DockerConfig(config).for_host("r.example")
    assert str(refused.value) == (
        f"The docker configuration {config} is not one: it, auths and credHelpers must be JSON objects. "
        "Write it with docker login."
    )


async def test_a_tag_with_nothing_behind_it_is_listed_and_keeps_nothing(tmp_path: Path) -> None:
    with running_registry(tmp_path) as address:
        async with Registry(RegistryAccess(address, insecure=True)) as registry:
            repository = f"{address}/images"
            kept, lost = [
                await registry.put_artifact(
                    f"{repository}:{tag}", tag.encode(), kind="application/x.test", file=tag
                )
                for tag in ("kept", "lost")
            ]
            of_it = tmp_path / "data/docker/registry/v2/repositories/images/_manifests/revisions"
            (of_it / lost.replace(":", "/") / "link").unlink()
            assert set(await registry.tags(repository)) == {"kept", "lost"}
            assert await registry.standing_on(repository, ["kept", "lost"]) == {kept: "kept"}
