"""Rows of push notifications: webhooks of a task, and what they are sent."""

from tests.conformance.agent import Agent, Answer, Document, Webhook, message
from tests.conformance.faults import besides, header, saying, without, wrong_code
from tests.conformance.statements import Table

TABLE = Table("1.0")
CREATE, GET = "CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig"
LIST, DELETE = "ListTaskPushNotificationConfigs", "DeleteTaskPushNotificationConfig"


def create(agent: Agent, task: Document, webhook: Webhook, **more: object) -> Document:
    asked = {"taskId": task["id"], "id": "w1", "url": webhook.url, **more}
    made: Document = agent.call(CREATE, asked).result
    return made


def completed(notification: Answer) -> bool:
    state = notification.document.get("statusUpdate", {}).get("status", {}).get("state")
    return bool(state == "TASK_STATE_COMPLETED")


@TABLE.must("3.1.7", "A webhook that is made is told with its id.", fault=without("result.id"))
def made(agent: Agent) -> None:
    task = agent.task("hello")
    webhook = agent.webhook()
    without_id = agent.call(CREATE, {"taskId": task["id"], "url": webhook.url}).result
    assert without_id["id"]
    assert without_id["url"] == webhook.url
    assert create(agent, task, webhook)["id"] == "w1"


@TABLE.must("3.1.7", "A task that is not there has no webhook.", fault=wrong_code)
def no_task(agent: Agent) -> None:
    assert agent.call(CREATE, {"taskId": "none", "url": agent.webhook().url}).code == -32001
    assert agent.call(LIST, {"taskId": "none"}).code == -32001


@TABLE.must("3.1.8", "A webhook can be looked up.", fault=saying("result.url", "http://127.0.0.1/"))
def looked_up(agent: Agent) -> None:
    task, webhook = agent.task("hello"), agent.webhook()
    create(agent, task, webhook)
    assert agent.call(GET, {"taskId": task["id"], "id": "w1"}).result["url"] == webhook.url


@TABLE.must("3.1.8", "A webhook that is not there cannot be looked up.", fault=wrong_code)
def not_there(agent: Agent) -> None:
    assert agent.call(GET, {"taskId": agent.task("hello")["id"], "id": "w9"}).code == -32001


@TABLE.must("3.1.9", "All webhooks of a task are listed.", fault=saying("result.configs", []))
def listed(agent: Agent) -> None:
    task, webhook = agent.task("hello"), agent.webhook()
    for name in ("w1", "w2"):
        create(agent, task, webhook, id=name)
    configs = agent.call(LIST, {"taskId": task["id"]}).result["configs"]
    assert sorted(config["id"] for config in configs) == ["w1", "w2"]


@TABLE.must("3.1.10", "A webhook that is deleted is gone, however often.", fault=saying("error.code", -32603))
def deleted(agent: Agent) -> None:
    task = agent.task("hello")
    create(agent, task, agent.webhook())
    for _ in range(2):
        assert "error" not in agent.call(DELETE, {"taskId": task["id"], "id": "w1"}).document
    assert agent.call(GET, {"taskId": task["id"], "id": "w1"}).code == -32001


@TABLE.must("3.1.10", "A webhook that is deleted is told nothing more.", fault=saying("statusUpdate", {}))
def told_no_more(agent: Agent) -> None:
    task, webhook, other = agent.started(0.4), agent.webhook(), agent.webhook()
    create(agent, task, webhook)
    create(agent, task, other, id="w2")
    agent.call(DELETE, {"taskId": task["id"], "id": "w1"})
    other.received(completed)
    assert not [seen for seen in webhook.seen if completed(seen)]


@TABLE.must("4.3.3", "A webhook is told of the end of its task.", fault=without("statusUpdate.taskId"))
def told(agent: Agent) -> None:
    task, webhook = agent.started(0.3), agent.webhook()
    create(agent, task, webhook)
    assert webhook.received(completed).document["statusUpdate"]["taskId"] == task["id"]


@TABLE.must("4.3.3", "A notification is exactly one event, as in a stream.", fault=besides("message", {}))
def one_event(agent: Agent) -> None:
    task, webhook = agent.started(0.3), agent.webhook()
    create(agent, task, webhook)
    webhook.received(completed)
    for notification in map(webhook.fault, webhook.seen):
        assert len(notification.document) == 1
        assert set(notification.document) <= {"task", "statusUpdate", "artifactUpdate"}


@TABLE.must(
    "4.3.3", "A notification is of the media type of A2A.", fault=header("content-type", "application/json")
)
def media_type(agent: Agent) -> None:
    task, webhook = agent.started(0.3), agent.webhook()
    create(agent, task, webhook)
    assert webhook.received(completed).headers["content-type"] == "application/a2a+json"


@TABLE.must("4.3.3", "A notification carries the credentials that were given.", fault=header("authorization"))
def credentials(agent: Agent) -> None:
    task, webhook = agent.started(0.3), agent.webhook()
    given = {"authentication": {"scheme": "Bearer", "credentials": "let-me-in"}, "token": "t-1"}
    create(agent, task, webhook, **given)
    headers = webhook.received(completed).headers
    assert headers["authorization"] == "Bearer let-me-in"
    assert headers["x-a2a-notification-token"] == "t-1"


@TABLE.must("3.1.7", "A webhook can be named with the message.", fault=saying("statusUpdate", {}))
def with_message(agent: Agent) -> None:
    webhook = agent.webhook()
    configuration = {"taskPushNotificationConfig": {"id": "w1", "url": webhook.url}}
    agent.task("hello", configuration=configuration)
    webhook.received(completed)


@TABLE.should("13.2", "A webhook that fails is told again.", fault=saying("statusUpdate", {}))
def again(agent: Agent) -> None:
    webhook = agent.webhook(failures=1)
    asked = {
        "message": message("hello"),
        "configuration": {"taskPushNotificationConfig": {"url": webhook.url}},
    }
    agent.call("SendMessage", asked)
    webhook.received(completed)
    assert webhook.seen[0].document == webhook.seen[1].document


@TABLE.should(
    "13.2", "Nobody has requests made where credentials are served to whoever asks.", fault=wrong_code
)
def link_local(agent: Agent) -> None:
    asked = {"taskId": agent.task("hello")["id"], "url": "http://169.254.169.254/latest/meta-data"}
    assert agent.call(CREATE, asked).code == -32602


@TABLE.should("13.2", "Who comes from outside has no requests made inside.", fault=wrong_code)
def from_outside(agent: Agent) -> None:
    task = agent.task("hello")["id"]
    for host in ("127.0.0.1", "10.1.2.3", "[::1]", "localhost", "[::ffff:192.168.0.1]"):
        asked = {"taskId": task, "url": f"http://{host}:8000/"}
        assert agent.call(CREATE, asked, headers={"x-forwarded-for": "203.0.113.7"}).code == -32602


@TABLE.must("3.3.2", "A webhook that is no URL of HTTP is refused.", fault=wrong_code)
def no_url(agent: Agent) -> None:
    task = agent.task("hello")["id"]
    for url in ("ftp://127.0.0.1/", "http://", "nowhere", "http://[/"):
        assert agent.call(CREATE, {"taskId": task, "url": url}).code == -32602
