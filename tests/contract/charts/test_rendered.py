"""The charts render what was reviewed, for each of the ways in which they are installed, and refuse what they do not know."""

import re
from pathlib import Path

import pytest
import yaml

from controller.clients._probe_pod import CONTROL_PORT
from controller.settings import Settings
from tests.contract.charts.helm import CRDS, OPERATOR, objects, rendered, run_helm
from tests.parts.ground import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden" / "charts"
NO_CLUSTER_RIGHTS = ("--set", "rbac.clusterWide=false")
EVERYTHING = (
    *(
        "--set",
        "targetNamespaces={agents,more-agents},rbac.exec=true,rbac.patchPods=true,hooks.secretName=hooks",
    ),
    *(
        "--set",
        "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,workspaceUrl=http://{podIP}:9",
    ),
    *("--set", f"image.digest=sha256:{'0' * 64},networkPolicy.extraEgress[0].ports[0].port=5000"),
)
WAYS = {"default": (), "no-cluster-rights": NO_CLUSTER_RIGHTS, "everything": EVERYTHING}
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_operators_chart_renders_what_was_reviewed(way: str) -> None:
    text = rendered(OPERATOR, *WAYS[way])
    golden = GOLDEN / f"{way}.yaml"
    assert text == golden.read_text(), f"if it is meant: helm template … > {golden}"


def test_the_definitions_chart_renders_the_definition_that_the_code_gives() -> None:
    (made,) = objects(CRDS)
    (committed,) = objects_of(REPOSITORY / "crds" / "workspaceruntime.yaml")
    assert made["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert made == committed
    (given_up,) = objects(CRDS, "--set", "keep=false")
    assert given_up == committed


def objects_of(file: Path) -> list[object]:
    return list(yaml.safe_load_all(file.read_text()))


@pytest.mark.parametrize("chart", [OPERATOR, CRDS], ids=lambda chart: chart.name)
def test_helm_finds_nothing_wrong_with_a_chart(chart: Path) -> None:
    done = run_helm("lint", "--strict", str(chart))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("option", "refusal"),
    [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("replicas=0", "minimum: got 0, want 1"),
        ("replicas=two", "got string, want integer"),
        ("image.digest=latest", "does not match pattern"),
        ("targetNamespaces={Agents}", "does not match pattern"),
        ("rbac.everything=true", "additional properties 'everything' not allowed"),
        ("serviceAccount.create=false", "serviceAccount.name must name an account that exists"),
    ],
)
def test_a_value_that_the_chart_does_not_know_is_refused_with_its_name(option: str, refusal: str) -> None:
    done = run_helm("template", "it", str(OPERATOR), "--set", option)
    assert done.returncode != 0
    assert refusal in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_no_rule_of_a_role_has_a_wildcard(way: str) -> None:
    roles = [each for each in objects(OPERATOR, *WAYS[way]) if each["kind"] in {"Role", "ClusterRole"}]
    rules = [rule for role in roles for rule in role["rules"]]
    assert rules
    words = [word for rule in rules for key in ("apiGroups", "resources", "verbs") for word in rule[key]]
    assert [word for word in words if "*" in word] == []


@pytest.mark.parametrize("template", ["rbac.yaml", "uninstall.yaml"])
def test_each_rule_of_the_operator_says_what_it_is_for(template: str) -> None:
    text = (OPERATOR / "templates" / template).read_text()
    above = re.findall(r"^(.*)\n +- apiGroups: \[.*\]\n +resources: ", text, flags=re.MULTILINE)
    assert above
    assert [line for line in above if not line.strip().startswith("# To ")] == []


def test_without_rights_in_the_whole_cluster_nothing_stands_outside_of_a_namespace_and_the_admin_endpoint_is_off() -> (
    None
):
    assert {each["kind"] for each in objects(OPERATOR)} >= CLUSTER_WIDE
    without = objects(OPERATOR, *NO_CLUSTER_RIGHTS)
    assert {each["kind"] for each in without} & CLUSTER_WIDE == set()
    assert {each["metadata"].get("namespace") for each in without} == {"molecule"}
    admin = [_environment(OPERATOR, *options)["WSR_ADMIN"] for options in ((), NO_CLUSTER_RIGHTS)]
    assert admin == ["on", "off"]


def _environment(chart: Path, *options: str) -> dict[str, str]:
    (deployment,) = objects(chart, *options, kind="Deployment")
    variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return {each["name"]: each.get("value", "") for each in variables}


def test_candidates_are_asked_by_the_operators_pods_alone_and_those_may_ask_them() -> None:
    told = {"HOME": "/tmp", "WSR_PROBE_CALLERS": _environment(OPERATOR)["WSR_PROBE_CALLERS"]}  # noqa: S108 -- that of the image
    (caller,) = Settings.from_environment(told).probe_callers or ()
    (deployment,) = objects(OPERATOR, kind="Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert caller["podSelector"]["matchLabels"].items() <= labels.items()
    assert caller["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "molecule"}
    (policy,) = objects(OPERATOR, kind="NetworkPolicy")
    to_candidates = policy["spec"]["egress"][-1]["ports"]
    assert {each["port"] for each in to_candidates} == {8000, CONTROL_PORT}


@pytest.mark.parametrize("asked_for", [True, False])
def test_a_right_to_run_commands_in_pods_is_there_when_it_was_asked_for(*, asked_for: bool) -> None:
    roles = objects(OPERATOR, "--set", f"rbac.exec={str(asked_for).lower()}", kind="Role")
    rules = [rule for role in roles for rule in role["rules"]]
    assert any(rule["resources"] == ["pods/exec"] for rule in rules) is asked_for


@pytest.mark.parametrize("asked_for", [True, False])
def test_a_right_to_change_running_pods_is_there_when_it_was_asked_for(*, asked_for: bool) -> None:
    switch = ("--set", f"rbac.patchPods={str(asked_for).lower()}")
    rules = [rule for role in objects(OPERATOR, *switch, kind="Role") for rule in role["rules"]]
    assert any("pods" in rule["resources"] and "patch" in rule["verbs"] for rule in rules) is asked_for
    assert any(rule["resources"] == ["controllerrevisions"] for rule in rules) is asked_for
    assert _environment(OPERATOR, *switch)["WSR_PATCH_PODS"] == ("on" if asked_for else "off")


def test_each_target_namespace_gets_a_role_and_no_other_does() -> None:
    bindings = objects(OPERATOR, "--set", "targetNamespaces={agents,molecule}", kind="RoleBinding")
    names = [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in bindings]
    ours = [namespace for namespace, name in names if name == "workspace-runtime-operator"]
    assert ours == ["molecule", "agents"], "its own is there once, though it was named, too"


def test_one_replica_has_no_disruption_budget() -> None:
    assert objects(OPERATOR, kind="PodDisruptionBudget")
    assert objects(OPERATOR, "--set", "replicas=1", kind="PodDisruptionBudget") == []
