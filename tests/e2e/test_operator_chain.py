"""The whole chain in a cluster: a bump becomes a wheel, an image, a proof, a publication, and pods that report it."""

import asyncio
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builder.contract import PackageRun
from builder.oci import Client, Reference
from builder.verbs.package import package
from controller.clients.kube import DEPLOYMENTS, NAMESPACES, PODS, SECRETS, JsonObject, KubeCluster, Place
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.model.record import Verdict
from controller.model.template_record import FullBuild, TemplateRecord
from tests.cluster.audit import asked
from tests.cluster.builder_image import push_builder_image
from tests.cluster.cluster import Cluster
from tests.contract.record_promises import NOON, record
from tests.e2e.account import NAME, OF_ONE_RELEASE, bound, forbidden
from tests.e2e.operated import Operated, Operator, condition, defined, eventually, listening, operator
from tests.integration.images.small import Run, template_entry
from tests.parts.git_repository import GitRepository
from tests.parts.leftovers import remove_leftovers
from tests.parts.our_images import push_our_image
from tests.parts.played_node import PlayedNode
from tests.parts.small_wheel import SmallWheel
from tests.parts.stand_in_image import stand_in_image

HERE = Path(__file__).parent
TEMPLATE = HERE / "templates" / "plain"
PACKAGE = "molecule-ai-workspace-runtime"


@dataclass(frozen=True)
class Built:
    """0.1.0 in the cluster's registry: its wheel, the record's part of its template, and the image as pods name it."""

    wheel: SmallWheel
    record: TemplateRecord
    image: str
    base: str


def _wheel(folder: Path, version: str) -> SmallWheel:
    given = PackageRun(
        source=HERE / "small_runtime", version=version, out=folder / "tree", dist=folder / "dist"
    )
    facts = package(given).facts
    return SmallWheel(Path(facts["wheel"]["file"]), version, facts["wheel"]["sha256"], facts["contentSha256"])


@pytest.fixture
def built(cluster: Cluster, engine: str, base_image: str, tmp_path: Path) -> Built:
    """A full build, made beside the cluster: a cluster of restricted pods appends, and builds no Dockerfile."""
    prefix = f"ch{secrets.token_hex(3)}-"
    entry = template_entry("plain", f"{cluster.registry}/{prefix}plain", TEMPLATE, base=base_image)
    try:
        run = Run(engine, tmp_path / "out", "Remote", {"insecure": True})
        wheel = _wheel(tmp_path, "0.1.0")
        run.cascade(wheel, entry).template("plain")
        facts = json.loads((run.out / "result.json").read_text())["templates"]["plain"]
    finally:
        remove_leftovers(engine, prefix)

    def inside(reference: str) -> str:
        return reference.replace(cluster.registry, cluster.registry_inside)

    full = FullBuild(
        image=inside(facts["fullBuild"]["image"]),
        digest=facts["fullBuild"]["digest"],
        inputs_sha256=str(entry["inputsSha256"]),
    )
    made = TemplateRecord(
        image=inside(facts["candidate"]),
        digest=facts["digest"],
        image_id=facts["imageId"],
        full_build=full,
        proven=True,
    )
    return Built(wheel, made, f"{made.image}@{made.digest}", base_image)


@pytest.fixture
def images(cluster: Cluster, engine: str, base_image: str) -> dict[str, str]:
    """What the operator's pods run from, as its environment names it."""
    with stand_in_image(engine, base_image) as operators:
        own = cluster.push_from_engine(engine, operators, "base/operator:1")
    return {
        "WSR_BUILDER_IMAGE": push_builder_image(cluster, engine, base_image),
        "WSR_OPERATOR_IMAGE": own,
    }


@pytest.fixture
def full_builds(cluster: Cluster) -> dict[str, str]:
    """What Jobs that build Dockerfiles run from, as the chart says it to the operator."""
    return {
        "WSR_FULL_BUILDS": json.dumps(
            {"image": push_our_image("workspace-runtime-buildah", cluster.registry)}
        )
    }


@pytest.fixture
async def ground(cluster: Cluster, namespace: str, built: Built) -> AsyncIterator[Operated]:
    """0.1.0 is released, and its content is what the workspaces that run it report."""
    defined(cluster)
    repository = built.record.image.rpartition(":")[0]
    async with KubeCluster(cluster.kubeconfig, context=cluster.context) as client:
        label = {"metadata": {"labels": {"runtime.molecule.ai/allowed-from": namespace}}}
        await client.merge(Place(NAMESPACES, None, namespace), label, manager="tests")
        ground = Operated(client, namespace, PlayedNode(client, namespace), repository)
        async with listening(ground):
            yield ground


