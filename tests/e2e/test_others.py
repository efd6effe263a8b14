"""Templates that somebody else builds, or that may fail, beside one of our own: none of them stops another."""

import time
from collections.abc import Callable, Iterator

import docker
import pytest

from tests.e2e.ci import Ci
from tests.e2e.desk import Desk
from tests.e2e.scene import Release, Scene
from tests.e2e.test_promotion import Registry
from tests.parts.github_api import GitHubApi, running_github_api

TOKEN = "a token of this test"  # noqa: S105 -- opens a stand-in
OTHERS = ("told", "watched")
ALL = ("plain", "polite", *OTHERS)


@pytest.fixture(scope="module")
def github() -> Iterator[GitHubApi]:
    """The stand-in, and an environment that names it."""
    with running_github_api() as api, pytest.MonkeyPatch.context() as environment:
        api.token, api.repository = TOKEN, "team/told"
        environment.setenv("GITHUB_API_URL", api.url)
        environment.setenv("TEMPLATE_DISPATCH_TOKEN", TOKEN)
        yield api


@pytest.fixture(scope="module")
def running(  # noqa: PLR0913, PLR0917 -- the parts that all of this needs
    first_release: Release,
    registry: str,
    base_image: str,
    client: docker.DockerClient,
    github: GitHubApi,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Scene, Ci]]:
    """0.1.0 runs in one workspace of each template: plain is ours, polite may fail, somebody else builds the others."""
    folder = tmp_path_factory.mktemp("others")
    with first_release.copied(folder) as scene:
        desk = scene.desk
        keep_in(desk, registry)
        images = {name: desk.image(name) for name in OTHERS}
        ci = Ci(client, scene.index, images, base_image, folder / "ci")
        ci.push("0.1.0", *OTHERS)
        desk.run()
        assert github.dispatched == [], "an image of 0.1.0 was there already"
        for name in ALL:
            scene.fetch("0.1.0", name)
        scene.populate("0.1.0", *(f"{name}-1" for name in ALL))
        yield scene, ci


@pytest.fixture
def begun(running: tuple[Scene, Ci], github: GitHubApi) -> tuple[Scene, Ci]:
    """Everything is as it was left, and nobody was told of a newer version yet."""
    github.dispatched.clear()
    return running


def keep_in(desk: Desk, registry: str) -> None:
    """Keep everything in a registry, and ask for two templates more, which somebody else builds."""

    def image(name: str) -> str:
        return f"{registry}/{desk.prefix}{name}"

    with desk.editing() as spec:
        spec["registry"] = {"mode": "Remote", "artifacts": image("artifacts"), "insecure": True}
        plain, polite = spec["templates"]
        for template in (plain, polite):
            template |= {"image": image(template["name"]), "tags": ["latest"]}
        polite["gate"] = "AllowFailure"
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


def bump(scene: Scene) -> str:
    """Ask for the version that comes next, and return it."""
    newest = max(int(version.rpartition(".")[2]) for version in scene.published())
    scene.desk.bump(f"0.1.{newest + 1}")
    return f"0.1.{newest + 1}"


def breaks_the_adapter(desk: Desk) -> None:
    """A library that only the adapter of polite uses changes its name."""
    desk.edit("source/words.py", "def please", "def kindly")


def mends_the_adapter(desk: Desk) -> None:
    desk.edit("source/words.py", "def kindly", "def please")


def templates(desk: Desk) -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in desk.status()["templates"]}


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def digest(scene: Scene, workspace: str) -> str:
    container = scene.fleet.client.containers.get(f"{scene.desk.prefix}{workspace}")
    return str(container.attrs["Config"]["Image"]).rpartition("@")[2]


def assert_new_workspaces_get_what_runs(scene: Scene) -> None:
    """The host's own moving tags of what others build, which they push to the registry alone, stand for what was proven."""
    client, desk = scene.fleet.client, scene.desk
    for name in OTHERS:
        runs = client.containers.get(f"{desk.prefix}{name}-1").attrs["Image"]
        assert client.images.get(f"{desk.image(name)}:latest").id == runs


