"""Two objects that claim the same: the first one has it, the second one touches nothing of it and says so."""

from controller.clients.kube import Place
from controller.operator.store import OBJECTS
from tests.cluster.cluster import Cluster
from tests.e2e.operated import Operated, Operator
from tests.parts.git_repository import GitRepository


async def test_of_two_objects_that_claim_one_workload_or_one_package_the_second_touches_nothing_and_says_so(
    ground: Operated, serving: Operator, cluster: Cluster
) -> None:
    first = f"{ground.namespace}/runtime"
    await ground.workload("ws-1")
    await ground.make("0.1.1")
    await ground.until_ready("0.1.1")
    await ground.until_runs(ws_1="0.1.1")
    second = ground.document("0.1.0")
    second["metadata"]["name"] = "second"
    await ground.client.create(OBJECTS, ground.namespace, second)
    assert first in await ground.until_stalled("TargetOwned", name="second")
    assert await ground.images() == {"ws-1": "0.1.1"}

    repository = GitRepository(cluster.git_folder / f"{ground.namespace}.git")
    repository.tag("runtime-v0.1.3", repository.commit({"workspace/main.py": ""}))
    host = cluster.git.url.partition("//")[2]
    await ground.secret("git", use="git", hosts=host, token=cluster.git.token)
    url = f"{cluster.git.url}/{ground.namespace}.git"
    git = {"url": url, "path": "workspace", "credentialsSecretName": "git", "insecure": True}
    index = {"uploadURL": cluster.index.upload_url, "simpleURL": cluster.index.simple_url}
    other = {
        "name": "nothing",
        "namespaces": [ground.namespace],
        "selector": {"matchLabels": {"app": "nothing"}},
    }
    spec = {
        "version": "0.1.3",
        "source": {"git": git},
        "package": {"index": index},
        "targets": {"workloads": [other]},
    }
    await ground.client.merge(Place(OBJECTS, ground.namespace, "second"), {"spec": spec}, manager="a-user")
    message = await ground.until_stalled("PublisherConflict", name="second")
    assert message.startswith(f"{first} publishes molecule-ai-workspace-runtime: its last version is 0.1.")
    assert serving.process.process.poll() is None
