"""Two objects that claim the same workload, package or tag: the first one has it, the second one touches nothing of it and says so."""

from typing import Any, Final

import pytest

from builder.oci import Client, Reference
from controller.clients.kube import JsonObject
from controller.model.template_record import TemplateRecord
from controller.operator.store import OBJECTS
from controller.plan.changes.labels import labels_of
from tests.contract.record_promises import NOON, record
from tests.contract.released import keep, push
from tests.e2e.operated import Operated, Operator, condition
from tests.parts.index import Index

PACKAGE: Final = "molecule-ai-workspace-runtime"
BUILT: Final[dict[str, Any]] = {"package": PACKAGE, "published_time": NOON, "tree_sha256": "c" * 64}


def second(ground: Operated, version: str, **spec: Any) -> JsonObject:  # noqa: ANN401 -- any field of the spec
    """Another object of the namespace."""
    document = ground.document(version, **spec)
    document["metadata"]["name"] = "second"
    return document


async def test_of_two_objects_that_claim_one_workload_the_second_touches_nothing_and_says_so(
    ground: Operated, serving: Operator
) -> None:
    await ground.workload("ws-1")
    await ground.make("0.1.1")
    await ground.until_ready("0.1.1")
    await ground.until_runs(ws_1="0.1.1")
    await ground.client.create(OBJECTS, ground.namespace, second(ground, "0.1.0"))
    message = await ground.until_stalled("TargetOwned", name="second")
    assert f"{ground.namespace}/runtime" in message
    assert await ground.images() == {"ws-1": "0.1.1"}
    assert serving.process.process.poll() is None


@pytest.mark.long
async def test_of_two_objects_that_publish_one_package_the_second_publishes_nothing_and_says_whose_it_is(
    ground: Operated, serving: Operator, pypiserver: Index
) -> None:
    owner = f"{ground.namespace}/runtime"
    await ground.make("0.1.0")
    await ground.until_ready("0.1.0")
    await keep(ground.repository, record("0.1.9", publisher=owner, **BUILT))
    package = {"index": {"uploadURL": pypiserver.upload_url, "simpleURL": pypiserver.simple_url}}
    await ground.client.create(OBJECTS, ground.namespace, second(ground, "0.2.0", package=package))
    message = await ground.until_stalled("PublisherConflict", name="second")
    assert message == (
        f"{owner} publishes {PACKAGE}: its last version is 0.1.9. Set package.publish to External here, so that its versions are"
        f" waited for; or, if {owner} is no more, annotate this object with runtime.molecule.ai/take-over: {owner}."
    )
    state = await ground.client.read(OBJECTS, ground.namespace, "second")
    assert condition(state, "Published")["reason"] == "PublisherConflict"
    assert pypiserver.files(PACKAGE) == {}
    await ground.until_ready("0.1.0")
    assert serving.process.process.poll() is None


@pytest.mark.long
async def test_of_two_objects_that_promote_one_tag_the_second_moves_nothing_and_says_whose_it_is(
    ground: Operated, serving: Operator
) -> None:
    first, here = f"{ground.namespace}/runtime", f"{ground.repository}/echo"
    kept = record("0.1.9", publisher=first, **BUILT)
    theirs = await push(here, "0.1.9-x", "latest", labels=labels_of(kept))
    image = TemplateRecord(
        image=f"{here}:0.1.9-x", digest=theirs, image_id=theirs, proven=True, tags=("latest",)
    )
    await keep(ground.repository, kept.with_template("echo", image))
    mine = record("0.2.0", publisher=f"{ground.namespace}/second", **BUILT)
    digest = await push(here, "0.2.0-x", labels=labels_of(mine))
    image = TemplateRecord(image=f"{here}:0.2.0-x", digest=digest, image_id=digest, proven=True)
    await keep(ground.repository, mine.with_template("echo", image))

    build = {"strategy": "Append", "git": {"url": "https://127.0.0.1:9/echo"}}
    templates = [{"name": "echo", "image": here, "build": build}]
    await ground.make("0.1.9", templates=templates)
    await ground.until_ready("0.1.9")
    await ground.client.create(OBJECTS, ground.namespace, second(ground, "0.2.0", templates=templates))
    message = await ground.until_stalled("PublisherConflict", name="second")
    assert message.startswith(
        f"{here}:latest belongs to {first}: it stands for its version 0.1.9. Set promote to false"
    )
    async with Client(insecure=True) as client:
        assert (await client.head(Reference.parse(f"{here}:latest"))).digest == theirs
    await ground.until_ready("0.1.9")
    assert serving.process.process.poll() is None
