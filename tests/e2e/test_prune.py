"""What `wsr run` deletes from a registry once it has nothing else to do: only where the document says so, and only what is old."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller.clients.registry import Registry, RegistryAccess
from controller.clients.registry_records import RegistryRecords
from controller.model.record import ReleaseRecord, Verdict
from controller.model.template_record import FullBuild, TemplateRecord
from tests.contract.record_promises import NOON, record
from tests.contract.released import PUBLISHER, VERSIONS, document_of, keep, push, release
from tests.e2e.wsr import Ended, Running

FAILED = Verdict(value="Failed", reason="GateFailed", message="echo: no answer", time=NOON)


async def _world(repository: str) -> None:
    """A release in use, with a shadow of long ago; and failed versions: an old one, one whose digest is shared, a young one."""
    long_ago = datetime.now(UTC) - timedelta(days=20)
    await release(repository, VERSIONS[-1])
    shadow = await _candidate(repository, "shadow", built=long_ago)
    newest, build = [await _full_build(repository, tag) for tag in ("full-0000000e", "full-0000000f")]

    def with_both(current: ReleaseRecord) -> ReleaseRecord:
        image = current.templates["echo"].model_copy(update={"full_build": newest})
        return current.with_template("echo", image).with_shadow("echo", shadow)

    async with Registry(RegistryAccess(repository.partition("/")[0], insecure=True)) as registry:
        await RegistryRecords(registry, f"{repository}/artifacts").amend(VERSIONS[-1], with_both)
    for number, (name, built) in enumerate(
        {"old": long_ago, "tagged": long_ago, "young": datetime.now(UTC)}.items()
    ):
        image = await _candidate(repository, name, built=built)
        if name == "old":
            image = image.model_copy(update={"full_build": build})
        await keep(repository, _failed(f"0.0.{number}", image))
    await push(f"{repository}/echo", "somebodys", labels={"name": "tagged"})


async def _full_build(repository: str, tag: str) -> FullBuild:
    digest = await push(f"{repository}/echo", tag, labels={"name": tag})
    return FullBuild(image=f"{repository}/echo:{tag}", digest=digest, inputs_sha256="0" * 64)


async def _candidate(repository: str, name: str, *, built: datetime) -> TemplateRecord:
    tag = f"candidate-{name}"
    digest = await push(f"{repository}/echo", tag, labels={"name": name})
    return TemplateRecord(image=f"{repository}/echo:{tag}", digest=digest, built_time=built)


def _failed(version: str, image: TemplateRecord) -> ReleaseRecord:
    return record(version, publisher=PUBLISHER, verdict=FAILED, templates={"echo": image})


def _tags(repository: str) -> set[str]:
    async def read() -> set[str]:
        async with Registry(RegistryAccess(repository.partition("/")[0], insecure=True)) as registry:
            return set(await registry.tags(f"{repository}/echo"))

    return asyncio.run(read())


def _wsr(folder: Path, *arguments: str) -> Ended:
    given = ("-f", str(folder / "runtime.yaml"), "--state", str(folder / "state"))
    verb, *rest = arguments
    return Running.start([verb, *given, *rest], log=folder / "wsr.log").end()


def test_old_candidates_go_in_a_run_that_has_nothing_else_to_do_and_everything_else_stays(
    registry: str, engine: str, tmp_path: Path
) -> None:
    repository = f"{registry}/t{secrets.token_hex(4)}"
    asyncio.run(_world(repository))
    document_of(tmp_path, repository=repository, engine=engine)
    before = _tags(repository)
    assert _wsr(tmp_path, "run", "--once").code == 0
    assert _tags(repository) == before, "without the field nothing is deleted"

    document_of(tmp_path, repository=repository, engine=engine, prune={"candidatesOlderThanDays": 14})
    echo = f"{repository}/echo"
    plan = _wsr(tmp_path, "plan")
    told = [
        f"{echo}:{tag} would be deleted: " for tag in ("candidate-old", "full-0000000f", "candidate-shadow")
    ]
    assert [line for line in told if line not in plan.out] == [], plan.out + plan.log
    ended = _wsr(tmp_path, "run", "--once")
    assert ended.code == 0
    assert before - _tags(repository) == {"candidate-old", "full-0000000f", "candidate-shadow"}
    (line,) = ended.lines(r"deleted ")
    assert f"deleted {echo}:candidate-old (0.0.0 failed and is not in use; built 20 days ago)" in line
    assert f"left {echo}:candidate-tagged: {echo}:somebodys stands on it" in line

    again = _wsr(tmp_path, "run", "--once")
    assert again.code == 0
    assert again.lines(r"deleted |left ") == []
    assert "would be deleted" not in _wsr(tmp_path, "plan").out
