"""What a pass over a real host shows of its targets."""

import asyncio
from dataclasses import replace as changed
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.act.replace import replace
from controller.clients.docker import DockerEngine
from controller.model.container import ContainerState
from controller.model.errors import Transient
from controller.model.observed import Known, Unknown
from controller.model.replacement import Boundary
from controller.model.running import RuntimeState
from controller.model.target import Phase, Target
from controller.observe.docker_hosts import Sightings, observe
from tests.parts.faulty_engine import faulty_engine
from tests.parts.replacing import TEMPLATE, crash, order
from tests.parts.stand_in import StandInImage, StandIns


async def run(host: DockerEngine, name: str, image: StandInImage, **more: object) -> str:
    container = await host.create_container(name, {"Image": image.reference} | more)
    await host.start(container)
    return container


async def look(host: DockerEngine, images: StandIns, prefix: str, **selector: str) -> dict[str, Target]:
    """The targets under the test's prefix, by the rest of their names, once all of them that run have answered."""
    for _ in range(40):
        targets = await observe(
            host, prefix=prefix, selector=selector, templates={TEMPLATE: images.repository}
        )
        starting = [
            one for one in targets if isinstance(one.running, Unknown) and one.state is ContainerState.RUNNING
        ]
        if not starting:
            break
        await asyncio.sleep(0.1)
    return {target.name.removeprefix(prefix): target for target in targets}


async def test_a_target_says_what_it_runs_from_inside(
    host: DockerEngine, images: StandIns, docker_prefix: str
) -> None:
    image = images.image("1.0.0")
    labels = {"runtime.molecule.ai/hold": "exam week", "runtime.molecule.ai/pin": "1.0.0"}
    container = await run(host, f"{docker_prefix}ws-a", image, Labels=labels)
    target = (await look(host, images, f"{docker_prefix}ws-"))["a"]
    assert (target.id, target.template) == (f"docker/local/{docker_prefix}ws-a", TEMPLATE)
    assert (target.container_id, target.image, target.image_id) == (container, image.reference, image.id)
    assert target.labels.items() >= labels.items(), "by which waves choose"
    assert (target.hold, target.pin, target.shape_unsafe, target.succession) == (
        "exam week",
        "1.0.0",
        None,
        None,
    )
    assert target.reports("1.0.0", image.content_sha256)
    assert not target.reports("1.0.0", "0" * 64)
    assert not target.reports("1.0.1", image.content_sha256)
    assert not target.busy


async def test_prefix_and_selector_are_exact(
    host: DockerEngine, images: StandIns, docker_prefix: str
) -> None:
    image = images.image("1.0.0")
    ours = {"Labels": {"managed": "true", "ring": "canary"}}
    await run(host, f"{docker_prefix}ws-a", image, **ours)
    await run(host, f"{docker_prefix}ws-b", image, Labels={"managed": "false"})
    await run(host, f"x{docker_prefix}ws-c", image, **ours)
    try:
        assert list(await look(host, images, f"{docker_prefix}ws-", managed="true")) == ["a"]
    finally:
        await host.remove(f"x{docker_prefix}ws-c", force=True)


async def test_a_target_of_no_listed_template_says_so(
    host: DockerEngine, images: StandIns, docker_prefix: str
) -> None:
    await run(host, f"{docker_prefix}ws-a", images.image("1.0.0", name="other"))
    target = (await look(host, images, f"{docker_prefix}ws-"))["a"]
    assert target.template is None
    assert target.template_unknown is not None
    assert f"{images.repository}-other" in target.template_unknown


async def test_a_moved_tag_changes_neither_template_nor_image(
    host: DockerEngine, images: StandIns, docker_prefix: str
) -> None:
    first, second = images.image("1.0.0"), images.image("2.0.0")
    moving = f"{images.repository}:{docker_prefix}moving"
    await host.tag_image(first.id, moving)
    await run(host, f"{docker_prefix}ws-a", changed(first, reference=moving))
    await run(host, f"{docker_prefix}ws-b", changed(first, reference=first.id))
    await host.tag_image(second.id, moving)
    targets = await look(host, images, f"{docker_prefix}ws-")
    assert [(one.template, one.image_id) for one in targets.values()] == [(TEMPLATE, first.id)] * 2


