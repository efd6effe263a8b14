"""What becomes of a run whose Job is killed, deleted, evicted, hung, refused or left behind: it is told, and done once more."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from builder.contract import Outcome, PublishRun
from builder.oci import Blob, Client, Reference
from controller.clients.jobs import JobRuns
from controller.clients.runs import Run
from controller.model.errors import Terminal, Transient
from tests.cluster.cluster import Cluster
from tests.cluster.place import GATEWAY
from tests.contract.publishing import make_release
from tests.integration.jobs.ground import Ground


@pytest.fixture
async def at_work(ground: Ground) -> AsyncIterator[Run]:
    """A run that is at work until its index shows what was uploaded, which this one never does."""

    async def nothing(request: web.Request) -> web.Response:
        del request
        return web.Response(status=404)

    application = web.Application()
    application.router.add_get("/{path:.*}", nothing)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, GATEWAY, 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield _waiting(ground, f"http://{host}:{port}/simple/")
    await runner.cleanup()


def _waiting(ground: Ground, simple_url: str) -> Run:
    index = ground.cluster.index_inside
    project = f"wsr-jobs-{secrets.token_hex(4)}"
    make_release(ground.work / project, project, "0.1.1")
    credentials = ground.secret(project, username=index.username, password=index.password)
    given = PublishRun(
        files=(ground.work / project,),
        upload_url=index.upload_url,
        simple_url=simple_url,
        deadline_seconds=60,
        credentials=credentials,
    )
    return Run(
        "publish",
        given.arguments(),
        {"project": project},
        reads=(ground.work / project,),
        secrets=(credentials,),
        maximum_seconds=60,
    )


def _small(ground: Ground, out: str = "out") -> Run:
    """A run that ends at once, with a refusal."""
    return Run(
        "package",
        (f"--source={ground.work / 'source'}", "--version=0.1", f"--out={ground.work / out}"),
        {"out": out},
        reads=(_source(ground),),
        writes=(ground.work / out,),
    )


def _source(ground: Ground) -> Path:
    folder = ground.work / "source"
    folder.mkdir(exist_ok=True)
    (folder / "main.py").write_text("import nowhere_to_be_found\n")
    return folder


async def _running(ground: Ground) -> dict[str, Any]:
    """The pod of the one run, once its container runs."""
    for _ in range(600):
        for pod in await asyncio.to_thread(ground.of_kind, "Pod"):
            for status in pod["status"].get("containerStatuses") or ():
                if "running" in status["state"]:
                    return pod
        await asyncio.sleep(0.1)
    raise AssertionError(json.dumps(ground.everything(), indent=1))


async def _lost(
    ground: Ground, runs: JobRuns, run: Run, harm: Callable[[dict[str, Any]], Awaitable[None]]
) -> str:
    """What the run says that was at work when it was harmed."""
    task = asyncio.create_task(runs.run(run, progress=ground.said.append))
    pod = await _running(ground)
    await harm(pod)
    with pytest.raises(Transient) as lost:
        await asyncio.wait_for(task, 45)
    return str(lost.value)


async def test_a_run_whose_job_is_deleted_says_so_and_leaves_nothing(ground: Ground, at_work: Run) -> None:
    async def delete(pod: dict[str, Any]) -> None:
        await asyncio.to_thread(_kubectl, ground, "delete", "job", pod["metadata"]["labels"]["job-name"])

    said = await _lost(ground, ground.jobs(), at_work, delete)
    assert said == "builder publish lost its Job: somebody deleted it"
    assert await ground.left() == []


async def test_a_run_whose_pod_is_deleted_says_so_and_is_done_once_more(ground: Ground, at_work: Run) -> None:
    async def delete(pod: dict[str, Any]) -> None:
        await asyncio.to_thread(
            _kubectl, ground, "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force"
        )

    said = await _lost(ground, ground.jobs(), at_work, delete)
    assert said in {
        "builder publish lost its pod: somebody deleted it",
        "builder publish was killed by SIGTERM",
    }
    assert ground.of_kind("Job") == [], "and nobody takes it for one that is at work"


async def test_a_run_whose_pod_is_evicted_says_so(ground: Ground, at_work: Run) -> None:
    async def evict(pod: dict[str, Any]) -> None:
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod["metadata"]["name"], "namespace": ground.namespace},
        }
        path = f"/api/v1/namespaces/{ground.namespace}/pods/{pod['metadata']['name']}/eviction"
        await asyncio.to_thread(
            ground.cluster.kubectl, "create", "--raw", path, "-f", "-", stdin=json.dumps(body)
        )

    said = await _lost(ground, ground.jobs(), at_work, evict)
    assert said.startswith("builder publish lost its pod, which was evicted: "), said


async def test_a_hung_run_is_ended_at_its_deadline(ground: Ground, at_work: Run) -> None:
    run = replace(at_work, maximum_seconds=4)
    with pytest.raises(Transient) as hung:
        await ground.jobs(start_seconds=4).run(run, progress=ground.said.append)
    assert str(hung.value) == "builder publish ran longer than 8 s and was ended"


async def test_a_cancelled_run_ends_with_its_job(ground: Ground, at_work: Run) -> None:
    task = asyncio.create_task(ground.jobs().run(at_work, progress=ground.said.append))
    await _running(ground)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ground.of_kind("Job") == []
    assert await ground.left() == []


async def test_whoever_comes_after_takes_up_the_job_that_is_at_work(ground: Ground, at_work: Run) -> None:
    runs, run = ground.jobs(), at_work
    task = asyncio.create_task(runs.run(run))
    first = await _running(ground)
    runs.leaving = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = asyncio.create_task(ground.jobs().run(run, progress=ground.said.append))
    for _ in range(100):
        if ground.said:
            break
        await asyncio.sleep(0.1)
    assert ground.said, "the log is told from its beginning"
    assert (await _running(ground))["metadata"]["uid"] == first["metadata"]["uid"]
    assert len(ground.of_kind("Job")) == 1
    again.cancel()
    with pytest.raises(asyncio.CancelledError):
        await again


async def test_what_refuses_its_input_says_so_as_everywhere_and_is_tried_again_when_asked(
    ground: Ground,
) -> None:
    for _ in range(2):
        with pytest.raises(Terminal) as refused:
            await ground.jobs().run(_small(ground), progress=ground.said.append)
        assert refused.value.fix == "Correct the input; the run's log says where."
    assert ground.said.count(ground.said[0]) == 2, "the second time it ran again"
    assert await ground.left() == []


async def test_a_quota_that_takes_no_pod_is_told_with_the_cure(ground: Ground) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    ground.apply(quota)
    with pytest.raises(Terminal) as refused:
        await asyncio.wait_for(ground.jobs().run(_small(ground)), 30)
    assert refused.value.reason == "QuotaExceeded"
    assert "exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0" in str(refused.value)
    assert refused.value.fix == "Raise the quota of the namespace, or free some of it."
    assert ground.of_kind("Job") == [], "nothing goes on trying"


async def test_a_policy_that_refuses_the_job_is_told_with_its_words(ground: Ground) -> None:
    name = f"deny-{ground.namespace}"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["batch"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["jobs"],
                    }
                ]
            },
            "validations": [{"expression": "false", "message": "no Jobs today"}],
        },
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": ground.namespace}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        },
    }
    ground.apply(policy, binding)
    try:
        refused = await _refused_in_time(ground)
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            ground.cluster.kubectl("delete", kind, name)
    assert refused.reason == "AdmissionDenied"
    assert "no Jobs today" in refused.message
    assert await ground.left() == []


async def _refused_in_time(ground: Ground) -> Terminal:
    """A policy is in force some time after it was made."""
    for _ in range(20):
        try:
            await ground.jobs().run(_small(ground))
        except Terminal as refused:
            if refused.reason == "AdmissionDenied":
                return refused
    raise AssertionError("the policy was never in force")


async def test_an_image_that_cannot_be_pulled_is_told_at_once(ground: Ground) -> None:
    image = f"{ground.cluster.registry}/none/builder:1"
    with pytest.raises(Terminal) as refused:
        await asyncio.wait_for(ground.jobs(image=image).run(_small(ground)), 40)
    assert refused.value.reason == "BuilderImageUnusable"
    assert refused.value.message.startswith(f"No builder run can start from image {image}: ")
    assert ground.of_kind("Job") == []


async def test_a_wrong_secret_is_named_and_not_shown(cluster: Cluster, ground: Ground) -> None:
    index = cluster.index_inside
    project = f"wsr-jobs-{secrets.token_hex(4)}"
    make_release(ground.work / "dist", project, "0.1.1")
    word = secrets.token_hex(8)
    credentials = ground.secret("index", username=index.username, password=word)
    given = PublishRun(
        files=(ground.work / "dist",),
        upload_url=index.upload_url,
        simple_url=index.simple_url,
        deadline_seconds=10,
        credentials=credentials,
    )
    run = Run("publish", given.arguments(), {}, reads=(ground.work / "dist",), secrets=(credentials,))
    with pytest.raises(Terminal) as refused:
        await ground.jobs().run(run, progress=ground.said.append)
    assert index.upload_url in str(refused.value)
    told = "".join([str(refused.value), *ground.said, json.dumps(ground.everything())])
    assert word not in told


async def test_a_job_that_ended_while_nobody_looked_is_not_repeated(ground: Ground) -> None:
    runs, run = ground.jobs(), _done(ground)
    task = asyncio.create_task(runs.run(run))
    await _placed(ground)
    runs.leaving = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (job,) = ground.of_kind("Job")
    name = job["metadata"]["name"]
    await asyncio.to_thread(
        _kubectl, ground, "wait", "--for=condition=complete", f"job/{name}", "--timeout=60s"
    )
    report = await ground.jobs().run(run)
    assert report.outcome is Outcome.DONE
    (same,) = ground.of_kind("Job")
    assert same["metadata"]["uid"] == job["metadata"]["uid"]
    assert (ground.work / "made" / "pyproject.toml").is_file()


async def _placed(ground: Ground) -> None:
    for _ in range(100):
        if ground.of_kind("Job"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("there is no Job")


def _done(ground: Ground) -> Run:
    """A run that ends well: a build tree of a package that is as small as one can be."""
    folder = ground.work / "good"
    folder.mkdir()
    (folder / "main.py").write_text("def main_sync():\n    pass\n")
    out = ground.work / "made"
    return Run(
        "package",
        (f"--source={folder}", "--version=0.1", f"--out={out}"),
        {},
        reads=(folder,),
        writes=(out,),
    )


def _kubectl(ground: Ground, *arguments: str) -> None:
    ground.cluster.kubectl("-n", ground.namespace, *arguments)


async def test_what_a_killed_process_left_in_the_registry_is_deleted_and_others_is_not(
    ground: Ground,
) -> None:
    uid = ground.place.owner["uid"]
    ours, theirs = f"run-{uid}-wsr-package-0.inputs", "run-of-somebody-else-wsr-package-0.inputs"
    repository = Reference.parse(ground.artifacts)
    async with Client(insecure=True) as client:
        for tag in (ours, theirs, "0.1.1"):
            await client.put_artifact(
                repository.at(tag), [Blob("text/plain", tag.encode())], artifact_type="text/plain"
            )
    await ground.jobs().run(_done(ground))
    assert await ground.left() == ["0.1.1", theirs]
