"""Templates that somebody else builds, or that may fail, beside one of our own: none of them stops another."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.e2e.ci import Ci
from tests.e2e.desk import Desk
from tests.e2e.scene import Scene
from tests.parts.github_api import GitHubApi, running_github_api

TOKEN = "a token of this test"  # noqa: S105 -- opens a stand-in
OTHERS = ("told", "watched")


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubApi]:
    """The stand-in, and an environment that names it."""
    with running_github_api() as api:
        api.token, api.repository = TOKEN, "team/told"
        monkeypatch.setenv("GITHUB_API_URL", api.url)
        monkeypatch.setenv("TEMPLATE_DISPATCH_TOKEN", TOKEN)
        yield api


@pytest.fixture
def theirs(
    scene: Scene, registry: str, base_image: str, client: docker.DockerClient, tmp_path: Path
) -> dict[str, Ci]:
    """Four templates in a registry: plain is ours, polite may fail, told and watched are built by somebody else."""
    desk = scene.desk

    def image(name: str) -> str:
        return f"{registry}/{desk.prefix}{name}"

    with desk.editing() as spec:
        spec["registry"] = {"mode": "Remote", "artifacts": image("artifacts"), "insecure": True}
        plain, polite = spec["templates"]
        plain["image"], polite["image"], polite["gate"] = image("plain"), image("polite"), "AllowFailure"
        dispatch = {"repository": "team/told", "timeoutSeconds": 300}
        builds = ({"strategy": "Dispatch", "dispatch": dispatch}, {"strategy": "Follow"})
        spec["templates"] += [
            {
                "name": name,
                "image": image(name),
                "startDeadlineSeconds": 30,
                "probe": {"model": "None"},
                "build": build,
            }
            for name, build in zip(OTHERS, builds, strict=True)
        ]
    folder = tmp_path / "ci"
    made = {name: Ci(client, scene.index, image(name), base_image, folder) for name in OTHERS}
    for ci in made.values():
        ci.push("0.1.0")
    return made


@pytest.fixture
def begun(scene: Scene, github: GitHubApi, theirs: dict[str, Ci]) -> Iterator[Scene]:
    """0.1.0 runs in one workspace of each template."""
    desk = scene.desk
    desk.run()
    assert github.dispatched == [], "an image of 0.1.0 was there already"
    for name in ("plain", "polite", *OTHERS):
        image = desk.wsr("image", name).out.strip()
        scene.fleet.client.images.pull(image)
        scene.images["0.1.0"][name] = image
    scene.populate("0.1.0", "plain-1", "polite-1", "told-1", "watched-1")
    yield scene
    del theirs


def breaks_the_adapter(desk: Desk) -> None:
    """A library that only the adapter of polite uses changes its name."""
    desk.edit("source/words.py", "def please", "def kindly")


def templates(desk: Desk) -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in desk.facts("status")["templates"]}


def digest(scene: Scene, workspace: str) -> str:
    container = scene.fleet.client.containers.get(f"{scene.desk.prefix}{workspace}")
    return str(container.attrs["Config"]["Image"]).rpartition("@")[2]


def test_what_others_build_is_told_awaited_probed_and_rolled_and_what_may_fail_stays_behind(
    begun: Scene, github: GitHubApi, theirs: dict[str, Ci]
) -> None:
    desk, fleet = begun.desk, begun.fleet
    before = {name: digest(begun, f"{name}-1") for name in ("polite", *OTHERS)}
    registry_data = fleet.client.images.get_registry_data
    latest = registry_data(f"{desk.image('polite')}:latest").id
    breaks_the_adapter(desk)
    desk.bump("0.1.1")
    running = desk.start("run", "--once")
    running.until("dispatch 0.1.1 told: team/told was told")
    running.until("promote 0.1.1: ")
    running.kill()

    assert begun.published() == ["0.1.0", "0.1.1"]
    versions = fleet.versions()
    assert versions == {f"{desk.prefix}{name}-1": version for name, version in (("plain", "0.1.1"), ("polite", "0.1.0"), ("told", "0.1.0"), ("watched", "0.1.0"))}  # fmt: skip
    (sent,) = github.dispatched
    payload = sent["client_payload"]
    assert sent["event_type"] == "runtime-published"
    assert payload["runtime_version"] == "0.1.1"
    assert payload["wheel_sha256"] == desk.facts("status")["package"]["wheelSha256"]

    delivered = {name: theirs[name].push("0.1.1") for name in OTHERS}
    ended = desk.run()
    assert len(github.dispatched) == 1, "whoever was told before the kill was told again"
    for name in OTHERS:
        assert ended.lines(f"probe 0.1.1 {name}: booted in .* and answered two turns")
        assert digest(begun, f"{name}-1") == delivered[name] != before[name]
        assert ":0.1.1-nogit-" in desk.wsr("image", name).out
    assert fleet.versions() == {f"{desk.prefix}{name}-1": "0.1.1" if name != "polite" else "0.1.0" for name in ("plain", "polite", *OTHERS)}  # fmt: skip
    assert digest(begun, "polite-1") == before["polite"]

    polite = templates(desk)["polite"]
    assert (polite["state"], polite["reason"]) == ("HeldBack", "GateFailed")
    assert "ImportError: cannot import name 'please'" in polite["message"]
    assert desk.facts("status")["history"][0]["verdict"] == "Good"
    assert "1 not, held back: TurnFailed: Template polite" in ended.out
    assert registry_data(f"{desk.image('plain')}:latest").id == digest(begun, "plain-1")
    assert registry_data(f"{desk.image('polite')}:latest").id == latest
    again = desk.run()
    assert not again.lines("because")
    assert "The next pass tries polite of 0.1.1 again." in desk.wsr("resume").out
    assert desk.run().lines("probe 0.1.1 polite: failed: TurnFailed")


def test_who_cannot_be_told_or_does_not_answer_stops_nobody_else(
    begun: Scene, github: GitHubApi, theirs: dict[str, Ci], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, fleet = begun.desk, begun.fleet
    monkeypatch.delenv("TEMPLATE_DISPATCH_TOKEN")
    desk.bump("0.1.1")
    theirs["watched"].push("0.1.0", tag="other")
    running = desk.start("run", "--once")
    running.until("dispatch 0.1.1 told: Template told: there is no token to tell team/told of 0.1.1 with.")
    running.until("AwaitingDelivery|CredentialsMissing")
    theirs["watched"].push("0.1.1")
    ended = running.end()
    assert ended.code == 1
    assert "CredentialsMissing" in ended.log.splitlines()[-1]
    assert begun.published() == ["0.1.0", "0.1.1"]
    told = templates(desk)["told"]
    assert (told["state"], told["reason"]) == ("Awaited", "CredentialsMissing")
    assert "set TEMPLATE_DISPATCH_TOKEN" in told["message"]
    assert {name: version for name, version in fleet.versions().items() if "told" not in name} == {f"{desk.prefix}{name}-1": "0.1.1" for name in ("plain", "polite", "watched")}  # fmt: skip

    monkeypatch.setenv("TEMPLATE_DISPATCH_TOKEN", TOKEN)
    for status, words in (
        (404, "that this token may see (404)"),
        (403, "The token may not dispatch to team/told (403)"),
    ):
        github.refusal = (status, {}, "{}")
        assert words in desk.run(code=1).log.splitlines()[-1]
        assert templates(desk)["told"]["reason"] == "DispatchRefused"
    github.refusal = None
    with desk.editing() as spec:
        spec["templates"][2]["build"]["dispatch"]["timeoutSeconds"] = 1
    silent = desk.run(code=1)
    assert "DispatchSilent" in silent.log.splitlines()[-1]
    assert templates(desk)["told"]["reason"] == "DispatchSilent"
    assert len(github.dispatched) == 1
    desk.run(code=1)
    assert len(github.dispatched) == 1
    assert "The next pass tries told of 0.1.1 again." in desk.wsr("resume").out
    desk.run(code=1)
    assert len(github.dispatched) == 2
    assert github.dispatched[0] == github.dispatched[1], "the same release has the same correlation id"
    theirs["told"].push("0.1.1")
    desk.run()
    begun.assert_all_run("0.1.1")


def test_nothing_to_try_a_version_on_stops_its_publication_unless_that_is_allowed(
    scene: Scene, github: GitHubApi, theirs: dict[str, Ci], registry: str
) -> None:
    desk = scene.desk
    with desk.editing() as spec:
        spec["templates"] = [spec["templates"][0], spec["templates"][3]]
        spec["templates"][1]["image"] = f"{registry}/{desk.prefix}nothing"
        spec["version"] = "0.1.1"
    ended = desk.run(code=1)
    assert ended.log.splitlines()[-1] == (
        f"Untested: Template watched: no image is served as {registry}/{desk.prefix}nothing:latest yet to try 0.1.1 on."
        " Push a first one, or set the template's gate to AllowUntested."
    )
    assert scene.published() == ["0.1.0"]
    assert templates(desk)["watched"]["state"] == "Untested"
    with desk.editing() as spec:
        spec["templates"][1]["gate"] = "AllowUntested"
    desk.run("--until", "Published")
    assert scene.published() == ["0.1.0", "0.1.1"]
    assert "not tried yet: watched" in str(desk.condition("ImagesBuilt"))
    del github, theirs
