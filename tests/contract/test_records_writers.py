"""What writers of one record leave behind in real registries, and what is kept whenever one of them is late or killed."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from controller.clients.record_reader import DONE_TYPE, RECORD_TYPE
from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import FILE_TYPE, RegistryRecords
from controller.model.errors import NotFound, Terminal
from controller.model.template_record import TemplateRecord
from tests.contract.record_promises import record
from tests.parts.registry import running_registry, running_second_registry

PLACES = ("docker-registry", "without deletion", "another implementation")
WRITERS = ("machine1", "machine2", "machine3")


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Each registry that records are kept in."""
    folder = tmp_path_factory.mktemp("registry")
    if request.param == "another implementation":
        with running_second_registry(folder) as address:
            yield address
    else:
        with running_registry(folder, deletes=request.param != "without deletion") as address:
            yield address


class Killed(BaseException):
    """The end of a process, as `kill -9` makes it: nothing of ours runs after it."""


class Stepped(Registry):
    """A registry's client that counts its requests and stops before one of them, to go on later or never."""

    def __init__(self, address: str, *, stop_at: int = 0) -> None:
        super().__init__(RegistryAccess(address, insecure=True))
        self.asked = 0
        self.stop_at = stop_at
        self.killed = False
        self.stopped = asyncio.Event()
        self.go_on = asyncio.Event()

    async def turn(self) -> None:
        self.asked += 1
        if self.asked == self.stop_at:
            self.stopped.set()
            await self.go_on.wait()
        if self.killed:
            raise Killed

    async def digest(self, reference: str) -> str:
        await self.turn()
        return await super().digest(reference)

    async def tags(self, repository: str) -> list[str]:
        await self.turn()
        return list(await super().tags(repository))

    async def artifact(self, reference: str) -> tuple[str, bytes]:
        await self.turn()
        return await super().artifact(reference)

    async def put_artifact(
        self,
        reference: str,
        content: bytes,
        *,
        kind: str,
        file: str,
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        await self.turn()
        return await super().put_artifact(reference, content, kind=kind, file=file, annotations=annotations)

    async def delete(self, repository: str, digest: str) -> None:
        await self.turn()
        await super().delete(repository, digest)


class Desk:
    """One repository of records, and processes that write there."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.repository = f"{address}/t{secrets.token_hex(4)}/artifacts"

    @asynccontextmanager
    async def process(
        self, writer: str, client: Stepped | None = None, *, ago: timedelta = timedelta()
    ) -> AsyncIterator[tuple[Stepped, RegistryRecords]]:
        async with client or Stepped(self.address) as registry:
            assert isinstance(registry, Stepped)
            yield (
                registry,
                RegistryRecords(
                    registry,
                    self.repository,
                    writer=lambda: writer,
                    clock=lambda: datetime.now(UTC) - ago,
                ),
            )

    async def write(self, version: str, writer: str, template: str) -> None:
        """Have a whole process note that a template was proven."""
        async with self.process(writer) as (_, records):
            await prove(records, version, template)

    async def begin(self, version: str) -> None:
        async with self.process("first") as (_, records):
            await records.put(record(version))

    async def requests(self) -> int:
        """How many requests one write takes that nothing disturbs."""
        await self.begin("0.0.1")
        async with self.process(WRITERS[0]) as (registry, records):
            await prove(records, "0.0.1", "x")
            return registry.asked

    async def proven(self, version: str) -> set[str]:
        async with self.process("reader") as (_, records):
            found = (await records.get(version)).templates
            assert (await records.records())[version].templates == found
            return {name for name, image in found.items() if image.proven}

    async def copies(self, version: str) -> dict[str, str]:
        """The copies of a version that are still there, each with its type; a registry may go on listing their tags."""
        async with self.process("reader") as (registry, _):
            tags = await registry.tags(self.repository)
            writers = [tag for tag in tags if tag.startswith(f"{version}.writer-")]
            found = {}
            for tag in writers:
                with suppress(NotFound):
                    found[tag], _ = await registry.artifact(f"{self.repository}:{tag}")
            return found


async def prove(records: RegistryRecords, version: str, template: str) -> None:
    image = TemplateRecord(image=f"r.example/{template}:1", image_id=f"sha256:{'1' * 64}", proven=True)
    await records.amend(version, lambda current: current.with_template(template, image))


@pytest.fixture
def desk(place: str) -> Desk:
    return Desk(place)


@pytest.fixture
def deletes(request: pytest.FixtureRequest, place: str) -> bool:
    del place
    return "without deletion" not in request.node.name


async def test_nothing_but_the_record_is_left_however_many_processes_have_written(
    desk: Desk, *, deletes: bool
) -> None:
    await desk.begin("0.1.1")
    for number in range(6):
        await desk.write("0.1.1", WRITERS[number % 2], f"template-{number}")
    assert await desk.proven("0.1.1") == {f"template-{number}" for number in range(6)}
    names = ("first", *WRITERS[:2])
    left = await desk.copies("0.1.1")
    assert len(left) == (0 if deletes else len(names))
    assert set(left.values()) <= {DONE_TYPE}, (
        "what stays says that its writer is through: nobody waits for it"
    )


async def test_what_another_one_writes_before_any_request_of_a_slow_one_is_kept_and_so_is_its_own(
    desk: Desk, *, deletes: bool
) -> None:
    for number in range(1, await desk.requests() + 1, 1 if deletes else 3):
        version = f"0.1.{number}"
        await desk.begin(version)
        async with desk.process(WRITERS[0], Stepped(desk.address, stop_at=number)) as (slow, records):
            writing = asyncio.create_task(prove(records, version, "slow"))
            await slow.stopped.wait()
            await desk.write(version, WRITERS[1], "quick")
            slow.go_on.set()
            await writing
        assert await desk.proven(version) == {"slow", "quick"}, f"late before request {number}"
        await desk.write(version, WRITERS[2], "next")
        if deletes:
            assert await desk.copies(version) == {}, f"late before request {number}"


async def test_whoever_is_killed_before_any_request_takes_nothing_along_and_cleans_up_when_it_is_back(
    desk: Desk, *, deletes: bool
) -> None:
    for number in range(1, await desk.requests() + 1, 1 if deletes else 3):
        version = f"0.1.{number}"
        await desk.begin(version)
        await desk.write(version, WRITERS[1], "earlier")
        async with desk.process(WRITERS[0], Stepped(desk.address, stop_at=number)) as (dying, records):
            writing = asyncio.create_task(prove(records, version, "lost"))
            await dying.stopped.wait()
            dying.killed = True
            dying.go_on.set()
            assert isinstance((await asyncio.gather(writing, return_exceptions=True))[0], Killed)
        await desk.write(version, WRITERS[1], "later")
        await desk.write(version, WRITERS[0], "back")
        assert await desk.proven(version) - {"lost"} == {"earlier", "later", "back"}, (
            f"killed before {number}"
        )
        if deletes:
            assert await desk.copies(version) == {}, f"killed before request {number}"


@pytest.mark.parametrize(("hours", "is_dead"), [(23, False), (25, True)])
async def test_what_a_writer_left_that_never_comes_back_goes_after_a_day_and_what_it_said_stays(
    desk: Desk, hours: int, *, is_dead: bool, deletes: bool
) -> None:
    left = 0
    for number in range(2, await desk.requests() + 1, 3 if deletes else 6):
        version = f"0.1.{number}"
        await desk.begin(version)
        ago = timedelta(hours=hours)
        dying = Stepped(desk.address, stop_at=number)
        async with desk.process(WRITERS[0], dying, ago=ago) as (_, records):
            writing = asyncio.create_task(prove(records, version, "lost"))
            stopped = asyncio.create_task(dying.stopped.wait())
            await asyncio.wait({stopped, writing}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            dying.killed = True
            dying.go_on.set()
            await asyncio.gather(writing, return_exceptions=True)
        said = f"{version}.writer-{WRITERS[0]}" in await desk.copies(version)
        await desk.write(version, WRITERS[1], "later")
        after = await desk.copies(version)
        if deletes and is_dead:
            assert after == {}, f"killed before request {number}"
        left += len(after)
        assert await desk.proven(version) >= ({"lost", "later"} if said else {"later"})
    assert bool(left) == (not (deletes and is_dead))


async def _one_after_the_other(desk: Desk, version: str, first: int, second: int, *, kill: bool) -> None:
    """Stop one before a request and another before one of its own; let a third write; then end the two, or kill one."""
    await desk.begin(version)
    async with (
        desk.process(WRITERS[0], Stepped(desk.address, stop_at=first)) as (one, its),
        desk.process(WRITERS[1], Stepped(desk.address, stop_at=second)) as (other, others),
    ):
        writing = [asyncio.create_task(prove(its, version, "one"))]
        await one.stopped.wait()
        writing.append(asyncio.create_task(prove(others, version, "other")))
        stopped = asyncio.create_task(other.stopped.wait())
        await asyncio.wait([stopped, writing[1]], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await desk.write(version, WRITERS[2], "third")
        other.killed = kill
        other.go_on.set()
        ended = await asyncio.gather(writing[1], return_exceptions=True)
        one.go_on.set()
        await writing[0]
    kept = {"one", "third"} | ({"other"} if ended[0] is None else set())
    assert kept <= await desk.proven(version), f"late before {first} and {second}, {kill=}"


@pytest.mark.long
@pytest.mark.parametrize("kill", [False, True])
async def test_of_three_of_whom_two_are_late_or_one_is_killed_nobody_loses_what_was_written(
    desk: Desk, *, kill: bool
) -> None:
    requests = await desk.requests()
    for first in range(1, requests + 1):
        for second in range(1, requests + 5):
            # a repository of its own: who reads one reads all of its records
            await _one_after_the_other(Desk(desk.address), "0.1.1", first, second, kill=kill)


async def test_of_three_of_whom_two_are_late_or_one_is_killed_nobody_loses_what_was_written_in_samples(
    desk: Desk,
) -> None:
    requests, draw = await desk.requests(), random.Random(5)  # noqa: S311 -- the same every time
    for number in range(6):
        first, second = draw.randint(1, requests), draw.randint(1, requests + 4)
        await _one_after_the_other(desk, f"0.1.{number}", first, second, kill=number % 3 == 0)


class Hasty(Stepped):
    """Takes its time before some requests, and is killed before a few."""

    def __init__(self, address: str, draw: random.Random) -> None:
        super().__init__(address)
        self._draw = draw

    async def turn(self) -> None:
        await super().turn()
        await asyncio.sleep(self._draw.random() ** 4 * 0.05)
        if self._draw.random() < 0.02:
            raise Killed


@pytest.mark.parametrize("seed", [0, *(pytest.param(each, marks=pytest.mark.long) for each in range(1, 8))])
async def test_in_a_crowd_of_which_some_are_killed_everything_is_kept_that_was_said_to_be(
    desk: Desk, seed: int
) -> None:
    draw, kept = random.Random(seed), set[str]()  # noqa: S311 -- the same every time
    await desk.begin("0.1.1")

    async def machine(writer: str) -> None:
        for number in range(6):
            async with desk.process(writer, Hasty(desk.address, draw)) as (_, records):
                name = f"{writer}-{number}"
                (error,) = await asyncio.gather(prove(records, "0.1.1", name), return_exceptions=True)
                assert error is None or isinstance(error, Killed)
                if error is None:
                    kept.add(name)

    await asyncio.gather(*map(machine, WRITERS))
    await desk.write("0.1.1", WRITERS[0], "last")
    assert await desk.proven("0.1.1") >= kept | {"last"}
    assert len(await desk.copies("0.1.1")) <= len(WRITERS) + 1


@pytest.mark.parametrize(
    ("content", "kind", "cause"),
    [
        (b"{}", RECORD_TYPE, "The release record {place} cannot be read: package: Field required."),
        (b"{}", FILE_TYPE, "{place} is no release record, but {kind}."),
    ],
)
async def test_a_copy_that_cannot_be_used_is_named_with_its_writer_and_the_cure(
    desk: Desk, content: bytes, kind: str, cause: str
) -> None:
    await desk.begin("0.1.1")
    place = f"{desk.repository}:0.1.1.writer-deadbeef"
    async with AsyncExitStack() as stack:
        registry, records = await stack.enter_async_context(desk.process(WRITERS[0]))
        await registry.put_artifact(place, content, kind=kind, file="record.json")
        with pytest.raises(Terminal) as caught:
            await prove(records, "0.1.1", "x")
        assert caught.value.reason == "RecordCorrupt"
        assert str(caught.value) == (
            "Writer deadbeef left a copy of the record of 0.1.1 that cannot be used. "
            f"{cause.format(place=place, kind=kind)} Delete tag 0.1.1.writer-deadbeef of {desk.repository}:"
            f" what it alone said is lost, and the record {desk.repository}:0.1.1 stays as it is."
        )
    assert await desk.proven("0.1.1") == set(), "it is still read"
