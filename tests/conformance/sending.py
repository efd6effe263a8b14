"""Rows of sending a message and of the conversation that it belongs to."""

import re
import time

from tests.conformance.agent import Agent, Document, message
from tests.conformance.faults import saying, without, wrong_code
from tests.conformance.statements import Table

TABLE = Table("1.0")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@TABLE.must("3.1.1", "A message is answered with a task or a message.", fault=without("result.task"))
def answered(agent: Agent) -> None:
    result = agent.send("hello").result
    assert ("task" in result) != ("message" in result)


@TABLE.must(
    "3.2.2",
    "Unless asked otherwise, the answer waits for the end, and has all that was made.",
    fault=saying("result.task.status.state", "TASK_STATE_WORKING"),
)
def waits(agent: Agent) -> None:
    task = agent.task("sleep 0.2: hello")
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["artifacts"][0]["parts"][0]["text"] == "echo: hello"


@TABLE.must(
    "3.2.2",
    "Whoever does not want to wait gets the task at once, while it goes on.",
    fault=saying("result.task.status.state", "TASK_STATE_COMPLETED"),
)
def at_once(agent: Agent) -> None:
    began = time.monotonic()
    task = agent.started(30)
    assert time.monotonic() - began < 10
    assert task["status"]["state"] in {"TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"}
    agent.call("CancelTask", {"id": task["id"]})


@TABLE.must("3.4.1", "A context that the agent makes is told.", fault=without("result.task.contextId"))
def new_context(agent: Agent) -> None:
    assert agent.task("hello")["contextId"]


@TABLE.must("3.4.1", "A context that is given is kept.", fault=saying("result.task.contextId", "another"))
def kept_context(agent: Agent) -> None:
    assert agent.task("hello", contextId="given-7")["contextId"] == "given-7"


@TABLE.should(
    "3.4.3",
    "What was said before in a context is known in it.",
    fault=saying("result.task.artifacts.*.parts.*.text", "nothing"),
)
def remembered(agent: Agent) -> None:
    context = agent.task("my colour is teal")["contextId"]
    answer = agent.task("recall", contextId=context)
    assert "my colour is teal" in answer["artifacts"][0]["parts"][0]["text"]


@TABLE.must("3.4.2", "Each new task has an id of its own.", fault=saying("result.task.id", "same"))
def ids(agent: Agent) -> None:
    assert len({agent.task("hello")["id"] for _ in range(3)}) == 3


@TABLE.must("3.4.2", "A message to a task that is not there is refused.", fault=wrong_code)
def unknown_task(agent: Agent) -> None:
    assert agent.send("hello", taskId="none").code == -32001


@TABLE.must(
    "3.4.3", "A message to a task is of the task's context.", fault=saying("result.contextId", "another")
)
def inferred_context(agent: Agent) -> None:
    task = agent.started(0.4)
    agent.send("and this", taskId=task["id"], configuration={"returnImmediately": True})
    assert agent.call("GetTask", {"id": task["id"]}).result["contextId"] == task["contextId"]


@TABLE.must("3.4.3", "A message whose context is not that of its task is refused.", fault=wrong_code)
def other_context(agent: Agent) -> None:
    task = agent.started(0.4)
    assert agent.send("and this", taskId=task["id"], contextId="another").code == -32602


@TABLE.must("3.1.1", "A message to a task that has ended is refused.", fault=wrong_code)
def ended_task(agent: Agent) -> None:
    assert agent.send("more", taskId=agent.task("hello")["id"]).code == -32004


@TABLE.must("3.3.2", "A message without parts is refused.", fault=wrong_code)
def no_parts(agent: Agent) -> None:
    assert agent.send("", parts=[]).code == -32602


@TABLE.must("3.3.2", "A message without an id is refused.", fault=wrong_code)
def no_message_id(agent: Agent) -> None:
    assert agent.send("hello", messageId="").code == -32602


@TABLE.must("3.3.2", "A message without a role is refused.", fault=wrong_code)
def no_role(agent: Agent) -> None:
    assert agent.send("hello", role="ROLE_UNSPECIFIED").code == -32602


@TABLE.must("3.3.2", "A request without a message is refused.", fault=wrong_code)
def no_message(agent: Agent) -> None:
    assert agent.call("SendMessage", {}).code == -32602


@TABLE.should("3.3.2", "A refusal names the parameter that was wrong.", fault=without("error.data"))
def named_parameter(agent: Agent) -> None:
    details = agent.send("", parts=[]).document["error"]["data"]
    fields = [violation["field"] for detail in details for violation in detail.get("fieldViolations", [])]
    assert "message.parts" in fields


@TABLE.must("3.1.1", "A media type that the card does not offer is refused.", fault=wrong_code)
def media_type(agent: Agent) -> None:
    picture = {"raw": "iVBORw0KGgo=", "mediaType": "image/png", "filename": "a.png"}
    assert agent.send("", parts=[{"text": "look"}, picture]).code == -32005


@TABLE.should("5.7", "Members that are not known are left alone.", fault=saying("result", {}))
def unknown_members(agent: Agent) -> None:
    asked = {"message": message("hello", mood="good"), "shoeSize": 43}
    assert agent.call("SendMessage", asked).result["task"]


@TABLE.should("3.7", "Results are artifacts, not messages.", fault=without("result.task.artifacts"))
def results(agent: Agent) -> None:
    task = agent.task("hello")
    assert task["artifacts"]
    assert "message" not in task["status"]


@TABLE.must("4.1.7", "An artifact has an id and parts.", fault=without("result.task.artifacts.*.artifactId"))
def artifacts(agent: Agent) -> None:
    for artifact in agent.task("hello")["artifacts"]:
        assert artifact["artifactId"]
        assert artifact["parts"]


@TABLE.must(
    "5.6.1",
    "Times are in UTC, as ISO 8601 writes them.",
    fault=saying("result.task.status.timestamp", "2026-01-01T00:00:00+01:00"),
)
def times(agent: Agent) -> None:
    assert MOMENT.fullmatch(agent.task("hello")["status"]["timestamp"])


@TABLE.should(
    "5.6.1",
    "Times are written to the millisecond.",
    fault=saying("result.task.status.timestamp", "2026-01-01T00:00:00.123456Z"),
)
def milliseconds(agent: Agent) -> None:
    for state in (agent.task("hello")["status"], agent.started(0.2)["status"]):
        assert len((MOMENT.fullmatch(state["timestamp"]) or [""])[1] or ".000") == 4


@TABLE.must(
    "5.5",
    "Values of enumerations are written with their full names.",
    fault=saying("result.task.status.state", "completed"),
)
def enumerations(agent: Agent) -> None:
    task = agent.task("hello")
    assert task["status"]["state"].startswith("TASK_STATE_")
    assert [said["role"] for said in task["history"]] == ["ROLE_USER"]


@TABLE.should("3.2.4", "Of a history of length 0 nothing is told.", fault=saying("result.task.status", {}))
def no_history(agent: Agent) -> None:
    task = agent.task("hello", configuration={"historyLength": 0})
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert "history" not in task


@TABLE.must(
    "3.2.4", "At most so many messages of the history are told.", fault=without("result.task.history")
)
def some_history(agent: Agent) -> None:
    history: list[Document] = agent.task("hello", configuration={"historyLength": 1})["history"]
    assert len(history) == 1


@TABLE.must("3.3.2", "A history of a negative length is refused.", fault=wrong_code)
def negative_history(agent: Agent) -> None:
    assert agent.send("hello", configuration={"historyLength": -1}).code == -32602
