"""What an object may use in a cluster: what its owners let it, and nothing by way of the operator's own rights."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.clients.kube import NAMESPACES, SECRETS, Place
from controller.operator.image_names import CONFIG_MAPS
from tests.cluster.cluster import Cluster
from tests.e2e.operated import Operated, Operator, condition, operated, operator
from tests.parts.played_node import TOKEN
from tests.parts.registry import running_registry

PASSWORD = "a-password-of-a-registry"  # noqa: S105 -- of this test's own


@pytest.fixture
def serving(cluster: Cluster, ground: Operated, tmp_path: Path) -> Iterator[Operator]:
    own = {"PYPI_TOKEN": PASSWORD, "TEMPLATE_DISPATCH_TOKEN": PASSWORD}
    with operator(cluster, tmp_path, ground.namespace, url=ground.node.url, environment=own) as process:
        yield process


async def test_a_document_that_cannot_be_served_here_waits_for_its_next_edit(
    ground: Operated, serving: Operator
) -> None:
    sockets = [{"name": "local", "endpoint": "unix:///var/run/docker.sock"}]
    await ground.make("0.1.0", targets={"dockerHosts": sockets})
    message = await ground.until_stalled("StandaloneOnly")
    assert message.startswith("spec.targets.dockerHosts[0].endpoint is a socket")
    await ground.until_told(("Warning", "StandaloneOnly"))
    asked = {"name": "agents", "namespaces": [ground.namespace]}
    await ground.edit(targets={"dockerHosts": None, "workloads": [asked]})
    await ground.until_ready("0.1.0")
    await ground.edit(version="0.1.2+01")
    message = await ground.until_stalled("Invalid")
    assert message.startswith("spec.version: '0.1.2+01' is not normalised; write '0.1.2+1'.")
    assert serving.health("/healthz") == (200, "ok\n")


async def test_a_secret_is_used_once_its_owner_says_for_what_and_where_it_may_be_sent(
    ground: Operated, serving: Operator
) -> None:
    where = ground.namespace
    await ground.workload("ws-1")
    entry = {"name": "agents", "namespaces": [where], "controlTokenSecretName": "control"}
    await ground.make("0.1.0", targets={"workloads": [entry]})
    field = "spec.targets.workloads[0].controlTokenSecretName names Secret control"
    assert await ground.until_stalled("SecretNotFound") == (
        f"{field}, which is not in namespace {where}. Create it there, with label runtime.molecule.ai/use=control and "
        f"annotation runtime.molecule.ai/hosts={where}.pod."
    )
    await ground.secret("control", token="another-token")  # noqa: S106 -- of this test's own
    await ground.edit(annotations={"requested-at": "1"})
    assert await ground.until_stalled("SecretNotAllowed") == (
        f"{field}, which carries no label and is needed for control. If its owner agrees: kubectl label secret -n {where} "
        "control --overwrite runtime.molecule.ai/use=control"
    )
    label = {"metadata": {"labels": {"runtime.molecule.ai/use": "control"}}}
    secret = Place(SECRETS, where, "control")
    await ground.client.merge(secret, label, manager="its-owner")
    await ground.until(lambda state: "must not be sent" in condition(state, "Stalled").get("message", ""))
    assert await ground.until_stalled("SecretNotAllowed") == (
        f"{field}, which must not be sent to {where}.pod. If its owner agrees: kubectl annotate secret -n {where} "
        f"control --overwrite runtime.molecule.ai/hosts={where}.pod"
    )
    hosts = {"metadata": {"annotations": {"runtime.molecule.ai/hosts": f"{where}.pod"}}}
    await ground.client.merge(secret, hosts, manager="its-owner")
    await ground.until_ready("0.1.0")
    await ground.client.merge(secret, {"stringData": {"token": TOKEN}}, manager="its-owner")
    await asyncio.sleep(1)
    await ground.edit(version="0.1.1")
    await ground.until_ready("0.1.1")
    assert [word for word in ground.node.told if word.startswith("drain")], (
        "it was drained with the new token"
    )
    unlabelled = {"metadata": {"labels": {"runtime.molecule.ai/use": None}}}
    await ground.client.merge(secret, unlabelled, manager="its-owner")
    assert "which carries no label" in await ground.until_stalled("SecretNotAllowed")
    await ground.client.delete(SECRETS, where, "control")
    await ground.edit(annotations={"requested-at": "2"})
    assert "which is not in namespace" in await ground.until_stalled("SecretNotFound")
    assert TOKEN not in [line["message"] for line in serving.lines()]


async def test_a_password_of_a_registry_is_sent_to_it_and_shows_nowhere(
    ground: Operated, serving: Operator, tmp_path: Path
) -> None:
    with running_registry(tmp_path / "private", users={"robot": PASSWORD}) as private:
        artifacts = {"artifacts": f"{private}/team/artifacts", "insecure": True, "pushSecretName": "push"}
        template = {"name": "echo", "image": f"{private}/team/echo", "build": {"strategy": "Follow"}}
        await ground.secret("push", use="registry", hosts=private, username="robot", password=f"{PASSWORD}?")
        await ground.make("0.1.0", registry=artifacts, templates=[template])
        refused = await ground.until(
            lambda state: (
                condition(state, "Ready").get("status") == "Unknown"
                and private in condition(state, "Ready").get("message", "")
            )
        )
        right = {"stringData": {"password": PASSWORD}}
        await ground.client.merge(Place(SECRETS, ground.namespace, "push"), right, manager="its-owner")
        await ground.until(lambda state: "package index" in condition(state, "Ready").get("message", ""))
        told = [str(refused), str(ground.states), serving.process.said(), await ground.events()]
        assert PASSWORD not in str(told)


async def test_a_config_map_with_the_name_of_ours_that_somebody_else_made_is_left_as_it_is(
    ground: Operated, serving: Operator
) -> None:
    where, name = ground.namespace, "runtime-images"
    theirs = {"metadata": {"name": name}, "data": {"echo": "theirs"}}
    await ground.client.create(CONFIG_MAPS, where, theirs)
    before = await ground.client.read(CONFIG_MAPS, where, name)
    await ground.make("0.1.0")
    assert await ground.until_stalled("NameTaken") == (
        f"ConfigMap {where}/{name} is somebody else's, and new workspaces would be told their images there. Rename it, or this"
        " object."
    )
    assert await ground.client.read(CONFIG_MAPS, where, name) == before
    await ground.client.delete(CONFIG_MAPS, where, name)
    await ground.edit(annotations={"requested-at": "now"})
    state = await ground.until_ready("0.1.0")
    ours = await ground.client.read(CONFIG_MAPS, where, name)
    assert ours["data"] == {"echo": state["status"]["templates"][0]["image"]}
    assert serving.health("/healthz") == (200, "ok\n")


async def test_rights_in_one_namespace_reach_no_workload_and_no_secret_of_another(
    ground: Operated, cluster: Cluster, registry: str, tmp_path: Path
) -> None:
    with cluster.namespace() as victim, cluster.namespace() as stranger:
        async with operated(cluster, victim, registry) as theirs:
            await theirs.workload("ws-1")
            await theirs.secret("control", use="control", hosts=f"{victim}.pod", token=TOKEN)
            before = await theirs.images()
            with operator(cluster, tmp_path, ground.namespace, victim, url=theirs.node.url):
                entry = {"name": "agents", "namespaces": [victim], "controlTokenSecretName": "control"}
                await ground.make("0.1.1", targets={"workloads": [entry]})
                message = await ground.until_stalled("SecretNotFound")
                assert f"is not in namespace {ground.namespace}" in message
                await ground.edit(targets={"workloads": [{**entry, "controlTokenSecretName": None}]})
                message = await ground.until_stalled("NamespaceNotAllowed")
                assert message.startswith(
                    f"The targets cannot be read: Namespace {victim} does not let objects of namespace {ground.namespace} "
                    "roll its workloads."
                )
                await ground.edit(targets={"workloads": [{"name": "agents", "namespaces": [stranger]}]})
                await ground.until(
                    lambda state: (
                        "where this operator may not act" in condition(state, "Stalled").get("message", "")
                    )
                )
                own = {"metadata": {"labels": {"runtime.molecule.ai/allowed-from": ground.namespace}}}
                await ground.client.merge(Place(NAMESPACES, None, victim), own, manager="its-owner")
                taken = {"name": "agents", "namespaces": [victim], "controlTokenSecretName": "control"}
                await ground.secret("control", use="control", hosts=f"{ground.namespace}.pod", token=TOKEN)
                await ground.edit(targets={"workloads": [taken]})
                message = await ground.until_stalled("SecretNotAllowed")
                assert f"must not be sent to {victim}.pod" in message
            assert await theirs.images() == before
            assert theirs.node.told == []
