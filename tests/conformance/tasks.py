"""Rows of looking tasks up, listing and cancelling them."""

from uuid import uuid4

from tests.conformance.agent import Agent
from tests.conformance.faults import saying, turned_round, without, wrong_code
from tests.conformance.statements import Table

TABLE = Table("1.0")


@TABLE.must(
    "3.1.3", "A task can be looked up, with its state and what it made.", fault=without("result.artifacts")
)
def looked_up(agent: Agent) -> None:
    task = agent.task("hello")
    again = agent.call("GetTask", {"id": task["id"]}).result
    assert again["status"] == task["status"]
    assert again["artifacts"] == task["artifacts"]


@TABLE.must("3.1.3", "A task that is not there cannot be looked up.", fault=wrong_code)
def not_there(agent: Agent) -> None:
    assert agent.call("GetTask", {"id": "none"}).code == -32001


@TABLE.must("3.3.2", "A task cannot be looked up without its id.", fault=wrong_code)
def no_id(agent: Agent) -> None:
    assert agent.call("GetTask", {}).code == -32602


@TABLE.must(
    "3.2.4",
    "The history of a task that is looked up is cut as asked.",
    fault=saying("result", {"history": [1]}),
)
def history(agent: Agent) -> None:
    task = agent.task("hello")
    assert "history" not in agent.call("GetTask", {"id": task["id"], "historyLength": 0}).result


@TABLE.must("3.1.4", "A list leaves artifacts out.", fault=saying("result.tasks.*", {"artifacts": []}))
def without_artifacts(agent: Agent) -> None:
    context = agent.task("hello")["contextId"]
    for task in agent.call("ListTasks", {"contextId": context}).result["tasks"]:
        assert "artifacts" not in task


@TABLE.must("3.1.4", "A list has artifacts when asked.", fault=without("result.tasks.*.artifacts"))
def with_artifacts(agent: Agent) -> None:
    context = agent.task("hello")["contextId"]
    tasks = agent.call("ListTasks", {"contextId": context, "includeArtifacts": True}).result["tasks"]
    assert [task["artifacts"][0]["parts"][0]["text"] for task in tasks] == ["echo: hello"]


@TABLE.must(
    "3.1.4",
    "A list says, empty at its end, where the next page begins.",
    fault=without("result.nextPageToken"),
)
def next_page(agent: Agent) -> None:
    context = agent.task("hello")["contextId"]
    assert agent.call("ListTasks", {"contextId": context}).result["nextPageToken"] == ""
    assert agent.call("ListTasks", {"contextId": "none"}).result["nextPageToken"] == ""


@TABLE.must("3.1.4", "A list begins with the task that changed last.", fault=turned_round)
def order(agent: Agent) -> None:
    context = uuid4().hex
    made = [agent.task("hello", contextId=context)["id"] for _ in range(3)]
    listed = agent.call("ListTasks", {"contextId": context}).result["tasks"]
    moments = [task["status"]["timestamp"] for task in listed]
    assert moments == sorted(moments, reverse=True)
    assert {task["id"] for task in listed} == set(made)


@TABLE.must("3.1.4", "Pages together have every task, each once.", fault=saying("result.nextPageToken", ""))
def pages(agent: Agent) -> None:
    context = uuid4().hex
    made = [agent.task("hello", contextId=context)["id"] for _ in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page = agent.call("ListTasks", {"contextId": context, "pageSize": 2, "pageToken": token}).result
        assert len(page["tasks"]) <= 2
        assert page["totalSize"] == 5
        seen += [task["id"] for task in page["tasks"]]
        token = page["nextPageToken"]
        if not token:
            break
    assert sorted(seen) == sorted(made)


@TABLE.must("3.1.4", "A list is of the state that was asked for.", fault=saying("result.tasks", []))
def by_state(agent: Agent) -> None:
    context = uuid4().hex
    agent.task("hello", contextId=context)
    asked = {"contextId": context, "status": "TASK_STATE_COMPLETED"}
    assert len(agent.call("ListTasks", asked).result["tasks"]) == 1
    assert not agent.call("ListTasks", {**asked, "status": "TASK_STATE_FAILED"}).result["tasks"]


@TABLE.must("3.3.2", "A page of an impossible size is refused.", fault=wrong_code)
def page_size(agent: Agent) -> None:
    assert agent.call("ListTasks", {"pageSize": 0}).code == -32602
    assert agent.call("ListTasks", {"pageSize": 101}).code == -32602


@TABLE.must("3.3.2", "A page that cannot be is refused.", fault=wrong_code)
def page_token(agent: Agent) -> None:
    assert agent.call("ListTasks", {"pageToken": "%%%"}).code == -32602


@TABLE.must(
    "3.1.5",
    "A task that goes on can be cancelled, and is told as it is then.",
    fault=saying("result.status.state", "TASK_STATE_WORKING"),
)
def cancelled(agent: Agent) -> None:
    task = agent.started(30)
    assert agent.call("CancelTask", {"id": task["id"]}).result["status"]["state"] == "TASK_STATE_CANCELED"
    assert agent.call("GetTask", {"id": task["id"]}).result["status"]["state"] == "TASK_STATE_CANCELED"


@TABLE.must("3.1.5", "A task that has ended cannot be cancelled.", fault=wrong_code)
def too_late(agent: Agent) -> None:
    assert agent.call("CancelTask", {"id": agent.task("hello")["id"]}).code == -32002


@TABLE.must("3.1.5", "A task that is not there cannot be cancelled.", fault=wrong_code)
def cancel_nothing(agent: Agent) -> None:
    assert agent.call("CancelTask", {"id": "none"}).code == -32001


@TABLE.must(
    "3.3.1",
    "Cancelling a task twice is as cancelling it once.",
    fault=saying("result.status.state", "TASK_STATE_FAILED"),
)
def cancel_twice(agent: Agent) -> None:
    task = agent.started(30)
    agent.call("CancelTask", {"id": task["id"]})
    assert agent.call("CancelTask", {"id": task["id"]}).code == -32002
    assert agent.call("GetTask", {"id": task["id"]}).result["status"]["state"] == "TASK_STATE_CANCELED"
