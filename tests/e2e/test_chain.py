"""The main job: one edited line, and every workspace of this machine runs the new version, proven from inside."""

import hashlib

import docker

from tests.e2e.desk import PACKAGE, TEMPLATES
from tests.e2e.scene import Scene


def sha256_of_files(scene: Scene) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in scene.packages.iterdir()}


def moving_tags(scene: Scene, client: docker.DockerClient) -> dict[str, str]:
    desk = scene.desk
    return {name: str(client.images.get(f"{desk.image(name)}:{desk.moving_tag}").id) for name in TEMPLATES}


def test_an_edited_version_reaches_every_workspace_with_its_data_and_leaves_others_alone(
    scene: Scene, client: docker.DockerClient
) -> None:
    desk, fleet = scene.desk, scene.fleet
    fleet.add("plain-1", scene.images["0.1.0"]["plain"], networks=["front", "back"])
    workspaces = scene.populate("0.1.0", "plain-2", "polite-1")
    stranger = client.containers.run(
        scene.images["0.1.0"]["plain"], name=f"stranger-{fleet.prefix}1", detach=True
    )
    before, tags, files = fleet.shapes(), moving_tags(scene, client), sha256_of_files(scene)
    desk.bump("0.1.1")
    running = desk.start("run", "--once")
    running.until("replace docker/local/.*: because")
    assert moving_tags(scene, client) == tags, "a tag moved before the fleet had proven the release"
    ended = running.end()

    try:
        assert ended.code == 0, ended.log
        stranger.reload()
        assert stranger.status == "running"
    finally:
        stranger.remove(force=True)
    scene.assert_all_run("0.1.1")
    after = fleet.shapes()
    for workspace in workspaces:
        assert before[workspace.name].kept_by(after[workspace.name])
        assert before[workspace.name].identity != after[workspace.name].identity
        assert workspace.ask("hello") == ("please: hello" if workspace.template == "polite" else "hello")
    served = sha256_of_files(scene)
    wheel = f"{PACKAGE.replace('-', '_')}-0.1.1-py3-none-any.whl"
    assert served[wheel] == desk.status()["package"]["wheelSha256"]
    assert {name: served[name] for name in files} == files
    assert scene.published() == ["0.1.0", "0.1.1"]
    image_ids = {str(client.containers.get(name).attrs["Image"]) for name in after}
    assert set(moving_tags(scene, client).values()) == image_ids
