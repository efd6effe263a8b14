"""Why images are built again although the version stays: each reason reaches the workspaces, through the gate, or is shown."""

import io
import shutil
import urllib.request
from http import HTTPStatus
from typing import Any

import docker
import pytest

from tests.e2e.desk import Desk
from tests.e2e.scene import Scene


def make_base(client: docker.DockerClient, reference: str, base: str, **environment: str) -> None:
    """Put an image under a name that is `base` with other environment."""
    lines = [f"FROM {base}", *(f"ENV {name}={value}" for name, value in environment.items())]
    client.images.build(fileobj=io.BytesIO("\n".join(lines).encode()), tag=reference, rm=True)


def forget(image: str, digest: str) -> None:
    """Delete an image from a registry without a password."""
    host, _, path = image.rpartition(":")[0].partition("/")
    url = f"http://{host}/v2/{path}/manifests/{digest}"
    request = urllib.request.Request(url, method="DELETE")
    with urllib.request.urlopen(request) as answer:  # noqa: S310 -- a registry of the tests, on loopback
        assert answer.status == HTTPStatus.ACCEPTED


def rebuilding_on(desk: Desk, *words: str) -> None:
    with desk.editing() as spec:
        for template in spec["templates"]:
            template["build"]["rebuildOn"] = ["Version", *words]


def template(desk: Desk, verb: str, name: str = "plain") -> dict[str, Any]:
    facts = desk.status() if verb == "status" else desk.facts(verb)
    found = (entry for entry in facts["templates"] if entry["name"] == name)
    return dict(next(found))


def environment(scene: Scene, name: str) -> list[str]:
    return list(scene.fleet.client.containers.get(name).attrs["Config"]["Env"])


def test_a_request_makes_new_bytes_once_and_workspaces_follow_through_the_gate(scene: Scene) -> None:
    desk = scene.desk
    workspace, other = scene.populate("0.1.0", "plain-1", "polite-1")
    before = scene.fleet.shapes()
    desk.annotate("rebuild", '{"plain": "CVE-2026-1"}')
    plan = template(desk, "plan")
    assert (plan["build"], plan["reason"], plan["after"]) == (True, "Requested", "CVE-2026-1")

    ended = desk.run()
    assert ended.lines("cascade 0.1.0 .*: because plain: Requested$")
    assert ended.lines(f"replace docker/local/{workspace.name}: because it runs an earlier image of 0.1.0$")
    said = [line for line in ended.log.splitlines() if "probe 0.1.0 plain" in line or "replace " in line]
    assert "probe" in said[0], "the gate stands before the fleet"
    assert not ended.lines("publish 0.1.0|Uploading|probe 0.1.0 polite")
    scene.assert_all_run("0.1.0")
    after = scene.fleet.shapes()
    assert after[other.name] == before[other.name]
    assert before[workspace.name].kept_by(after[workspace.name])
    released = desk.wsr("image", "plain").out.strip()
    assert released != scene.images["0.1.0"]["plain"]

    why = desk.facts("why", workspace.name)
    assert (why["imageReason"], why["imageAfter"], why["imageRequest"]) == (
        "Requested",
        "CVE-2026-1",
        "CVE-2026-1",
    )
    image = scene.fleet.client.images.get(released)
    assert image.labels["ai.molecule.runtime.build-reason"] == "Requested: nothing -> CVE-2026-1"
    assert (template(desk, "status")["state"], template(desk, "status")["reason"]) == ("Proven", "Requested")

    shutil.rmtree(desk.state)
    assert not desk.run().lines("because"), "it is done once, also for another machine"
    desk.bump("0.1.1")
    appended = desk.run()
    assert appended.lines("cascade 0.1.1 .*: because plain: WheelChanged, polite: WheelChanged$")
    history = scene.fleet.client.images.get(desk.wsr("image", "plain").out.strip()).history()
    assert history[0]["Comment"].startswith("WheelChanged: runtime 0.1.0 -> runtime 0.1.1; upon full build ")
    assert history[0]["Comment"].endswith("(Requested: nothing -> CVE-2026-1)")


@pytest.mark.long
def test_a_rebuild_that_fails_at_the_gate_leaves_what_runs_as_it_is(scene: Scene) -> None:
    desk = scene.desk
    desk.only("plain")
    scene.populate("0.1.0", "plain-1")
    before = scene.fleet.shapes()
    rebuilding_on(desk, "Template")
    desk.edit("templates/plain/Dockerfile", "ENV ADAPTER_MODULE=adapter", "ENV ADAPTER_MODULE=absent")
    failed = desk.run(code=1)
    assert failed.lines("cascade 0.1.0 .*: because plain: DockerfileChanged$")
    assert "GateFailed: Template plain: the candidate of 0.1.0" in failed.log.splitlines()[-1]
    assert scene.fleet.shapes() == before
    assert desk.wsr("image", "plain").out.strip() == scene.images["0.1.0"]["plain"]
    assert desk.status()["lastKnownGood"] == "0.1.0"

    desk.edit("templates/plain/Dockerfile", "ENV ADAPTER_MODULE=absent", "ENV ADAPTER_MODULE=adapter")
    again = desk.run()
    assert again.lines("cascade 0.1.0 .*: because plain: DockerfileChanged$")
    assert not again.lines("probe|replace"), "what was proven before is proven"
    assert scene.fleet.shapes() == before
    assert desk.wsr("image", "plain").out.strip() == scene.images["0.1.0"]["plain"]


