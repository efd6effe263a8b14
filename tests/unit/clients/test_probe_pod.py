"""What a cluster is given for one candidate: production's settings, no right, no Secret of production, and no way out."""

from dataclasses import replace

import pytest

from controller.clients._kube_objects import Owner
from controller.clients._probe_pod import Json, Making, ProbePlace, probe_pod, probe_policy
from controller.model.probe import ProbeOrder, ProbeSettings

OWNER = Owner("agents", "molecule-runtime", "a-uid")
PLACE = ProbePlace("registry.example/operator@sha256:1", "http://{podIP}:{port}")
REFERENCE = {
    "apiVersion": "runtime.molecule.ai/v1alpha1",
    "kind": "WorkspaceRuntime",
    "name": "molecule-runtime",
    "uid": "a-uid",
}
ORDER = ProbeOrder(
    owner="agents/molecule-runtime",
    template="echo",
    image="registry.example/echo@sha256:2",
    version="0.1.1",
    content_sha256="c" * 64,
    start_deadline_seconds=30.5,
    turn_deadline_seconds=60,
    settings=ProbeSettings(environment={"PRICE": "$(HOME) $5", "WORKSPACE_ID": "mine"}),
)


def made(*, pull_secret: str | None = None, platform: str | None = None, **settings: object) -> Json:
    order = replace(ORDER, platform=platform, settings=replace(ORDER.settings, **settings))  # type: ignore[arg-type]
    return probe_pod(order, OWNER, PLACE, Making("wsr-probe-echo-1", "f" * 64, pull_secret))


def candidate(pod: Json) -> Json:
    (only,) = pod["spec"]["containers"]
    return dict(only)


def test_it_belongs_to_its_object_and_ends_by_itself() -> None:
    pod = made()
    assert pod["metadata"] == {
        "name": "wsr-probe-echo-1",
        "labels": {
            "runtime.molecule.ai/probe": "molecule-runtime",
            "runtime.molecule.ai/template": "echo",
        },
        "ownerReferences": [REFERENCE],
    }
    assert (pod["spec"]["restartPolicy"], pod["spec"]["activeDeadlineSeconds"]) == ("Never", 871)


def test_both_of_its_containers_are_restricted_and_have_no_right() -> None:
    spec = made()["spec"]
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in spec["initContainers"] + spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "envFrom" not in container
    assert "imagePullSecrets" not in spec
    assert made(pull_secret="ghcr")["spec"]["imagePullSecrets"] == [{"name": "ghcr"}]  # noqa: S106 -- a Secret's name


def test_the_candidate_is_booted_as_the_document_says() -> None:
    container = candidate(made(user="1000", read_only_root=True, memory_bytes=1 << 30, nano_cpus=500_000_000))
    assert container["image"] == ORDER.image
    assert container["resources"] == {"limits": {"cpu": "500000000n", "memory": "1073741824"}}
    security = container["securityContext"]
    assert (security["runAsUser"], security["runAsNonRoot"], security["readOnlyRootFilesystem"]) == (
        1000,
        True,
        True,
    )
    assert [each["mountPath"] for each in container["volumeMounts"]] == ["/configs", "/tmp", "/run"]  # noqa: S108 -- in the container


def test_only_a_document_that_asks_for_root_gets_it() -> None:
    proven = [
        candidate(made(user=user))["securityContext"].get("runAsNonRoot") for user in (None, "0", "1000")
    ]
    assert proven == [None, False, True]


def test_no_value_of_its_environment_is_expanded() -> None:
    assert candidate(made())["env"] == [
        {"name": "WORKSPACE_ID", "value": "mine"},
        {"name": "WORKSPACE_CONFIG_PATH", "value": "/configs"},
        {"name": "PRICE", "value": "$$(HOME) $$5"},
    ]


def test_only_the_stand_in_sees_the_config_map_and_copies_it() -> None:
    spec = made(config_map="production")["spec"]
    assert {"name": "given", "configMap": {"name": "production", "optional": True}} in spec["volumes"]
    (stand_in,) = spec["initContainers"]
    assert [each["mountPath"] for each in stand_in["volumeMounts"]] == ["/configs", "/given"]
    assert [each["mountPath"] for each in spec["containers"][0]["volumeMounts"]] == ["/configs"]


def test_the_stand_in_starts_first_and_stands_for_as_long_as_the_pod() -> None:
    (stand_in,) = made()["spec"]["initContainers"]
    assert (stand_in["image"], stand_in["restartPolicy"]) == (PLACE.image, "Always")
    assert stand_in["startupProbe"]["tcpSocket"] == {"port": 21_801}
    assert f"--authorized={'f' * 64}" in stand_in["args"]


def test_it_is_booted_on_the_platform_that_is_asked_for() -> None:
    assert "nodeSelector" not in made()["spec"]
    assert made(platform="linux/arm64/v8")["spec"]["nodeSelector"] == {
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "arm64",
    }


@pytest.mark.parametrize(
    ("callers", "peers"),
    [(None, {}), ([{"podSelector": {}}], {"from": [{"podSelector": {}}]})],
)
def test_the_policy_lets_its_probes_reach_nothing_and_be_reached_by_us(
    callers: list[dict[str, object]] | None, peers: dict[str, object]
) -> None:
    policy = probe_policy(OWNER, replace(PLACE, callers=callers), port=8000)
    assert policy["metadata"]["name"] == "wsr-probe-molecule-runtime"
    assert policy["metadata"]["ownerReferences"] == [REFERENCE]
    assert policy["spec"] == {
        "podSelector": {"matchLabels": {"runtime.molecule.ai/probe": "molecule-runtime"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {**peers, "ports": [{"port": 8000, "protocol": "TCP"}, {"port": 21_802, "protocol": "TCP"}]}
        ],
        "egress": [],
    }
