"""What a document of a cluster may ask for, which Secrets it names and where these are sent."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from controller.model.errors import Terminal
from controller.operator.refusals import check
from controller.operator.secret_uses import SecretUse, host_of, uses_of
from controller.operator.store import document_of
from controller.operator.world import foundation_of, settings_of_object
from controller.settings import Settings
from tests.unit.operator.documents import document, whole

GITHUB = "https://api.github.example"


def test_a_document_of_a_cluster_is_served() -> None:
    check(document(), namespaces={"agents", "more"})


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            {
                "registry": {"mode": "Engine", "artifacts": "records"},
                "templates": [{"name": "echo", "image": "echo", "build": {"directory": "echo"}}],
                "targets": {"dockerHosts": [{"name": "local", "endpoint": "unix:///var/run/docker.sock"}]},
            },
            (
                "spec.registry.mode is Engine, and a cluster pulls from a registry. Write Remote, and in "
                "spec.registry.artifacts and every image a repository with its host."
            ),
        ),
        (
            {"source": {"directory": "workspace"}},
            (
                "spec.source.directory names a folder, and the operator sees none of yours. Write spec.source.git with the "
                "repository that it is in."
            ),
        ),
        (
            {
                "templates": [
                    {
                        "name": "echo",
                        "image": "registry.example/echo",
                        "build": {"directory": "templates/echo"},
                    }
                ]
            },
            (
                "spec.templates[0].build.directory names a folder, and the operator sees none of yours. Write "
                "spec.templates[0].build.git with the repository that it is in."
            ),
        ),
        (
            {"targets": {"dockerHosts": [{"name": "local", "endpoint": "unix:///var/run/docker.sock"}]}},
            (
                "spec.targets.dockerHosts[0].endpoint is a socket, which only its own machine has. Write "
                "tcp://HOST:PORT with tlsSecretName, or run the document with wsr run on that machine."
            ),
        ),
    ],
)
def test_what_one_machine_alone_has_is_refused_with_what_to_write(spec: dict[str, Any], told: str) -> None:
    with pytest.raises(Terminal) as refused:
        check(document(**spec), namespaces={"agents", "more"})
    assert refused.value.reason == "StandaloneOnly"
    assert str(refused.value) == told


def test_namespaces_that_the_operator_was_not_given_are_refused() -> None:
    with pytest.raises(Terminal) as refused:
        check(document(), namespaces={"molecule", "agents"})
    assert refused.value.reason == "NamespaceNotAllowed"
    assert str(refused.value) == (
        "spec.targets.workloads[0].namespaces names more, where this operator may not act. Have whoever installed it add "
        "the namespace to targetNamespaces of its chart, or remove it here."
    )


def test_a_document_that_only_code_can_refuse_names_the_field_and_the_cure() -> None:
    with pytest.raises(Terminal) as refused:
        document_of(whole(version="0.1.0-local"))
    assert refused.value.reason == "Invalid"
    assert str(refused.value) == (
        "spec.version: '0.1.0-local' is not normalised; write '0.1.0+local'. Nothing was touched."
    )


def test_every_secret_that_a_document_names_is_for_one_purpose_and_for_the_hosts_that_it_is_sent_to() -> None:
    asked = document(
        source={"git": {"url": "ssh://git@git.example:2222/team/core", "credentialsSecretName": "git"}},
        package={
            "index": {
                "uploadURL": "https://up.example/team/",
                "simpleURL": "https://packages.example:8443/simple/",
                "credentialsSecretName": "index",
                "caSecretName": "index-ca",
            },
            "signing": {"keySecretName": "key"},
        },
        registry={
            "artifacts": "registry.example/team/artifacts",
            "pushSecretName": "push",
            "pullSecretName": "pull",
            "caSecretName": "ca",
        },
        templates=[
            {
                "name": "echo",
                "image": "other.example:5000/echo",
                "build": {
                    "strategy": "Dispatch",
                    "dispatch": {"repository": "team/echo", "tokenSecretName": "dispatch"},
                },
            }
        ],
        targets={
            "workloads": [
                {"name": "agents", "namespaces": ["agents", "more"], "controlTokenSecretName": "control"}
            ]
        },
    )
    registries = frozenset({"registry.example", "other.example:5000"})
    assert [asdict(use) for use in uses_of(asked, github=GITHUB)] == [
        asdict(SecretUse(field, name, purpose, hosts))  # type: ignore[arg-type]
        for field, name, purpose, hosts in (
            ("spec.source.git.credentialsSecretName", "git", "git", frozenset({"git.example:2222"})),
            (
                "spec.package.index.credentialsSecretName",
                "index",
                "index",
                frozenset({"up.example", "packages.example:8443"}),
            ),
            ("spec.package.index.caSecretName", "index-ca", "ca", frozenset()),
            ("spec.package.signing.keySecretName", "key", "signing", frozenset()),
            ("spec.registry.pushSecretName", "push", "registry", registries),
            ("spec.registry.pullSecretName", "pull", "registry", registries),
            ("spec.registry.caSecretName", "ca", "ca", frozenset()),
            (
                "spec.templates[0].build.dispatch.tokenSecretName",
                "dispatch",
                "dispatch",
                frozenset({"api.github.example"}),
            ),
            (
                "spec.targets.workloads[0].controlTokenSecretName",
                "control",
                "control",
                frozenset({"agents.pod", "more.pod"}),
            ),
        )
    ]


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://up.example/team/", "up.example"),
        ("https://up.example:443/", "up.example"),
        ("http://up.example:443/", "up.example:443"),
        ("ssh://git@git.example:2222/team/core", "git.example:2222"),
        ("https://UP.example:8443", "up.example:8443"),
    ],
)
def test_a_host_is_written_without_the_port_that_its_scheme_has(address: str, host: str) -> None:
    assert host_of(address) == host


def test_nothing_of_this_process_is_given_to_an_object() -> None:
    secret = "a-secret-of-this-process"  # noqa: S105 -- no secret
    names = (
        "PYPI_TOKEN",
        "GHCR_USER",
        "GHCR_TOKEN",
        "TEMPLATE_DISPATCH_TOKEN",
        "WSR_ADMIN_TOKEN",
        "WSR_RELEASE_TOKEN",
        "WSR_HOOK_SECRET",
        "GITHUB_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "SOMEBODY_ELSES_TOKEN",
    )
    places = {
        "HOME": "/home/operator",
        "DOCKER_CONFIG": "/home/operator/docker",
        "KUBECONFIG": "/home/operator/k",
    }
    given = {"PATH": "/usr/bin", **dict.fromkeys(names, secret), **places}
    settings = Settings.from_environment(given)
    assert secret in repr(asdict(settings)), "it is there before"
    made = settings_of_object(replace(settings, kubeconfig=None), secrets=Path("/secrets/one"))
    told = repr(asdict(replace(made, state_dir=Path())))
    assert secret not in told
    assert "/home/operator" not in told
    assert made.child_environment["PATH"] == "/usr/bin"


def test_a_world_is_opened_anew_for_what_it_is_opened_with_and_not_for_a_version() -> None:
    first = foundation_of(document())
    assert foundation_of(document(version="0.1.1", rollout={"maxUnavailable": 1}, suspend=True)) == first
    assert foundation_of(document(registry={"artifacts": "registry.example/team/others"})) != first
    assert (
        foundation_of(document(targets={"workloads": [{"name": "agents", "namespaces": ["agents"]}]}))
        != first
    )
