"""Rows of A2A 0.3, whose clients are served at the same place."""

from tests.conformance.agent import Agent, Answer, Document, old_message
from tests.conformance.faults import first_lost, last_lost, saying, without, wrong_code
from tests.conformance.statements import Table

TABLE = Table("0.3")
PUSH = "tasks/pushNotificationConfig"


def call(agent: Agent, method: str, params: object) -> Answer:
    return agent.call(method, params, version=None)


def task(agent: Agent, text: str, **configuration: object) -> Document:
    asked = {"message": old_message(text), "configuration": configuration}
    made: Document = call(agent, "message/send", asked).result
    return made


@TABLE.must("5.5", "The card has what clients of 0.3 need.", fault=without("preferredTransport"))
def card(agent: Agent) -> None:
    told = agent.card()
    assert told["url"].startswith("http")
    assert told["preferredTransport"] == "JSONRPC"
    assert told["protocolVersion"].startswith("0.3")


@TABLE.must(
    "7.1", "A message is answered with the task that it became.", fault=saying("result.kind", "message")
)
def answered(agent: Agent) -> None:
    made = task(agent, "hello")
    assert (made["kind"], made["status"]["state"]) == ("task", "completed")
    assert made["artifacts"][0]["parts"] == [{"kind": "text", "text": "echo: hello"}]


@TABLE.must("7.1", "A message to a task that has ended is refused.", fault=without("error"))
def ended(agent: Agent) -> None:
    again = old_message("more", taskId=task(agent, "hello")["id"])
    assert call(agent, "message/send", {"message": again}).code in {-32600, -32602, -32004}


@TABLE.must("7.1", "A message that is none is refused.", fault=without("error"))
def malformed(agent: Agent) -> None:
    assert call(agent, "message/send", {"message": {"role": "user"}}).code in {-32600, -32602}


@TABLE.must("7.2", "A stream begins with the task.", fault=first_lost)
def begins(agent: Agent) -> None:
    events = call(agent, "message/stream", {"message": old_message("hello")}).documents
    assert events[0]["result"]["kind"] == "task"


@TABLE.must("7.2", "The last event of a stream says that it is the last.", fault=last_lost)
def ends(agent: Agent) -> None:
    events = [
        event["result"]
        for event in call(agent, "message/stream", {"message": old_message("hello")}).documents
    ]
    assert [event.get("final") for event in events if event["kind"] == "status-update"][-1] is True
    assert events[-1]["kind"] == "status-update"
    assert events[-1]["status"]["state"] == "completed"


@TABLE.must("7.3", "A task can be looked up.", fault=saying("result.status.state", "working"))
def looked_up(agent: Agent) -> None:
    assert (
        call(agent, "tasks/get", {"id": task(agent, "hello")["id"]}).result["status"]["state"] == "completed"
    )


@TABLE.must("8.2", "A task that is not there is told as that.", fault=wrong_code)
def not_there(agent: Agent) -> None:
    assert call(agent, "tasks/get", {"id": "none"}).code == -32001
    assert call(agent, "tasks/cancel", {"id": "none"}).code == -32001


@TABLE.must("7.4", "A task can be cancelled.", fault=saying("result.status.state", "working"))
def cancelled(agent: Agent) -> None:
    made = task(agent, "sleep 30: hello", blocking=False)
    assert call(agent, "tasks/cancel", {"id": made["id"]}).result["status"]["state"] == "canceled"


@TABLE.must("8.2", "A task that has ended cannot be cancelled.", fault=wrong_code)
def too_late(agent: Agent) -> None:
    assert call(agent, "tasks/cancel", {"id": task(agent, "hello")["id"]}).code == -32002


@TABLE.must("7.9", "Who was cut off can follow the task again.", fault=last_lost)
def followed_again(agent: Agent) -> None:
    made = task(agent, "sleep 0.4: hello", blocking=False)
    events = call(agent, "tasks/resubscribe", {"id": made["id"]}).documents
    assert events[-1]["result"]["status"]["state"] == "completed"


@TABLE.must("7.5", "A webhook can be made, looked up, listed and deleted.", fault=saying("result", {}))
def webhooks(agent: Agent) -> None:
    made, webhook = task(agent, "hello"), agent.webhook()
    config = {"taskId": made["id"], "pushNotificationConfig": {"id": "w1", "url": webhook.url}}
    assert call(agent, f"{PUSH}/set", config).result["pushNotificationConfig"]["url"] == webhook.url
    asked = {"id": made["id"], "pushNotificationConfigId": "w1"}
    assert call(agent, f"{PUSH}/get", asked).result["pushNotificationConfig"]["url"] == webhook.url
    assert len(call(agent, f"{PUSH}/list", {"id": made["id"]}).result) == 1
    call(agent, f"{PUSH}/delete", asked)
    assert call(agent, f"{PUSH}/list", {"id": made["id"]}).result == []


@TABLE.must("9.5", "A webhook is sent the task, as 0.3 writes it.", fault=without("status"))
def told(agent: Agent) -> None:
    webhook = agent.webhook()
    task(agent, "hello", pushNotificationConfig={"id": "w1", "url": webhook.url, "token": "t-1"})
    sent = webhook.received(lambda seen: seen.document["status"]["state"] == "completed")
    assert sent.document["kind"] == "task"
    assert sent.headers["x-a2a-notification-token"] == "t-1"
