"""Tags that stand for proven images, in an engine and in a registry alike."""

import asyncio
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from builder.oci import Client, Descriptor, MediaType, NotFound, Reference, canonical_json, sha256_digest
from tests.integration.images.small import Ended, Run


@dataclass(frozen=True)
class Place:
    """A repository with images `one` and `two`, and how to promote in it and to look at it."""

    repository: str
    promote: Callable[..., Ended]
    """Takes tags, and `owners`."""
    digest: Callable[[str], str]
    """Of a tag; empty when there is none."""


@pytest.fixture(params=["Engine", "Remote"])
def place(request: pytest.FixtureRequest, run: Run, image_prefix: str, registry: str) -> Place:
    name = f"{image_prefix}promote-{abs(hash(request.node.name)) % 10**8}"
    if request.param == "Engine":
        return _engine_place(run, name)
    return asyncio.run(_registry_place(run, f"{registry}/{name}"))


def _engine_place(run: Run, repository: str) -> Place:
    client = docker.DockerClient(base_url=run.engine)
    for tag in ("one", "two"):
        client.images.build(
            fileobj=io.BytesIO(f"FROM scratch\nLABEL x={tag}\n".encode()), tag=f"{repository}:{tag}", rm=True
        )

    def digest(tag: str) -> str:
        try:
            return str(client.images.get(f"{repository}:{tag}").id)
        except docker.errors.ImageNotFound:
            return ""

    def promote(*tags: dict[str, Any], owners: Sequence[str] = ()) -> Ended:
        return run.start("promote", {"mode": "Engine", "tags": tags, "owners": owners})

    return Place(repository, promote, digest)


async def _registry_place(run: Run, repository: str) -> Place:
    registry = {"insecure": True}
    async with Client(insecure=True) as client:
        for tag in ("one", "two"):
            config = canonical_json(
                {"os": "linux", "architecture": "amd64", "config": {"Labels": {"x": tag}}}
            )
            reference = Reference.parse(f"{repository}:{tag}")
            await client.ensure_blob(reference, config, digest=sha256_digest(config))
            document = {
                "schemaVersion": 2,
                "mediaType": MediaType.DOCKER_MANIFEST,
                "config": Descriptor.of(MediaType.DOCKER_CONFIG, config).to_document(),
                "layers": [],
            }
            raw = canonical_json(document)
            await client.put_manifest(reference, raw, MediaType.DOCKER_MANIFEST)

    async def look(tag: str) -> str:
        async with Client(insecure=True) as client:
            try:
                return (await client.manifest(Reference.parse(f"{repository}:{tag}"))).digest
            except NotFound:
                return ""

    def digest(tag: str) -> str:
        return asyncio.run(look(tag))

    def promote(*tags: dict[str, Any], owners: Sequence[str] = ()) -> Ended:
        inputs = {"mode": "Remote", "registry": registry, "tags": tags, "owners": owners}
        return run.start("promote", inputs)

    return Place(repository, promote, digest)


def _tag(place: Place, source: str, target: str, *, move: bool, **more: str) -> dict[str, Any]:
    return {
        "from": f"{place.repository}:{source}",
        "to": f"{place.repository}:{target}",
        "move": move,
        **more,
    }


def test_a_tag_is_set_once_and_setting_it_again_is_no_work(place: Place) -> None:
    first = place.promote(_tag(place, "one", "1.0-abc", move=False), _tag(place, "one", "latest", move=True))
    again = place.promote(_tag(place, "one", "1.0-abc", move=False), _tag(place, "one", "latest", move=True))
    assert (first.code, again.code) == (0, 0)
    assert place.digest("1.0-abc") == place.digest("latest") == place.digest("one") != ""
    states = [
        [ended.report["facts"]["tags"][f"{place.repository}:{tag}"]["state"] for tag in ("1.0-abc", "latest")]
        for ended in (first, again)
    ]
    assert states == [["Set", "Set"], ["AlreadyThere", "AlreadyThere"]]


def test_an_immutable_tag_of_another_image_is_refused_and_nothing_moves(place: Place) -> None:
    place.promote(_tag(place, "one", "1.0-abc", move=False))
    ended = place.promote(_tag(place, "two", "latest", move=True), _tag(place, "two", "1.0-abc", move=False))
    assert (ended.code, ended.report["reason"]) == (10, "TagTaken")
    assert (
        f"{place.repository}:1.0-abc is immutable and stands for {place.digest('one')}"
        in ended.report["message"]
    )
    assert place.digest("1.0-abc") == place.digest("one")
    assert place.digest("latest") == ""


