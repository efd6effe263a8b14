"""The Job of a run: restricted, with the Secrets that it needs and no others, and named by what it is given."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.oci import Blob
from builder.packing import FILE, PLACE
from controller.clients._job_spec import (
    FullBuilds,
    JobAccess,
    JobPlace,
    inputs_tag,
    job_document,
    job_name,
    job_of_tag,
)
from controller.clients.runs import Run

WORK = Path("/state/ns/one")
SECRETS = Path("/secrets/ns")
PLACE_ = JobPlace(
    namespace="ns",
    owner={
        "apiVersion": "runtime.molecule.ai/v1alpha1",
        "kind": "WorkspaceRuntime",
        "name": "one",
        "uid": "u-1",
    },
    image="registry.example/builder@sha256:" + "a" * 64,
    work=WORK,
    pull_secrets=("puller",),
)
ACCESS = JobAccess(
    "registry.example/artifacts",
    SECRETS / "push" / ".dockerconfigjson",
    ("registry.example",),
    SECRETS / "ca" / "ca.crt",
    insecure=False,
)
PUBLISH = Run(
    "publish",
    ("--dist=/state/ns/one/dist",),
    {"wheel": "abc"},
    reads=(WORK / "dist",),
    secrets=(SECRETS / "index",),
    maximum_seconds=90,
)
PACKAGE = Run("package", (), {}, reads=(WORK / "source",), writes=(WORK / "out",))


def _blob(content: bytes) -> Blob:
    return Blob(FILE, content, {PLACE: str(WORK / "dist")})


def test_a_pod_of_ours_is_restricted_and_has_no_token() -> None:
    pod = job_document(PLACE_, ACCESS, PACKAGE, name="n", artifact="a")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]
    assert pod["imagePullSecrets"] == [{"name": "puller"}]


def test_a_secret_is_mounted_where_it_is_needed_and_where_it_lies_here() -> None:
    def mounted(run: Run) -> dict[str, str]:
        pod = job_document(PLACE_, ACCESS, run, name="n", artifact="a")["spec"]["template"]["spec"]
        names = {
            volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume
        }
        mounts = pod["containers"][0]["volumeMounts"]
        assert all(mount.get("readOnly") for mount in mounts if mount["name"] in names)
        return {names[mount["name"]]: mount["mountPath"] for mount in mounts if mount["name"] in names}

    registry = {"push": "/secrets/ns/push", "ca": "/secrets/ns/ca"}
    assert mounted(PACKAGE) == registry, "the index is nobody's business but publish's"
    assert mounted(PUBLISH) == {"index": "/secrets/ns/index", **registry}


def test_a_job_is_the_objects_own_and_ends_with_it_and_by_itself() -> None:
    job = job_document(PLACE_, ACCESS, PUBLISH, name="n", artifact="a")
    assert job["metadata"]["ownerReferences"] == [{**PLACE_.owner, "controller": True}]
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (
        0,
        90 + 300,
        3_600,
    )


def test_the_entry_is_told_where_everything_belongs() -> None:
    job = job_document(PLACE_, ACCESS, PACKAGE, name="wsr-package-1", artifact="registry.example/artifacts@d")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "--artifact=registry.example/artifacts@d",
        "--results=run-u-1-wsr-package-1.results",
        "--folder=/state/ns/one/source",
        "--writes=/state/ns/one/out",
        "--login=/secrets/ns/push/.dockerconfigjson",
        "--login-host=registry.example",
        "--ca=/secrets/ns/ca/ca.crt",
        "--",
        "package",
    ]


@pytest.mark.parametrize(
    "other",
    [
        job_name(PLACE_, ACCESS, replace(PUBLISH, inputs={"wheel": "abd"}), [_blob(b"x")]),
        job_name(PLACE_, ACCESS, replace(PUBLISH, arguments=("--dist=/elsewhere",)), [_blob(b"x")]),
        job_name(PLACE_, ACCESS, PUBLISH, [_blob(b"y")]),
        job_name(replace(PLACE_, image="other"), ACCESS, PUBLISH, [_blob(b"x")]),
        job_name(replace(PLACE_, owner={**PLACE_.owner, "uid": "u-2"}), ACCESS, PUBLISH, [_blob(b"x")]),
        job_name(PLACE_, replace(ACCESS, repository="r.example/b"), PUBLISH, [_blob(b"x")]),
    ],
)
def test_another_input_is_another_job(other: str) -> None:
    one = job_name(PLACE_, ACCESS, PUBLISH, [_blob(b"x")])
    assert one == job_name(PLACE_, ACCESS, replace(PUBLISH, maximum_seconds=1), [_blob(b"x")])
    assert one != other
    assert one.startswith("wsr-publish-")


def test_artifacts_of_runs_are_known_as_ones_own_by_their_tags() -> None:
    other = replace(PLACE_, owner={**PLACE_.owner, "uid": "u-2"})
    assert job_of_tag(PLACE_, inputs_tag(PLACE_, "wsr-publish-1")) == "wsr-publish-1"
    assert job_of_tag(PLACE_, inputs_tag(other, "wsr-publish-1")) is None
    assert job_of_tag(PLACE_, "0.1.1") is None


def test_a_job_says_nothing_secret() -> None:
    run = replace(PUBLISH, environment={"TOKEN": "s3cret"})
    assert "s3cret" not in json.dumps(job_document(PLACE_, ACCESS, run, name="n", artifact="a"))


def test_a_job_that_builds_may_map_users_and_nothing_else_and_names_no_profile_but_the_given_one() -> None:
    run = replace(PACKAGE, builds=True)
    builds = FullBuilds("registry.example/buildah:1")

    def pod_of(full_builds: FullBuilds) -> dict[str, Any]:
        place = replace(PLACE_, full_builds=full_builds).of(run)
        found = job_document(place, ACCESS, run, name="n", artifact="a")["spec"]["template"]["spec"]
        return dict(found)

    pod = pod_of(builds)
    (steps,), (builder,) = pod["initContainers"], pod["containers"]
    assert [each["image"] for each in (steps, builder)] == ["registry.example/buildah:1"] * 2
    assert steps["restartPolicy"] == "Always", "it goes with the builder"
    assert steps["securityContext"] == {
        "allowPrivilegeEscalation": True,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["SETGID", "SETUID"]},
    }
    assert builder["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
    }
    assert pod["automountServiceAccountToken"] is False
    profile = {"type": "Localhost", "localhostProfile": "buildah.json"}
    named = pod_of(replace(builds, seccomp_profile=profile))
    assert named["initContainers"][0]["securityContext"]["seccompProfile"] == profile
    with pytest.raises(ValueError, match="no image with Buildah"):
        PLACE_.of(run)


def test_where_steps_run_there_is_no_secret_and_nothing_to_write_of_the_builders_but_what_buildah_keeps() -> (
    None
):
    run = replace(PACKAGE, builds=True, secrets=(SECRETS / "index",))
    place = replace(PLACE_, full_builds=FullBuilds("registry.example/buildah:1")).of(run)
    pod = job_document(place, ACCESS, run, name="n", artifact="a")["spec"]["template"]["spec"]
    secret = {volume["name"] for volume in pod["volumes"] if "secret" in volume}
    mounts = {each["name"]: each for each in pod["initContainers"][0]["volumeMounts"]}
    assert len(secret) == 3
    assert not secret & mounts.keys()
    assert mounts["work"]["readOnly"] is True
    assert mounts.keys() == {"work", "buildah", "shared", "steps-tmp"}
    assert pod["initContainers"][0].keys().isdisjoint({"envFrom"})