@pytest.fixture(autouse=True)
def emptied(cluster: Cluster) -> Iterator[None]:
    """What one test publishes is no other one's."""
    yield
    for file in cluster.own.folder("index").rglob(f"{PACKAGE.replace('-', '_')}-*"):
        file.unlink()


def _document(cluster: Cluster, ground: Operated, built: Built, source: str) -> JsonObject:
    git = {"url": source, "credentialsSecretName": "git", "insecure": True}
    index = cluster.index_inside
    return {
        "version": "0.1.0",
        "source": {"git": git},
        "package": {
            "index": {
                "uploadURL": index.upload_url,
                "simpleURL": index.simple_url,
                "credentialsSecretName": "index",
                "visibleDeadlineSeconds": 60,
            }
        },
        "registry": {"artifacts": f"{ground.repository}-artifacts", "insecure": True},
        "templates": [
            {
                "name": "plain",
                "image": ground.repository,
                "startDeadlineSeconds": 60,
                "probe": {"model": "None", "securityContext": {"runAsUser": 1000}},
                "build": {"git": {**git, "path": "templates/plain"}, "args": {"BASE_IMAGE": built.base}},
            }
        ],
        "rollout": {"maxUnavailable": "100%", "drain": {"timeoutSeconds": 20}},
    }


async def _release(cluster: Cluster, ground: Operated, built: Built) -> None:
    """Record that 0.1.0 is through with everything."""
    wheel = built.wheel
    artifacts = f"{ground.repository}-artifacts".replace(cluster.registry_inside, cluster.registry)
    async with Registry(RegistryAccess(cluster.registry, insecure=True)) as registry:
        records = RegistryRecords(registry, artifacts)
        whole = record(
            "0.1.0",
            package=PACKAGE,
            publisher=f"{ground.namespace}/runtime",
            wheel=await records.put_blob(wheel.path.name, wheel.path.read_bytes()),
            content_sha256=wheel.content_sha256,
            published_time=NOON,
            verdict=Verdict(value="Good", reason="UpToDate", time=NOON),
        )
        await records.put(whole.with_template("plain", built.record))


def _workspace(name: str, image: str) -> JsonObject:
    folders = {"configs": "/configs", "workspace": "/workspace"}
    container = {
        "name": "workspace",
        "image": image,
        "env": [{"name": "WORKSPACE_ID", "value": name}, {"name": "TIER", "value": "2"}],
        "ports": [{"containerPort": 8000}],
        "volumeMounts": [{"name": each, "mountPath": path} for each, path in folders.items()],
    }
    pod: dict[str, Any] = {
        "containers": [container],
        "volumes": [{"name": each, "emptyDir": {}} for each in folders],
    }
    return {
        "metadata": {"name": name, "labels": {"runtime.molecule.ai/managed": "true"}},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }


def _sources(
    cluster: Cluster, namespace: str, *, versions: tuple[str, ...] = ("0.1.1",)
) -> tuple[GitRepository, str]:
    """A repository with the runtime and the template, tagged as each of some versions, and where pods find it."""
    repository = GitRepository(cluster.git_folder / f"{namespace}.git")
    files = {
        f"workspace/{each.relative_to(HERE / 'small_runtime')}": each.read_text()
        for each in _files(HERE / "small_runtime")
    }
    files |= {f"templates/plain/{each.relative_to(TEMPLATE)}": each.read_text() for each in _files(TEMPLATE)}
    commit = repository.commit(files)
    for version in versions:
        repository.tag(f"runtime-v{version}", commit)
    return repository, f"{cluster.git_inside.url}/{namespace}.git"


async def _secrets(cluster: Cluster, ground: Operated, source: str) -> None:
    index = cluster.index_inside
    await ground.secret("git", use="git", hosts=_host(source), token=cluster.git.token)
    await ground.secret(
        "index", use="index", hosts=_host(index.upload_url), username=index.username, password=index.password
    )