def test_a_moving_tag_moves_and_tells_from_where(place: Place) -> None:
    place.promote(_tag(place, "one", "latest", move=True))
    ended = place.promote(_tag(place, "two", "latest", move=True, expect=place.digest("one")))
    facts = ended.report["facts"]["tags"][f"{place.repository}:latest"]
    assert facts == {"digest": place.digest("two"), "state": "Moved", "before": place.digest("one")}
    assert place.digest("latest") == place.digest("two")


@pytest.mark.parametrize("expected", ["", "sha256:" + "0" * 64])
def test_a_tag_that_somebody_else_moved_is_left_alone(place: Place, expected: str) -> None:
    place.promote(_tag(place, "one", "latest", move=True))
    ended = place.promote(_tag(place, "two", "latest", move=True, expect=expected))
    assert (ended.code, ended.report["reason"]) == (10, "TagMoved")
    assert "Somebody else moved it" in ended.report["message"]
    assert place.digest("latest") == place.digest("one")


def test_a_moving_tag_belongs_to_who_moved_it_first_and_nobody_else_moves_it(place: Place) -> None:
    latest = _tag(place, "one", "latest", move=True)
    assert place.promote(latest, owners=["team/runtime"]).code == 0
    ended = place.promote(
        _tag(place, "two", "1.0-abc", move=False),
        _tag(place, "two", "latest", move=True),
        owners=["other/runtime"],
    )
    claim = f"{place.repository}:latest.owner"
    assert (ended.code, ended.report["reason"]) == (10, "PublisherConflict")
    assert ended.report["message"] == (
        f"{place.repository}:latest belongs to team/runtime, as {claim} says. Set promote to false for its template in"
        f" one of the two objects; or, if team/runtime is no more, delete {claim}."
    )
    assert (place.digest("latest"), place.digest("1.0-abc")) == (place.digest("one"), "")
    assert place.promote(_tag(place, "two", "latest", move=True), owners=["team/runtime"]).code == 0
    assert place.digest("latest") == place.digest("two")


def test_a_moving_tag_may_be_taken_over_and_belongs_to_the_new_owner_from_then_on(place: Place) -> None:
    latest = _tag(place, "one", "latest", move=True)
    assert place.promote(latest, owners=["team/runtime"]).code == 0
    assert place.promote(latest, owners=["team/renamed", "team/runtime"]).code == 0
    assert place.promote(latest, owners=["team/renamed"]).code == 0
    assert place.promote(latest, owners=["team/runtime"]).report["reason"] == "PublisherConflict"


def test_an_immutable_tag_needs_no_owner(place: Place) -> None:
    assert place.promote(_tag(place, "one", "1.0-abc", move=False), owners=["team/runtime"]).code == 0
    assert place.digest("1.0-abc.owner") == ""


def test_an_image_that_is_gone_is_named(place: Place) -> None:
    ended = place.promote(_tag(place, "three", "latest", move=True))
    assert (ended.code, ended.report["reason"]) == (10, "ImageMissing")
    assert f"{place.repository}:three does not exist" in ended.report["message"]


def test_a_digest_is_promoted_as_well_as_a_tag(place: Place) -> None:
    digest = place.digest("one")
    source = digest if "/" not in place.repository else f"{place.repository}@{digest}"
    ended = place.promote({"from": source, "to": f"{place.repository}:stable", "move": True})
    assert ended.code == 0, json.dumps(ended.report)
    assert place.digest("stable") == digest


def test_a_promotion_is_a_process_with_one_line_to_say(place: Place, run: Run) -> None:
    document: dict[str, object] = {"mode": "Engine", "tags": [_tag(place, "one", "1.0-abc", move=False)]}
    if "/" in place.repository:
        document |= {"mode": "Remote", "registry": {"insecure": True}}
    ended = run.start_apart("promote", document)
    assert (ended.code, ended.report["outcome"], ended.log) == (0, "DONE", "")
    assert place.digest("1.0-abc") == place.digest("one")


def test_inputs_without_a_tag_are_refused(run: Run) -> None:
    tags = [{"from": "a:1", "to": "a", "move": True}]
    ended = run.start("promote", {"mode": "Engine", "tags": tags})
    assert (ended.code, ended.report["reason"]) == (10, "InvalidInputs")
    assert "'a' has no tag" in ended.report["message"]
