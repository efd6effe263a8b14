"""Two objects that claim the same workload: the first one has it, the second one touches nothing of it and says so."""

from controller.operator.store import OBJECTS
from tests.e2e.operated import Operated, Operator


async def test_of_two_objects_that_claim_one_workload_the_second_touches_nothing_and_says_so(
    ground: Operated, serving: Operator
) -> None:
    await ground.workload("ws-1")
    await ground.make("0.1.1")
    await ground.until_ready("0.1.1")
    await ground.until_runs(ws_1="0.1.1")
    second = ground.document("0.1.0")
    second["metadata"]["name"] = "second"
    await ground.client.create(OBJECTS, ground.namespace, second)
    message = await ground.until_stalled("TargetOwned", name="second")
    assert f"{ground.namespace}/runtime" in message
    assert await ground.images() == {"ws-1": "0.1.1"}
    assert serving.process.process.poll() is None