async def test_a_bump_is_built_proven_published_and_rolled_by_the_cluster_alone(
    cluster: Cluster, ground: Operated, built: Built, images: dict[str, str], tmp_path: Path
) -> None:
    namespace = ground.namespace
    _, source = _sources(cluster, namespace)
    await _release(cluster, ground, built)
    await _secrets(cluster, ground, source)
    for name in ("ws-1", "ws-2"):
        await ground.client.create(DEPLOYMENTS, namespace, _workspace(name, built.image))
    kubeconfig, _ = bound(cluster, namespace, tmp_path, inside=True)
    environment = {**images, "KUBECONFIG": str(kubeconfig)}
    with operator(cluster, tmp_path / "operator", namespace, inside=True, environment=environment):
        await ground.make(**_document(cluster, ground, built, source))
        await ground.until_ready("0.1.0", seconds=60)
        began = time.monotonic()
        await ground.edit(version="0.1.1")
        at_work = await _job(cluster, namespace, "cascade")
        changed = {"metadata": {"annotations": {"example.test/changed": "now"}}}
        await ground.client.merge(Place(SECRETS, namespace, "index"), changed, manager="its-owner")
        state = await ground.until_ready("0.1.1", seconds=180)
        took = time.monotonic() - began
    seen = asked(cluster, NAME, namespace)
    assert forbidden(seen) == []
    assert sorted(map(str, OF_ONE_RELEASE - {each.right for each in seen})) == []
    assert took < 120, f"{took:.1f} s"
    (template,) = state["status"]["templates"]
    assert template["state"] == "Proven"
    assert state["status"]["rollout"]["progress"] == "2/2"
    pods = (await ground.client.list(PODS, namespace)).items
    running = {
        pod["metadata"]["labels"]["app"]: pod["spec"]["containers"][0]["image"]
        for pod in pods
        if "app" in pod["metadata"]["labels"] and "deletionTimestamp" not in pod["metadata"]
    }
    assert {name: image.partition("@")[0] for name, image in running.items()} == dict.fromkeys(
        ("ws-1", "ws-2"), template["image"].partition("@")[0]
    )
    assert (
        "0.1.1"
        in cluster.kubectl("-n", namespace, "exec", "deployment/ws-1", "--", "pip", "show", PACKAGE).stdout
    )
    jobs = _jobs(cluster, namespace)
    assert {name.split("-")[1] for name in jobs} >= {"package", "cascade", "publish"}
    assert at_work in jobs.values(), "a Secret that changes ends no run"


def _jobs(cluster: Cluster, namespace: str) -> dict[str, str]:
    """The identity of each Job by its name."""
    found = json.loads(cluster.kubectl("-n", namespace, "get", "jobs", "-o", "json").stdout)["items"]
    return {job["metadata"]["name"]: job["metadata"]["uid"] for job in found}


async def _job(cluster: Cluster, namespace: str, verb: str) -> str:
    """Wait for the Job of a verb, and return its identity."""
    made: list[str] = []

    async def is_made() -> bool:
        jobs = await asyncio.to_thread(_jobs, cluster, namespace)
        made.extend(uid for name, uid in jobs.items() if name.split("-")[1] == verb)
        return bool(made)

    await eventually(is_made, seconds=60)
    return made[0]


BOUNDARIES = (
    "Beginning Package",
    "Ended Package",
    "Beginning Cascade",
    "Ended Cascade",
    "Beginning Probe",
    "Ended Probe",
    "Beginning Tag",
    "Beginning Publish",
    "Uploading",
    "Ended Publish",
    "Changing the image",
    "Waiting for the proof",
    "Beginning Promote",
    "Beginning Judge",
)


@pytest.mark.long
async def test_a_release_whose_operator_is_killed_at_every_boundary_is_made_once(
    cluster: Cluster, ground: Operated, built: Built, images: dict[str, str], tmp_path: Path
) -> None:
    namespace, uploaded = ground.namespace, cluster.own.folder("index")
    _, source = _sources(cluster, namespace)
    await _release(cluster, ground, built)
    await _secrets(cluster, ground, source)
    await ground.client.create(DEPLOYMENTS, namespace, _workspace("ws-1", built.image))
    await ground.make(**_document(cluster, ground, built, source))
    # As in a pod, where folders are called the same in the next one; what is in them is gone with every other pod.
    folder = tmp_path / "operator"
    secret = folder / "secrets"

    def next_one() -> AbstractContextManager[Operator]:
        more = (f"--secrets={secret}",)
        return operator(cluster, folder, namespace, inside=True, more=more, environment=images)

    with next_one():
        await ground.until_ready("0.1.0", seconds=60)
    await ground.edit(version="0.1.1")
    stamps: dict[str, tuple[int, int]] = {}
    for number, line in enumerate(BOUNDARIES):
        if number % 2:
            for each in (folder / "state", secret):
                shutil.rmtree(each, ignore_errors=True)
        with next_one() as serving:
            await asyncio.to_thread(serving.process.until, f'"message": ?"[^"]*{line}')
            serving.process.kill()
        now = {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in _of_version(uploaded)}
        assert stamps.items() <= now.items(), "what was published was published again"
        stamps = now
    with next_one() as serving:
        await ground.until_ready("0.1.1", seconds=120)
        assert [each for each in serving.lines() if each["level"] == "error"] == []
    assert len(stamps) == 2, "a wheel and an sdist"
    verbs = [name.split("-")[1] for name in _jobs(cluster, namespace)]
    assert [verbs.count(each) for each in ("package", "cascade")] == [1, 1], verbs