def test_what_others_build_is_told_awaited_probed_and_rolled_and_what_may_fail_stays_behind(
    begun: tuple[Scene, Ci], github: GitHubApi
) -> None:
    scene, ci = begun
    desk, fleet = scene.desk, scene.fleet
    ran = fleet.versions()
    before = {name: digest(scene, f"{name}-1") for name in ("polite", *OTHERS)}
    registry_data = fleet.client.images.get_registry_data
    latest = registry_data(f"{desk.image('polite')}:latest").id
    breaks_the_adapter(desk)
    version = bump(scene)
    running = desk.start("run", "--once")
    running.until(f"dispatch {version} told: team/told was told")
    running.until(f"promote {version}: ")
    running.kill()

    assert version in scene.published()
    assert fleet.versions() == {**ran, f"{desk.prefix}plain-1": version}
    (sent,) = github.dispatched
    payload = sent["client_payload"]
    assert sent["event_type"] == "runtime-published"
    assert payload["runtime_version"] == version
    assert payload["wheel_sha256"] == desk.status()["package"]["wheelSha256"]

    delivered = ci.push(version, *OTHERS)
    ended = desk.run()
    assert len(github.dispatched) == 1, "whoever was told before the kill was told again"
    for name in OTHERS:
        assert ended.lines(f"probe {version} {name}: booted in .* and answered two turns")
        assert digest(scene, f"{name}-1") == delivered[name] != before[name]
        assert f":{version}-nogit-" in desk.wsr("image", name).out
    kept = f"{desk.prefix}polite-1"
    assert fleet.versions() == {name: version if name != kept else ran[kept] for name in ran}
    assert digest(scene, "polite-1") == before["polite"]

    polite = templates(desk)["polite"]
    assert (polite["state"], polite["reason"]) == ("HeldBack", "GateFailed")
    assert "ImportError: cannot import name 'please'" in polite["message"]
    assert desk.status()["history"][0]["verdict"] == "Good"
    assert_new_workspaces_get_what_runs(scene)
    assert "1 not, held back: TurnFailed: Template polite" in ended.out
    assert registry_data(f"{desk.image('plain')}:latest").id == digest(scene, "plain-1")
    assert registry_data(f"{desk.image('polite')}:latest").id == latest
    again = desk.run()
    assert not again.lines("because")
    assert f"The next pass tries polite of {version} again." in desk.wsr("resume").out
    assert desk.run().lines(f"probe {version} polite: failed: TurnFailed")
    mends_the_adapter(desk)


