"""Rows of streams: of a message, and of a task that goes on already."""

from concurrent.futures import ThreadPoolExecutor

from tests.conformance.agent import Agent, Document, message
from tests.conformance.faults import first_lost, header, last_lost, saying, turned_round, without, wrong_code
from tests.conformance.statements import Table

TABLE = Table("1.0")
ENDS = {"TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"}


def streamed(agent: Agent, text: str) -> list[Document]:
    answer = agent.call("SendStreamingMessage", {"message": message(text)})
    return [document["result"] for document in answer.documents]


def text_of(events: list[Document]) -> str:
    artifacts = [event["artifactUpdate"]["artifact"] for event in events if "artifactUpdate" in event]
    return "".join(part["text"] for artifact in artifacts for part in artifact["parts"])


def state_of(event: Document) -> str:
    told = event.get("task") or event.get("statusUpdate") or {}
    return str(told.get("status", {}).get("state", ""))


@TABLE.must(
    "9.4.2", "A stream is one of server-sent events.", fault=header("content-type", "application/json")
)
def media_type(agent: Agent) -> None:
    answer = agent.call("SendStreamingMessage", {"message": message("hello")})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


@TABLE.must("9.4.2", "Each event is an answer to the request, with its id.", fault=saying("id", "r2"))
def answers(agent: Agent) -> None:
    for document in agent.call("SendStreamingMessage", {"message": message("hello")}).documents:
        assert document["jsonrpc"] == "2.0"
        assert document["id"] == "r1"
        assert len(document["result"]) == 1


@TABLE.must("3.1.2", "A stream of a task begins with the task.", fault=first_lost)
def begins(agent: Agent) -> None:
    assert set(streamed(agent, "hello")[0]) == {"task"}


@TABLE.must(
    "3.1.2",
    "After the task come changes of its state and of its artifacts only.",
    fault=without("result.artifactUpdate.taskId"),
)
def changes(agent: Agent) -> None:
    first, *later = streamed(agent, "hello")
    for event in later:
        (kind,) = event
        assert kind in {"statusUpdate", "artifactUpdate"}
        assert event[kind]["taskId"] == first["task"]["id"]
        assert event[kind]["contextId"] == first["task"]["contextId"]


@TABLE.must("3.1.2", "A stream ends when its task does.", fault=last_lost)
def ends(agent: Agent) -> None:
    events = streamed(agent, "hello")
    assert [state_of(event) in ENDS for event in events] == [False] * (len(events) - 1) + [True]


@TABLE.must("3.5.2", "Events come in the order in which they happened.", fault=turned_round)
def order(agent: Agent) -> None:
    words = " ".join(map(str, range(40)))
    assert text_of(streamed(agent, words)) == f"echo: {words}"


@TABLE.must("3.1.2", "A stream to a task that is not there is refused.", fault=wrong_code)
def unknown(agent: Agent) -> None:
    asked = {"message": message("hello", taskId="none")}
    assert agent.call("SendStreamingMessage", asked).code == -32001


@TABLE.must("3.1.2", "A stream to a task that has ended is refused.", fault=wrong_code)
def too_late(agent: Agent) -> None:
    asked = {"message": message("more", taskId=agent.task("hello")["id"])}
    assert agent.call("SendStreamingMessage", asked).code == -32004


@TABLE.must("3.3.2", "A stream of a message that is none is refused.", fault=wrong_code)
def malformed(agent: Agent) -> None:
    assert agent.call("SendStreamingMessage", {"message": {"role": "ROLE_USER"}}).code == -32602


@TABLE.must("3.1.6", "Who subscribes is told first how the task stands.", fault=without("result.task.id"))
def subscribed(agent: Agent) -> None:
    task = agent.started(0.4)
    first = agent.call("SubscribeToTask", {"id": task["id"]}).documents[0]["result"]
    assert first["task"]["id"] == task["id"]
    assert state_of(first) not in ENDS


@TABLE.must("3.1.6", "A subscription ends when its task does.", fault=last_lost)
def subscription_ends(agent: Agent) -> None:
    task = agent.started(0.4)
    last = agent.call("SubscribeToTask", {"id": task["id"]}).documents[-1]["result"]
    assert state_of(last) == "TASK_STATE_COMPLETED"


@TABLE.must("3.1.6", "Nobody subscribes to a task that is not there.", fault=wrong_code)
def subscribe_nothing(agent: Agent) -> None:
    assert agent.call("SubscribeToTask", {"id": "none"}).code == -32001


@TABLE.must("3.1.6", "Nobody subscribes to a task that has ended.", fault=wrong_code)
def subscribe_late(agent: Agent) -> None:
    assert agent.call("SubscribeToTask", {"id": agent.task("hello")["id"]}).code == -32004


@TABLE.must("3.5.2", "All who follow a task are told the same in the same order.", fault=last_lost)
def broadcast(agent: Agent) -> None:
    task = agent.started(0.5)
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: agent.call("SubscribeToTask", {"id": task["id"]}), range(2)))
    one, other = ([document["result"] for document in answer.documents[1:]] for answer in both)
    assert one == other
    assert state_of(one[-1]) == "TASK_STATE_COMPLETED"


@TABLE.must("3.5.2", "Who hangs up changes nothing for the others.", fault=last_lost)
def hang_up(agent: Agent) -> None:
    task = agent.started(0.6)
    with agent.following("SubscribeToTask", {"id": task["id"]}) as events:
        assert next(events)["result"]["task"]["id"] == task["id"]
    last = agent.call("SubscribeToTask", {"id": task["id"]}).documents[-1]["result"]
    assert state_of(last) == "TASK_STATE_COMPLETED"


@TABLE.must(
    "3.5.2",
    "A task outlives the stream in which it began.",
    fault=saying("result.status.state", "TASK_STATE_CANCELED"),
)
def outlives(agent: Agent) -> None:
    with agent.following("SendStreamingMessage", {"message": message("sleep 0.3: hello")}) as events:
        task = next(events)["result"]["task"]["id"]
    agent.until(
        lambda: agent.call("GetTask", {"id": task}).result["status"]["state"] == "TASK_STATE_COMPLETED"
    )