def _of_version(folder: Path, version: str = "0.1.1") -> list[Path]:
    return [each for each in folder.rglob(f"*-{version}*") if each.is_file()]


@pytest.mark.long
async def test_of_ten_edits_in_five_seconds_the_last_version_alone_is_built_to_the_end_and_published(
    cluster: Cluster, ground: Operated, built: Built, images: dict[str, str], tmp_path: Path
) -> None:
    namespace, uploaded = ground.namespace, cluster.own.folder("index")
    versions = ("0.1.1", "0.1.2", "0.1.3")
    _, source = _sources(cluster, namespace, versions=versions)
    await _release(cluster, ground, built)
    await _secrets(cluster, ground, source)
    await ground.client.create(DEPLOYMENTS, namespace, _workspace("ws-1", built.image))
    with operator(cluster, tmp_path / "operator", namespace, inside=True, environment=images) as serving:
        await ground.make(**_document(cluster, ground, built, source))
        await ground.until_ready("0.1.0", seconds=60)
        await ground.edit(version="0.1.1")
        first = await _job(cluster, namespace, "package")
        for number in range(10):
            await ground.edit(version=versions[(number + 1) % 2])
            await asyncio.sleep(0.5)
        await ground.edit(version="0.1.3")
        state = await ground.until_ready("0.1.3", seconds=240)
        assert [each for each in serving.lines() if each["level"] == "error"] == []
    assert state["status"]["rollout"]["progress"] == "1/1"
    told = cluster.kubectl("-n", namespace, "exec", "deployment/ws-1", "--", "pip", "show", PACKAGE).stdout
    assert "Version: 0.1.3" in told
    assert [len(_of_version(uploaded, version)) for version in versions] == [0, 0, 2]
    assert first not in _jobs(cluster, namespace).values(), "it was dropped"


@pytest.mark.long
async def test_a_dockerfile_is_built_in_full_where_the_namespace_lets_it_and_forbidden_where_it_does_not(  # noqa: PLR0913, PLR0917 -- fixtures of pytest are its arguments
    cluster: Cluster,
    ground: Operated,
    built: Built,
    images: dict[str, str],
    full_builds: dict[str, str],
    tmp_path: Path,
) -> None:
    namespace, level = ground.namespace, "pod-security.kubernetes.io/enforce"
    _, source = _sources(cluster, namespace)
    await _release(cluster, ground, built)
    await _secrets(cluster, ground, source)
    document = _document(cluster, ground, built, source)
    build = document["templates"][0]["build"]
    build |= {"strategy": "Dockerfile", "rebuildOn": ["Version", "Template"]}
    build["args"]["BASE_IMAGE"] = f"{cluster.registry_inside}/base/python:3.11"
    environment = images | full_builds
    await ground.client.create(DEPLOYMENTS, namespace, _workspace("ws-1", built.image))
    # What runs stays as it is: a level is looked at when a pod is made.
    cluster.kubectl("label", "namespace", namespace, f"{level}=restricted")
    with operator(cluster, tmp_path / "operator", namespace, inside=True, environment=environment):
        await ground.make(**document)
        state = await ground.until(
            lambda state: condition(state, "Stalled").get("reason") == "BuildForbidden", seconds=120
        )
        said = condition(state, "Stalled")["message"]
        begins = (
            f"Template plain: It has to be built in full, and namespace {namespace} lets no pod in that can: "
        )
        assert said.startswith(begins)
        assert 'violates PodSecurity "restricted:latest"' in said
        cluster.kubectl("label", "--overwrite", "namespace", namespace, f"{level}=baseline")
        await ground.edit(annotations={"requested-at": "now"})
        first = await ground.until_ready("0.1.0", seconds=300)
        (template,) = first["status"]["templates"]
        assert template["image"] != built.image
        await ground.edit(version="0.1.1")
        second = await ground.until_ready("0.1.1", seconds=300)
    (template,) = second["status"]["templates"]
    assert template["state"] == "Proven"
    assert second["status"]["rollout"]["progress"] == "1/1"
    told = cluster.kubectl("-n", namespace, "exec", "deployment/ws-1", "--", "pip", "show", PACKAGE).stdout
    assert "Version: 0.1.1" in told
    # The bump was a full build, too: the strategy says so.
    tags = await _tags(ground.repository.replace(cluster.registry_inside, cluster.registry))
    assert len([tag for tag in tags if tag.startswith("full-")]) >= 2


async def _tags(repository: str) -> list[str]:
    async with Client(insecure=True) as client:
        return list(await client.tags(Reference.parse(repository)))


def _files(folder: Path) -> list[Path]:
    return [each for each in sorted(folder.rglob("*")) if each.is_file() and "__pycache__" not in each.parts]


def _host(url: str) -> str:
    return url.partition("//")[2].partition("/")[0]
