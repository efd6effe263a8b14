"""A template for two platforms: one is built and proven here, the other's full build comes from somebody else's machine."""

import pytest

from builder.oci import MediaType
from tests.e2e.scene import Scene
from tests.integration.images.foreign import manifest, push_small_arm


@pytest.mark.long
def test_an_image_for_two_platforms_is_released_as_one_index(scene: Scene, registry: str) -> None:
    desk, fleet = scene.desk, scene.fleet
    image = desk.keep_in(registry)
    with desk.editing() as spec:
        build = spec["templates"][0]["build"]
        build |= {"platforms": ["linux/arm64", "linux/amd64"], "fullBuild": f"{image}:of-arm"}
    missing = desk.run(code=1)
    assert missing.lines(
        f"Template plain: There is no full build for linux/arm64: {image}:of-arm does not exist, or has no image for "
        f"that platform. Build {desk.folder}/templates/plain on such a machine and push it under this name."
    )

    push_small_arm(f"{image}:of-arm")
    first = desk.run()
    assert first.lines("cascade 0.1.0 .*: plain: Full, for linux/amd64 and linux/arm64$")
    scene.fetch("0.1.0")
    scene.populate("0.1.0", "plain-1", "plain-2")

    desk.bump("0.1.1")
    ended = desk.run()
    assert ended.lines("cascade 0.1.1 .*: plain: Append, for linux/amd64 and linux/arm64$")
    scene.assert_all_run("0.1.1")
    listed = manifest(f"{image}:latest")
    assert listed.media_type == MediaType.DOCKER_LIST
    assert {entry["platform"]["architecture"] for entry in listed.document["manifests"]} == {"amd64", "arm64"}
    assert manifest(desk.wsr("image", "plain").out.strip()).digest == listed.digest
    for workspace in fleet.workspaces:
        container = fleet.client.containers.get(workspace.name)
        assert container.attrs["Config"]["Image"].endswith(f"@{listed.digest}")
        assert desk.facts("why", f"docker/local/{workspace.name}")["verdict"]["value"] == "Good"
    assert not desk.run().lines("because")
