"""The gate in a cluster: real pods of a real node, each fault with its own reason, and nothing left behind."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.clients import pod_candidate
from controller.clients._kube_workloads import parse_pod
from controller.clients._probe_pod import Making, ProbePlace, probe_pod
from controller.clients.kube import PODS, Resource
from controller.model.errors import NotFound, Problem, Terminal, Transient
from controller.model.observed import Known, Unknown
from controller.model.probe import ModelUse, ProbeOrder, ProbePassed, ProbeReason
from controller.model.running import RuntimeState
from controller.reconcile.cluster_targets import open_cluster
from controller.settings import Settings
from tests.cluster.cluster import Cluster
from tests.integration.probe.pods import CONFIG_MAPS, POLICIES, VERSION, Place
from tests.parts.pod_proxy import pod_proxy

QUOTAS = Resource("v1", "resourcequotas", "ResourceQuota")
MEBIBYTE = 1 << 20
FAULTS: dict[str, tuple[dict[str, str], dict[str, Any], ProbeReason, str]] = {
    "wrong-version": (
        {},
        {"version": "0.1.2"},
        ProbeReason.WRONG_VERSION,
        "the candidate of 0.1.2 reports version '0.1.1' instead of '0.1.2'",
    ),
    "wrong-image": (
        {},
        {"digests": frozenset({f"sha256:{'e' * 64}"})},
        ProbeReason.WRONG_VERSION,
        "which is not the image asked for",
    ),
    "never-ready": (
        {"FAULT": "never-ready"},
        {"start_deadline_seconds": 2},
        ProbeReason.NEVER_READY,
        f"the candidate of {VERSION} served no agent card within 2 s; the last attempt: GET http://",
    ),
    "exits": (
        {"FAULT": "exits-3", "MODEL_API_KEY": "a-model-key-of-somebody"},
        {},
        ProbeReason.EXITED_AT_ONCE,
        f"the candidate of {VERSION} ended with exit code 3 before it was ready; its last words: could not log in with ***",
    ),
    "misconfigured": (
        {"FAULT": "exits-78"},
        {},
        ProbeReason.BAD_CONFIGURATION,
        "ended with exit code 78 before it was ready: it says that its configuration is wrong",
    ),
    "dies": (
        {"FAULT": "dies", "HAS_MODEL": ""},
        {"model": ModelUse.NONE},
        ProbeReason.TURN_FAILED,
        "failed turn 2 of 2: its process ended with exit code 9; its last words: dying in the second turn",
    ),
    "asks-nobody": (
        {"FAULT": "asks-nobody"},
        {},
        ProbeReason.NO_MODEL_CALL,
        "answered turn 1 of 2 without a call of its model; for an agent that has none, set templates[].probe.model: None",
    ),
}  # fmt: skip


def with_settings(order: ProbeOrder, **changes: Any) -> ProbeOrder:  # noqa: ANN401 -- any of its fields
    return replace(order, settings=replace(order.settings, **changes))


async def test_an_agent_that_runs_a_tool_and_remembers_passes_where_only_restricted_pods_may_run(
    place: Place,
) -> None:
    outcome = await place.prove(with_settings(place.order(), read_only_root=True))
    assert isinstance(outcome, ProbePassed), outcome
    assert outcome.model_calls == 3
    assert outcome.memory_bytes is None
    assert await place.left() == []


async def test_every_fault_has_its_own_reason_and_what_the_agent_said(place: Place) -> None:
    orders = {
        name: replace(place.order(name, **environment), **changes)
        for name, (environment, changes, _, _) in FAULTS.items()
    }
    orders["eats-memory"] = with_settings(
        place.order("eats-memory", FAULT="eats-memory"), memory_bytes=48 * MEBIBYTE
    )
    orders["root"] = with_settings(place.order("root"), user=None)
    outcomes = dict(zip(orders, await asyncio.gather(*map(place.failure, orders.values())), strict=True))
    for name, (_, _, reason, said) in FAULTS.items():
        assert (outcomes[name].reason, said in outcomes[name].message) == (reason, True), outcomes[name]
    assert outcomes["eats-memory"].reason is ProbeReason.EXITED_AT_ONCE
    assert "because it ran out of memory before it was ready" in outcomes["eats-memory"].message
    assert outcomes["root"].reason is ProbeReason.BAD_CONFIGURATION
    assert (
        "could not be created: container has runAsNonRoot and image will run as root"
        in outcomes["root"].message
    )
    assert outcomes["root"].message.endswith("; set templates[].probe.securityContext.runAsUser")
    assert outcomes["exits"].exit_code == 3
    assert outcomes["exits"].log_tail[-2:] == ("line 29", "could not log in with ***")
    assert await place.left() == []


@pytest.mark.long
async def test_eight_templates_of_one_object_are_proven_at_once(place: Place) -> None:
    outcomes = await asyncio.gather(*(place.prove(place.order(f"t{number}")) for number in range(8)))
    assert [type(outcome) for outcome in outcomes] == [ProbePassed] * 8, outcomes
    assert await place.left() == []


async def test_a_candidate_gets_the_files_of_its_config_map_and_its_environment_as_they_are(
    place: Place,
) -> None:
    content = {"config.yaml": "name: as in production\n", "more.txt": "more\n"}
    await place.cluster.create(
        CONFIG_MAPS, place.owner.namespace, {"metadata": {"name": "made"}, "data": content}
    )
    given = with_settings(place.order("given", VERSION="$(WORKSPACE_ID) $$x"), config_map="made")
    absent = with_settings(place.order("absent"), config_map="nowhere")
    first, second = await asyncio.gather(place.failure(given), place.failure(absent))
    assert "reports version '$(WORKSPACE_ID) $$x' instead of" in first.message
    assert first.log_tail[:2] == ("uid 1000, configs 777", "name: as in production")
    assert second.reason is ProbeReason.BAD_CONFIGURATION
    assert second.message == (
        f"Template absent: the candidate of {VERSION} was not booted: there is no ConfigMap {place.owner.namespace}/nowhere,"
        " or nothing is in it"
    )


async def test_what_the_cluster_does_is_not_the_candidates_fault(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def problem(order: ProbeOrder) -> str:
        with pytest.raises(Problem) as caught:
            await place.prove(order)
        return f"{type(caught.value).__name__}: {caught.value}"

    gone = place.images.candidate[:-8] + "0" * 8
    unschedulable = with_settings(place.order("too-big"), nano_cpus=4_000 * 10**9)
    taken = asyncio.create_task(problem(place.order("taken", FAULT="never-ready")))
    pod = await place.until_running("taken")
    await place.cluster.delete(PODS, place.owner.namespace, pod["metadata"]["name"])
    first, second = await asyncio.gather(taken, problem(replace(place.order("gone"), image=gone)))
    monkeypatch.setattr(pod_candidate, "PLACING_SECONDS", 2.0)
    third = await problem(unschedulable)
    name = pod["metadata"]["name"]
    assert first == (
        f"Transient: Pod {place.owner.namespace}/{name} was deleted while its candidate was proven, which says nothing of that"
    )
    assert second.startswith(f"NotFound: Could not pull {gone}: ")
    assert third.startswith(f"Transient: Pod {place.owner.namespace}/wsr-probe-too-big-")
    assert " did not start within 2 s: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu" in third
    assert any("waits: Unschedulable" in line for line in place.said)
    assert await place.left() == []


async def test_what_the_cluster_refuses_is_told_with_the_cure(place: Place) -> None:
    root = with_settings(place.order(), user="0")
    with pytest.raises(Terminal, match="violates PodSecurity") as refused:
        await place.prove(root)
    assert (refused.value.reason, refused.value.fix) == (
        "AdmissionDenied",
        "Change what the policy names, or the policy.",
    )
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    await place.cluster.create(QUOTAS, place.owner.namespace, quota)
    with pytest.raises(Terminal, match="exceeded quota") as denied:
        await place.prove(place.order())
    assert (denied.value.reason, denied.value.fix) == (
        "QuotaExceeded",
        "Raise the quota of the namespace, or free some of it.",
    )


async def test_what_a_killed_run_left_is_removed_by_the_next_probe_of_the_template_and_all_with_the_object(
    place: Place,
) -> None:
    orders = [place.order(name, FAULT="never-ready") for name in ("one", "two")]
    killed = [asyncio.create_task(place.prove(order)) for order in orders]
    left = [await place.until_running(order.template) for order in orders]
    for pod in left:  # as they are found by whoever comes after a run that could not clean up
        body = {
            "metadata": {key: pod["metadata"][key] for key in ("labels", "ownerReferences")},
            "spec": pod["spec"],
        }
        body["metadata"]["name"] = pod["metadata"]["name"] + "-left"
        await place.cluster.create(PODS, place.owner.namespace, body)
    for task in killed:
        task.cancel()
    await asyncio.gather(*killed, return_exceptions=True)
    assert isinstance(await place.prove(place.order("one")), ProbePassed)
    names = {pod["metadata"]["name"] for pod in (await place.cluster.list(PODS, place.owner.namespace)).items}
    assert left[1]["metadata"]["name"] + "-left" in names
    await place.cluster.delete(CONFIG_MAPS, place.owner.namespace, place.owner.name)
    assert await place.left() == []
    with pytest.raises(NotFound):
        await place.cluster.read(POLICIES, place.owner.namespace, "wsr-probe-molecule-runtime")


async def test_a_cancelled_probe_leaves_nothing(place: Place) -> None:
    running = [
        asyncio.create_task(place.prove(place.order(f"t{number}", FAULT="hangs"))) for number in range(3)
    ]
    for task, seconds in zip(running, (0.0, 0.3, 3.0), strict=True):
        await asyncio.sleep(seconds)
        task.cancel()
    outcomes = await asyncio.gather(*running, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
    assert await place.left() == []


async def test_a_probe_may_reach_nothing_and_has_no_right_and_no_secret(place: Place) -> None:
    """Of the network the policy is looked at: this node's network does not enforce policies, and has no way out."""
    running = asyncio.create_task(
        place.prove(place.order("held", FAULT="hangs", REACHES="192.0.2.1:443 a.example:443"))
    )
    pod = await place.until_running("held")
    policy = await place.cluster.read(POLICIES, place.owner.namespace, "wsr-probe-molecule-runtime")
    spec = pod["spec"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"].get("egress", []) == []
    assert [each["port"] for each in policy["spec"]["ingress"][0]["ports"]] == [8000, 21802]
    assert spec["automountServiceAccountToken"] is False
    assert spec.get("imagePullSecrets") is None
    assert {key for volume in spec["volumes"] for key in volume} == {"name", "emptyDir"}
    assert {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}[
        "OPENAI_BASE_URL"
    ].startswith("http://127.0.0.1:21801/")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_platform_is_that_of_the_nodes(place: Place) -> None:
    (node,) = (await place.cluster.list(Resource("v1", "nodes", "Node"))).items
    assert await place.prover().platform() == f"linux/{node['status']['nodeInfo']['architecture']}"


@pytest.mark.parametrize("on", ["on", "off"])
async def test_a_workspace_that_predates_its_report_is_asked_by_a_command_where_that_is_on(
    place: Place, cluster: Cluster, tmp_path: Path, on: str
) -> None:
    environment = {
        "HOME": str(tmp_path),
        "KUBECONFIG": str(cluster.kubeconfig),
        "WSR_WORKSPACE_URL": place.url,
        "WSR_EXEC": on,
    }
    making = Making("old", "", None)
    pod = probe_pod(place.order("old", FAULT="no-runtime"), place.owner, ProbePlace("", ""), making)
    del pod["spec"]["initContainers"]
    pod["spec"]["containers"][0]["command"] = [
        "sh",
        "-c",
        "echo x > /configs/config.yaml; exec python3 /agent.py",
    ]
    await place.cluster.create(PODS, place.owner.namespace, pod)
    found = parse_pod(await place.until_running("old"), "workspace")
    async with open_cluster(Settings.from_environment(environment), package="pip") as opened:
        said = await opened.workspaces.report(found, container="workspace")
        while isinstance(said, Unknown) and "answered 502" in said.reason:  # nothing listens yet
            said = await opened.workspaces.report(found, container="workspace")
    if on == "on":
        assert isinstance(said, Known), said
        assert (said.value.package, said.value.state) == ("pip", RuntimeState.UNREPORTED)
    else:
        assert isinstance(said, Unknown)
        assert said.reason.endswith("/runtime answered 404")


async def test_one_that_is_not_reached_any_more_is_not_blamed_for_its_silence(
    place: Place, cluster: Cluster
) -> None:
    with pod_proxy(cluster) as url:
        order = replace(place.order(FAULT="never-ready"), start_deadline_seconds=6)
        running = asyncio.create_task(replace(place, url=url).prove(order))
        await place.until_running("talker")
        await asyncio.sleep(1)  # its stand-in was told what to say, and it is asked for its card
    with pytest.raises(Transient, match=r"/21802/seen did not answer \(ClientConnectorError\)"):
        await running
    assert await place.left() == []
