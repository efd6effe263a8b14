"""A repository's host gets what the Secret has for it, and nobody else does; what is refused says which field to mend."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.api.v1alpha1 import Source
from controller.clients import checkouts as module
from controller.model.errors import Terminal, Transient
from tests.contract.checking_out import FILES, Ground, ground_in, refused, source
from tests.parts.certificate import make_certificate
from tests.parts.git_server import GitServer, running_git_server
from tests.parts.ssh_server import SshServer, make_key, running_ssh_server

FIELD = "spec.source.git.credentialsSecretName"
TOKEN = "let-me-in"  # noqa: S105 -- of the tests' servers only


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground_in(tmp_path) as made:
        made.repository.commit(FILES)
        yield made


@pytest.fixture
def server(ground: Ground) -> Iterator[GitServer]:
    with running_git_server(ground.served) as running:
        yield running


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with running_ssh_server(tmp_path_factory.mktemp("ssh")) as running:
        yield running


def core(server: GitServer, **git: str | bool) -> Source:
    return source(f"{server.url}/core.git", **{"ref": "main", "credentialsSecretName": "git", **git})


@pytest.mark.parametrize(
    "keys",
    [
        {"token": TOKEN},
        {"token": f"{TOKEN}\n"},
        {"username": "x-access-token", "password": TOKEN},
        {"username": "x-access-token", "token": TOKEN},
    ],
)
async def test_a_token_or_a_user_and_a_password_open_a_repository(
    ground: Ground, server: GitServer, keys: dict[str, str]
) -> None:
    ground.secret("git", **keys)
    assert (await ground.checkouts().look(core(server), "0.1.0")).commit
    assert {given for _, given in server.seen} == {None, server.authorization}


async def test_what_is_refused_says_which_key_of_which_secret_and_where_it_is_named(
    ground: Ground, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAILED_SECONDS", 0.0)
    url = f"{server.url}/core.git"
    checkouts = ground.checkouts()
    problem = await refused(checkouts, source(url, ref="main"))
    assert isinstance(problem, Terminal)
    assert problem.reason == "CredentialsMissing"
    assert str(problem) == (
        f"{url} is not for everybody, and {FIELD} names no Secret. Name there a Secret with token, or username and"
        " password, that may read this repository."
    )
    ground.secret("git", token="some-other-word")  # noqa: S106 -- nobody takes it
    problem = await refused(checkouts, core(server))
    assert str(problem) == (
        f"{url} refuses what Secret git has as token. Give token of Secret git ({FIELD}) the right to read this"
        " repository."
    )
    server.spoil = lambda _: (403, {})
    assert isinstance(problem := await refused(checkouts, core(server)), Terminal)
    assert problem.reason == "CredentialsMissing"
    server.spoil = lambda _: (404, {})
    problem = await refused(checkouts, core(server))
    assert isinstance(problem, Terminal)
    assert (problem.reason, str(problem)) == (
        "SourceNotFound",
        (
            f"There is no repository {url}, or it is kept from whoever may not read it. Correct spec.source.git.url, or"
            " name in credentialsSecretName beside it a Secret that may."
        ),
    )
    server.spoil = lambda _: None
    ground.secret("git", token=TOKEN)
    assert (await checkouts.look(core(server), "0.1.0")).commit, (
        "a corrected Secret is read without a restart"
    )


async def test_a_secret_that_lacks_its_keys_is_named(
    ground: Ground, server: GitServer, ssh: SshServer
) -> None:
    problem = await refused(ground.checkouts(), core(server))
    assert isinstance(problem, Terminal)
    assert problem.reason == "SecretNotFound"
    ground.secret("git", username="me")
    problem = await refused(ground.checkouts(), core(server))
    folder = ground.folder / "secrets" / "git"
    assert str(problem) == f"{folder} has no password. Write the files username and password there, or token."
    by_ssh = source(ssh.url(ground.repository.folder), ref="main", credentialsSecretName="key")
    ground.secret("key", ssh_privatekey=ssh.private_key)
    problem = await refused(ground.checkouts(), by_ssh)
    assert str(problem) == (
        f"{FIELD} names Secret key, which has no known_hosts. Write there the host's line, as ssh-keyscan prints it,"
        " once you have compared it."
    )


async def test_no_secret_is_in_an_argument_or_in_what_is_said(
    ground: Ground, server: GitServer, tmp_path: Path
) -> None:
    secret = "a-word-that-nobody-may-see"  # noqa: S105 -- of this test only
    ground.secret("git", token=secret)
    spied = tmp_path / "bin" / "git"
    spied.parent.mkdir()
    spied.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{tmp_path}/arguments\nexec /usr/bin/git "$@"\n')
    spied.chmod(0o755)
    checkouts = ground.checkouts({"PATH": f"{spied.parent}:/usr/bin:/bin"})
    problem = await refused(checkouts, core(server))
    assert secret not in str(problem)
    assert secret not in (tmp_path / "arguments").read_text()
    server.token = secret
    checkouts.look_anew()
    assert (await checkouts.look(core(server), "0.1.0")).commit
    said = (tmp_path / "arguments").read_text()
    assert "fetch" in said
    assert secret not in said
    kept = [each.read_bytes() for each in ground.cache.rglob("*") if each.is_file()]
    assert not [each for each in kept if secret.encode() in each]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_redirect_to_another_host_does_not_carry_credentials(
    ground: Ground, server: GitServer, *, at_once: bool
) -> None:
    ground.secret("git", token=TOKEN)
    with running_git_server(ground.served) as other:
        leads_there = {"Location": f"{other.url}/core.git/info/refs?service=git-upload-pack"}

        def spoil(_: str) -> tuple[int, dict[str, str]] | None:
            shown = server.seen[-1][1] is not None
            return (302, leads_there) if shown or at_once else None

        server.spoil = spoil
        problem = await refused(ground.checkouts(), core(server))
        assert isinstance(problem, Terminal)
        assert problem.reason == "CredentialsMissing"
        assert [given for _, given in server.seen][-1] == (None if at_once else server.authorization)
        assert other.seen
        assert {given for _, given in other.seen} == {None}


async def test_the_users_own_configuration_of_git_is_not_used(
    ground: Ground, server: GitServer, tmp_path: Path
) -> None:
    (tmp_path / ".gitconfig").write_text(
        f'[url "{server.url}/stolen"]\n insteadOf = "{server.url}/core"\n[http]\n sslVerify = false\n'
    )
    server.open = True
    more = {"HOME": str(tmp_path), "GIT_SSL_NO_VERIFY": "1", "GIT_DIR": "/nonexistent", "GIT_TRACE": "1"}
    at = source(f"{server.url}/core.git", ref="main")
    assert (await ground.checkouts(more).look(at, "0.1.0")).commit


async def test_a_host_with_an_authority_of_its_own_is_trusted_by_ca_crt_and_not_without(
    ground: Ground,
) -> None:
    certificate = make_certificate(ground.folder / "tls")
    with running_git_server(ground.served, certificate) as server:
        ground.secret("git", token=TOKEN)
        no_verification = {"GIT_SSL_NO_VERIFY": "1"}
        problem = await refused(ground.checkouts(no_verification), core(server))
        assert isinstance(problem, Terminal)
        assert (problem.reason, str(problem)) == (
            "SourceRefused",
            (
                "The certificate of 127.0.0.1 is not trusted. Write the PEM certificate of the authority that signed it"
                f" into ca.crt of the Secret that {FIELD} names."
            ),
        )
        assert [given for _, given in server.seen if given] == []
        ground.secret("git", ca_crt=certificate.file.read_text())
        assert (await ground.checkouts().look(core(server), "0.1.0")).commit
        server.open = True
        ground.secret("anybody", ca_crt=certificate.file.read_text())
        at = core(server, credentialsSecretName="anybody")
        assert (await ground.checkouts().look(at, "0.1.0")).commit


async def test_a_host_that_nobody_knows_or_that_does_not_listen_may_come_back(ground: Ground) -> None:
    problem = await refused(ground.checkouts(), source("https://git.invalid/team/core", ref="main"))
    assert isinstance(problem, Transient)
    assert str(problem) == "https://git.invalid/team/core cannot be read: the host git.invalid is not known"
    problem = await refused(ground.checkouts(), source("http://127.0.0.1:1/core.git", ref="main"))
    assert isinstance(problem, Transient)
    assert str(problem).startswith("http://127.0.0.1:1/core.git cannot be read: fatal: unable to access")


async def test_a_key_opens_a_repository_over_ssh_on_a_host_that_is_known(
    ground: Ground, ssh: SshServer
) -> None:
    ground.secret("git", ssh_privatekey=ssh.private_key, known_hosts=ssh.known_hosts)
    at = source(ssh.url(ground.repository.folder), ref="main", credentialsSecretName="git")
    assert (await ground.checkouts().look(at, "0.1.0")).commit


async def test_what_ssh_refuses_says_which_key_of_the_secret_to_mend(
    ground: Ground, ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAILED_SECONDS", 0.0)
    url = ssh.url(ground.repository.folder)
    at = source(url, ref="main", credentialsSecretName="git")
    other, other_public = await asyncio.to_thread(make_key, ground.folder / "other")
    locked, _ = await asyncio.to_thread(make_key, ground.folder / "locked", "a password")
    ground.secret("git", ssh_privatekey=ssh.private_key, known_hosts=f"[127.0.0.1]:{ssh.port} {other_public}")
    problem = await refused(ground.checkouts(), at)
    assert isinstance(problem, Terminal)
    assert (problem.reason, str(problem)) == (
        "SourceRefused",
        (
            "The key of 127.0.0.1 is not the one in known_hosts of Secret git. Compare it with what the host's owner says,"
            " and write that line there, as ssh-keyscan prints it."
        ),
    )
    ground.secret("git", known_hosts=ssh.known_hosts)
    for refused_key in (other, locked):
        ground.secret("git", ssh_privatekey=refused_key)
        problem = await refused(ground.checkouts(), at)
        assert str(problem) == (
            f"{url} refuses what Secret git has as ssh-privatekey. Give ssh-privatekey of Secret git ({FIELD}) the right to"
            " read this repository; a key with a password is never used."
        )
    ground.secret("git", ssh_privatekey="no key at all\n")
    problem = await refused(ground.checkouts(), at)
    assert isinstance(problem, Terminal)
    assert (problem.reason, str(problem)) == (
        "SecretIncomplete",
        (
            "ssh-privatekey of Secret git is no private key. Write there one in PEM or in OpenSSH's format, without a"
            " password."
        ),
    )
    ground.secret("git", ssh_privatekey=ssh.private_key)
    absent = source(ssh.url(ground.folder / "absent.git"), ref="main", credentialsSecretName="git")
    problem = await refused(ground.checkouts(), absent)
    assert isinstance(problem, Terminal)
    assert problem.reason == "SourceNotFound"