@pytest.mark.long
def test_a_base_that_moved_in_the_engine_is_shown_and_built_where_the_document_says_so(
    scene: Scene, base_image: str
) -> None:
    desk, client = scene.desk, scene.fleet.client
    desk.only("plain")
    workspace = scene.populate("0.1.0", "plain-1")[0]
    base = f"{desk.prefix}base:1"
    make_base(client, base, base_image, MOVED="no")
    rebuilding_on(desk, "Template")
    with desk.editing() as spec:
        spec["templates"][0]["build"]["args"]["BASE_IMAGE"] = base
    first = desk.run()
    assert first.lines("cascade 0.1.0 .*: because plain: TemplateSourceChanged$")
    old = str(client.images.get(base).id)
    assert template(desk, "status")["baseDigest"] == old

    make_base(client, base, base_image, MOVED="yes")
    new = str(client.images.get(base).id)
    quiet = desk.run()
    assert not quiet.lines("because")
    shown = template(desk, "status")
    assert (shown["state"], shown["reason"]) == ("UpdateAvailable", "BaseImageMoved")
    assert (shown["before"], shown["after"]) == (f"{base} {old[:19]}", f"{base} {new[:19]}")
    assert shown["message"].startswith("Add Base to build.rebuildOn of template plain")
    plan = template(desk, "plan")
    assert (plan["build"], plan["reason"], plan["updateAvailable"]["cure"]) == (
        False,
        "BaseImageMoved",
        shown["message"],
    )
    for verb in ("plan", "status"):
        assert "Add Base to build.rebuildOn of template plain" in desk.wsr(verb).out

    rebuilding_on(desk, "Base")
    ended = desk.run()
    assert ended.lines("cascade 0.1.0 .*: because plain: BaseImageMoved$")
    scene.assert_all_run("0.1.0")
    assert "MOVED=yes" in environment(scene, workspace.name)
    assert template(desk, "status")["baseDigest"] == new
    assert not desk.run().lines("because")


@pytest.fixture
def remote(scene: Scene, registry: str, base_image: str) -> tuple[Scene, str]:
    """The scene in a registry, with one template whose base is there, too, and is called as is returned."""
    desk, client = scene.desk, scene.fleet.client
    base = f"{registry}/{desk.prefix}base:1"
    make_base(client, base, base_image, MOVED="no")
    client.images.push(base)
    desk.keep_in(registry)
    with desk.editing() as spec:
        spec["templates"][0]["build"]["args"]["BASE_IMAGE"] = base
    desk.run()
    scene.fetch("0.1.0")
    return scene, base


@pytest.mark.long
def test_a_base_that_moved_in_its_registry_is_fetched_for_the_build(
    remote: tuple[Scene, str], base_image: str
) -> None:
    scene, base = remote
    desk, client = scene.desk, scene.fleet.client
    workspace = scene.populate("0.1.0", "plain-1")[0]
    old = str(client.images.get_registry_data(base).id)
    assert template(desk, "status")["baseDigest"] == old
    here = client.images.get(base)
    make_base(client, base, base_image, MOVED="yes")
    client.images.push(base)
    here.tag(base)
    new = str(client.images.get_registry_data(base).id)

    assert not desk.run().lines("because")
    shown = template(desk, "status")
    assert (shown["state"], shown["reason"], shown["after"]) == (
        "UpdateAvailable",
        "BaseImageMoved",
        f"{base} {new[:19]}",
    )
    rebuilding_on(desk, "Base")
    assert desk.run().lines("cascade 0.1.0 .*: because plain: BaseImageMoved$")
    scene.assert_all_run("0.1.0")
    assert "MOVED=yes" in environment(scene, workspace.name), "built upon what the engine had"
    assert template(desk, "status")["baseDigest"] == new
    assert desk.facts("why", workspace.name)["imageBases"] == {base: new}

    forget(base, new)
    quiet = desk.run(code=3)
    assert not quiet.lines("because"), "what cannot be read is no reason"
    assert quiet.log.splitlines()[-1].startswith(f"Not yet: Unknown: The base image {base} cannot be read: ")
    lost = template(desk, "status")
    assert (lost["state"], lost["baseDigest"]) == ("Proven", new)
    assert lost["message"].startswith(f"Base image {base} cannot be read: ")
    assert any(entry.startswith(f"base image {base}: ") for entry in desk.facts("plan")["unknown"])


@pytest.mark.long
def test_an_image_that_somebody_put_under_a_recorded_tag_is_told_and_never_overwritten(
    remote: tuple[Scene, str], base_image: str
) -> None:
    scene, _ = remote
    desk, client = scene.desk, scene.fleet.client
    recorded = scene.images["0.1.0"]["plain"].partition("@")[0]
    client.images.get(base_image).tag(recorded)
    client.images.push(recorded)
    theirs = str(client.images.get_registry_data(recorded).id)
    plan = template(desk, "plan")
    assert (plan["build"], plan["reason"]) == (True, "LabelsMissing")
    assert plan["before"].startswith("version 0.1.0, wheel ")
    assert plan["after"] == f"{theirs[:19]}: no labels of ours"
    ended = desk.run(code=1)
    assert ended.lines("cascade 0.1.0 .*: because plain: LabelsMissing$")
    assert f"{recorded} is immutable and stands for {theirs}" in ended.log.splitlines()[-1]
    assert client.images.get_registry_data(recorded).id == theirs