async def test_what_does_not_run_is_unknown_and_what_works_is_busy(
    host: DockerEngine, images: StandIns, docker_prefix: str
) -> None:
    image = images.image("1.0.0")
    for name in ("stopped", "paused", "busy"):
        await run(host, f"{docker_prefix}ws-{name}", image)
    await host.create_container(f"{docker_prefix}ws-created", {"Image": image.reference})
    await look(host, images, f"{docker_prefix}ws-")
    await host.stop(f"{docker_prefix}ws-stopped", grace_seconds=1)
    await host.pause(f"{docker_prefix}ws-paused")
    await host.execute(f"{docker_prefix}ws-busy", ("molecule-runtime", "ctl", "busy", "60"))
    targets = await look(host, images, f"{docker_prefix}ws-")
    assert {name: (one.is_running, one.busy) for name, one in targets.items()} == {
        "busy": (True, True),
        "created": (False, False),
        "paused": (True, False),
        "stopped": (False, False),
    }
    for name in ("created", "paused", "stopped"):
        running = targets[name].running
        assert isinstance(running, Unknown)
        assert running.reason.startswith("the container is ")


async def test_one_without_an_address_is_asked_by_exec(
    host: DockerEngine, images: StandIns, docker_prefix: str
) -> None:
    image = images.image("1.0.0")
    await run(host, f"{docker_prefix}ws-a", image, HostConfig={"NetworkMode": "none"})
    assert (await look(host, images, f"{docker_prefix}ws-"))["a"].reports("1.0.0", image.content_sha256)


async def test_an_older_runtime_is_known_by_its_package_and_never_started_twice(
    host: DockerEngine, base_image: str, docker_prefix: str
) -> None:
    name = f"{docker_prefix}ws-a"
    await host.start(
        await host.create_container(
            name, {"Image": base_image, "Cmd": ["sleep", "600"], "HostConfig": {"Init": True}}
        )
    )
    (target,) = await observe(host, prefix=name, selector={}, templates={}, package="pip")
    assert isinstance(target.running, Known)
    report = target.running.value
    assert (report.state, report.content_sha256, report.active_tasks) == (RuntimeState.UNREPORTED, None, None)
    assert report.version[0].isdigit()
    assert not target.reports(report.version, "0" * 64)
    (target,) = await observe(host, prefix=name, selector={}, templates={}, package="no-such-package")
    assert isinstance(target.running, Unknown)
    assert "no-such-package" in target.running.reason


async def test_shapes_that_forbid_a_replacement_are_seen_before_it(
    host: DockerEngine, images: StandIns, docker_prefix: str
) -> None:
    image = images.image("1.0.0")
    await run(host, f"{docker_prefix}ws-rm", image, HostConfig={"AutoRemove": True})
    shared = await run(host, f"{docker_prefix}ws-shared", image)
    await run(host, f"{docker_prefix}ws-linked", image)
    waiting = {"Image": image.reference, "Cmd": ["sleep", "600"]}
    side = {"HostConfig": {"NetworkMode": f"container:{shared}"}}
    await host.create_container(f"{docker_prefix}side", waiting | side)
    link = {"HostConfig": {"Links": [f"{docker_prefix}ws-linked:it"]}}
    await host.create_container(f"{docker_prefix}web", waiting | link)
    found = {
        name: one.shape_unsafe or ""
        for name, one in (await look(host, images, f"{docker_prefix}ws-")).items()
    }
    assert "--rm" in found["rm"]
    assert f"{docker_prefix}side" in found["shared"]
    assert f"{docker_prefix}web" in found["linked"]


@pytest.mark.parametrize(
    ("step", "phase"),
    [
        ("Drain", Phase.PREPARED),
        ("RenameOld", Phase.SWITCHING),
        ("RenameNew", Phase.SWITCHING),
        ("StartNew", Phase.SWITCHING),
        ("RemoveOld", Phase.SWITCHING),
    ],
)
async def test_a_replacement_under_way_is_one_target_under_its_own_name(  # noqa: PLR0913, PLR0917 -- fixtures
    engine: str, host: DockerEngine, images: StandIns, docker_prefix: str, step: str, phase: Phase
) -> None:
    old, new = images.image("1.0.0"), images.image("2.0.0")
    await run(host, f"{docker_prefix}ws-a", old)
    await look(host, images, f"{docker_prefix}ws-")
    todo = order(f"{docker_prefix}ws-a", new)
    assert await crash(engine, todo, step, Boundary.BEFORE)
    targets = await look(host, images, f"{docker_prefix}ws-")
    assert list(targets) == ["a"]
    succession = targets["a"].succession
    assert succession is not None
    assert targets["a"].in_transition
    assert (succession.phase, succession.image_id, succession.version) == (phase, new.id, "2.0.0")
    assert targets["a"].container_id == (
        succession.new_id if step in {"StartNew", "RemoveOld"} else succession.old_id
    )
    interim = await observe(host, prefix="wsr-", selector={}, templates={})
    assert not [one.name for one in interim if docker_prefix in one.name]
    await replace(host, todo)
    after = (await look(host, images, f"{docker_prefix}ws-"))["a"]
    assert (after.succession, after.has_create_spec) == (None, True)
    assert after.reports("2.0.0", new.content_sha256)