def test_who_cannot_be_told_or_does_not_answer_stops_nobody_else(
    begun: tuple[Scene, Ci], github: GitHubApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, ci = begun
    desk, fleet = scene.desk, scene.fleet
    monkeypatch.delenv("TEMPLATE_DISPATCH_TOKEN")
    version = bump(scene)
    ci.push("0.1.0", "watched", tag="other")
    running = desk.start("run", "--once", "--wait", "5m")
    running.until(
        f"dispatch {version} told: Template told: there is no token to tell team/told of {version} with."
    )
    running.until("AwaitingDelivery|CredentialsMissing")
    ci.push(version, "watched")
    ended = running.end()
    assert ended.code == 1
    assert "CredentialsMissing" in ended.log.splitlines()[-1]
    assert version in scene.published()
    told = templates(desk)["told"]
    assert (told["state"], told["reason"]) == ("Awaited", "CredentialsMissing")
    assert "set TEMPLATE_DISPATCH_TOKEN" in told["message"]
    assert {name: ran for name, ran in fleet.versions().items() if "told" not in name} == {f"{desk.prefix}{name}-1": version for name in ("plain", "polite", "watched")}  # fmt: skip

    monkeypatch.setenv("TEMPLATE_DISPATCH_TOKEN", TOKEN)
    github.refusal = (404, {}, "{}")
    assert "that this token may see (404)" in desk.run(code=1).log.splitlines()[-1]
    assert templates(desk)["told"]["reason"] == "DispatchRefused"
    github.refusal = None
    with desk.editing() as spec:
        spec["templates"][2]["build"]["dispatch"]["timeoutSeconds"] = 1
    silent = desk.run(code=1)
    assert "DispatchSilent" in silent.log.splitlines()[-1]
    assert templates(desk)["told"]["reason"] == "DispatchSilent"
    assert len(github.dispatched) == 1
    assert f"The next pass tries told of {version} again." in desk.wsr("resume").out
    desk.run(code=1)
    assert len(github.dispatched) == 2
    assert github.dispatched[0] == github.dispatched[1], "the same release has the same correlation id"
    ci.push(version, "told")
    desk.run()
    scene.assert_all_run(version)
    with desk.editing() as spec:
        spec["templates"][2]["build"]["dispatch"]["timeoutSeconds"] = 300


@pytest.mark.long
def test_a_delivered_image_that_is_deleted_is_told_and_the_next_one_taken_over(
    begun: tuple[Scene, Ci], github: GitHubApi
) -> None:
    scene, ci = begun
    desk, fleet = scene.desk, scene.fleet
    version = bump(scene)
    running = desk.start("run", "--once")
    running.until(f"dispatch {version} told: team/told was told")
    delivered = ci.push(version, *OTHERS)
    assert running.end().code == 0
    scene.assert_all_run(version)

    for name, digest_ in delivered.items():
        Registry(desk.image(name)).delete(digest_)
    before = fleet.shapes()
    running = desk.start("run", "--once")
    running.until(f"ImageGone: Template watched: its image of {version}, ")
    running.until(f"dispatch {version} told: because its image was deleted, and team/told builds it$")
    running.until(f"dispatch {version} told: team/told was told")
    eventually(lambda: "was told again" in templates(desk)["told"]["message"])
    running.kill()
    assert github.dispatched[0] == github.dispatched[1]
    assert fleet.shapes() == before
    for name, words in (("told", "was told again"), ("watched", "Push it again, or another one")):
        standing = templates(desk)[name]
        assert (standing["state"], standing["reason"]) == ("Awaited", "ImageGone")
        assert f"@{delivered[name]}, was deleted from the registry. " in standing["message"]
        assert words in standing["message"]
        repository, _, tag = desk.wsr("image", name).out.strip().rpartition(":")
        assert not tag.startswith(f"{version}-"), "new workspaces get an earlier image that is there"
        assert Registry(repository).digest(tag) not in {"", delivered[name]}

    again = ci.push(version, *OTHERS, tag=version)
    desk.run()
    assert len(github.dispatched) == 2
    for name in OTHERS:
        assert digest(scene, f"{name}-1") == again[name] != delivered[name]
    scene.assert_all_run(version)
    assert_new_workspaces_get_what_runs(scene)
    ci.push(
        version, *OTHERS
    )  # others go on in its place, and try the next version on what is served as latest


@pytest.mark.long
def test_nothing_to_try_a_version_on_stops_its_publication_unless_that_is_allowed(
    scene: Scene, registry: str
) -> None:
    desk = scene.desk
    keep_in(desk, registry)
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
    ended = desk.run(code=3)
    awaited = "Version 0.1.1 is awaited from whoever builds: watched."
    assert ended.log.splitlines()[-1] == f"Not yet: AwaitingDelivery: {awaited}"
    status = desk.status()
    assert (status["lastKnownGood"], status["history"][0]["verdict"]) == ("0.1.1", "Good")

    plain = Registry(f"{registry}/{desk.prefix}plain")
    ours, foreign = plain.digest("latest"), plain.push_foreign("latest", "somebody else's")
    moved = f"{plain.repository}:latest was moved by somebody else: it stands for {foreign}"
    ended = desk.run(code=1)
    assert ended.log.splitlines()[-1].startswith(f"TagMoved: {moved}")
    assert ended.log.splitlines()[-1].endswith(awaited)
    assert moved in templates(desk)["plain"]["message"]
    assert "The next pass moves what somebody else moved to 0.1.1" in desk.wsr("resume").out
    desk.run(code=3)
    assert plain.digest("latest") == ours