async def test_a_successor_that_starts_is_left_to_its_replacement(
    engine: str, host: DockerEngine, images: StandIns, docker_prefix: str, tmp_path: Path
) -> None:
    await run(host, f"{docker_prefix}ws-a", images.image("1.0.0"))
    await look(host, images, f"{docker_prefix}ws-")
    todo = order(f"{docker_prefix}ws-a", images.image("2.0.0", fault="silent"))
    assert await crash(engine, todo, "AwaitProof", Boundary.BEFORE)
    with faulty_engine(engine, tmp_path) as faulty:
        async with DockerEngine(faulty.endpoint) as through:
            [target] = await observe(
                through, prefix=f"{docker_prefix}ws-", selector={}, templates={TEMPLATE: images.repository}
            )
    assert target.in_transition
    assert isinstance(target.running, Unknown)
    assert not [request for request in faulty.seen if "/exec" in request or "/images/" in request]


async def test_a_stopped_one_with_its_successor_rests(
    host: DockerEngine, images: StandIns, docker_prefix: str
) -> None:
    await host.create_container(f"{docker_prefix}ws-a", {"Image": images.image("1.0.0").reference})
    new = images.image("2.0.0")
    await replace(host, order(f"{docker_prefix}ws-a", new))
    target = (await look(host, images, f"{docker_prefix}ws-"))["a"]
    assert target.succession is not None
    assert target.succession.phase is Phase.AWAITING_FIRST_START
    assert not target.in_transition
    assert target.image_id == new.id


async def test_a_container_whose_counterpart_was_removed_is_shown_and_left_alone(
    engine: str, host: DockerEngine, images: StandIns, docker_prefix: str
) -> None:
    await run(host, f"{docker_prefix}ws-a", images.image("1.0.0"))
    await look(host, images, f"{docker_prefix}ws-")
    assert await crash(
        engine, order(f"{docker_prefix}ws-a", images.image("2.0.0")), "RenameNew", Boundary.BEFORE
    )
    await host.remove(f"wsr-next-{docker_prefix}ws-a")
    target = (await look(host, images, f"{docker_prefix}ws-"))["a"]
    assert target.shape_unsafe is not None
    assert f"wsr-prev-{docker_prefix}ws-a is the earlier container" in target.shape_unsafe


async def test_an_engine_that_does_not_answer_is_not_an_empty_host(
    engine: str, images: StandIns, docker_prefix: str, tmp_path: Path
) -> None:
    with faulty_engine(engine, tmp_path) as faulty:
        async with DockerEngine(faulty.endpoint) as through:
            faulty.loss = True
            with pytest.raises(Transient):
                await look(through, images, docker_prefix)


async def test_a_pass_asks_for_each_image_once_and_for_nothing_it_does_not_need(
    engine: str, host: DockerEngine, images: StandIns, docker_prefix: str, tmp_path: Path
) -> None:
    for number in range(6):
        await run(host, f"{docker_prefix}ws-{number}", images.image("1.0.0"))
    await look(host, images, f"{docker_prefix}ws-")
    with faulty_engine(engine, tmp_path) as faulty:
        async with DockerEngine(faulty.endpoint) as through:
            await through.ping()
            faulty.seen.clear()
            assert len(await look(through, images, f"{docker_prefix}ws-")) == 6
    kinds = sorted(request.rpartition("/")[2].partition("?")[0] for request in faulty.seen)
    assert len(faulty.seen) == 1 + 6 + 1, kinds  # the list, one inspection each, one image


async def test_what_our_own_replacement_ended_does_not_make_a_pass_look_twice(
    engine: str, host: DockerEngine, images: StandIns, docker_prefix: str, tmp_path: Path
) -> None:
    name = f"{docker_prefix}ws-1"
    await run(host, name, images.image("1.0.0"))
    await host.stop(name, grace_seconds=1)

    async def lists(*switching: str) -> int:
        faulty.seen.clear()
        await observe(through, prefix=name, selector={}, templates={}, switching=switching)
        return sum(request.partition("?")[0].endswith("/containers/json") for request in faulty.seen)

    with faulty_engine(engine, tmp_path) as faulty:
        async with DockerEngine(faulty.endpoint) as through:
            assert await lists() == 2
            assert await lists(f"{docker_prefix}ws-2") == 2
            assert await lists(name) == 1


async def test_one_whose_old_container_is_to_stop_is_not_asked(
    host: DockerEngine, images: StandIns, docker_prefix: str
) -> None:
    for number in (1, 2):
        await run(host, f"{docker_prefix}ws-{number}", images.image("1.0.0"))
    await look(host, images, f"{docker_prefix}ws-")
    switching = {f"{docker_prefix}ws-1"}
    one, two = await observe(
        host, prefix=f"{docker_prefix}ws-", selector={}, templates={}, switching=switching
    )
    assert isinstance(one.running, Unknown)
    assert one.running.reason == "it is being replaced"
    assert isinstance(two.running, Known)


async def test_one_that_our_own_replacement_is_at_is_known_from_the_list_alone(
    engine: str, host: DockerEngine, images: StandIns, docker_prefix: str, tmp_path: Path
) -> None:
    new, name = images.image("2.0.0"), f"{docker_prefix}ws-a"
    old = await run(host, name, images.image("1.0.0"))
    await look(host, images, f"{docker_prefix}ws-")
    seen = Sightings()

    async def asked(through: DockerEngine, *switching: str) -> tuple[Target, int]:
        faulty.seen.clear()
        [target] = await observe(
            through,
            prefix=name,
            selector={},
            templates={TEMPLATE: images.repository},
            sightings=seen,
            switching=switching,
        )
        return target, len(faulty.seen)

    with faulty_engine(engine, tmp_path) as faulty:
        async with DockerEngine(faulty.endpoint) as through:
            before, _ = await asked(through)
            assert await crash(engine, order(name, new), "StartNew", Boundary.BEFORE)
            meanwhile, requests = await asked(through, name)
            looked_at, more = await asked(through)
            assert (requests, more > 2) == (1, True)
    assert (before.container_id, meanwhile.container_id) == (old, looked_at.container_id)
    assert isinstance(meanwhile.running, Unknown)
    assert meanwhile.running.reason == "it is being replaced"
    assert changed(meanwhile, running=looked_at.running, labels=looked_at.labels) == looked_at


async def test_only_what_something_happened_to_is_looked_at_again_within_moments(
    engine: str, host: DockerEngine, images: StandIns, docker_prefix: str, tmp_path: Path
) -> None:
    for number in range(4):
        await run(host, f"{docker_prefix}ws-{number}", images.image("1.0.0"))
    await look(host, images, f"{docker_prefix}ws-")
    sightings = Sightings()

    async def looked_at(through: DockerEngine) -> set[str]:
        faulty.seen.clear()
        targets = await observe(
            through,
            prefix=f"{docker_prefix}ws-",
            selector={},
            templates={TEMPLATE: images.repository},
            sightings=sightings,
        )
        assert all(target.reports("1.0.0", images.image("1.0.0").content_sha256) for target in targets)
        names = {target.container_id: target.name for target in targets}
        asked = (
            request.split("/")[3] for request in faulty.seen if request.partition("?")[0].endswith("/json")
        )
        return {names[one].removeprefix(docker_prefix) for one in asked if one in names}

    with faulty_engine(engine, tmp_path) as faulty:
        async with DockerEngine(faulty.endpoint) as through:
            assert await looked_at(through) == {"ws-0", "ws-1", "ws-2", "ws-3"}
            assert await looked_at(through) == set()
            sightings.touch(f"{docker_prefix}ws-2", datetime.now(UTC))
            assert await looked_at(through) == {"ws-2"}
            assert await looked_at(through) == set()
            sightings.forget_all()
            assert len(await looked_at(through)) == 4
