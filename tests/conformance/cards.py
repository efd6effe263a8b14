"""Rows of the agent card: how an agent is found, and what it says of itself."""

import re

from tests.conformance.agent import CARD, Agent, Document, message
from tests.conformance.faults import header, saying, status, without
from tests.conformance.statements import Table

TABLE = Table("1.0")


@TABLE.must("8.1", "An agent serves a card, as JSON under the well-known path.", fault=status(404))
def served(agent: Agent) -> None:
    answer = agent.get(CARD)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert isinstance(answer.document, dict)


@TABLE.must("4.4.1", "A card has every member that is required.", fault=without("capabilities"))
def complete(agent: Agent) -> None:
    card = agent.card()
    for name in ("name", "description", "version"):
        assert isinstance(card[name], str)
        assert card[name]
    assert isinstance(card["capabilities"], dict)


@TABLE.must("5.7", "Lists that are required have something in them.", fault=saying("defaultInputModes", []))
def lists(agent: Agent) -> None:
    card = agent.card()
    for name in ("supportedInterfaces", "defaultInputModes", "defaultOutputModes", "skills"):
        assert card[name], name


@TABLE.must("4.4.5", "Each skill has id, name, description and tags.", fault=without("skills.*.tags"))
def skills(agent: Agent) -> None:
    for skill in agent.card()["skills"]:
        assert all(skill[name] for name in ("id", "name", "description", "tags"))


@TABLE.must("4.4.3", "Capabilities are told as booleans.", fault=saying("capabilities.streaming", "yes"))
def capabilities(agent: Agent) -> None:
    told = agent.card()["capabilities"]
    assert told["streaming"] is True
    assert told["pushNotifications"] is True


@TABLE.must(
    "8.3.1",
    "Each interface tells its binding and the URL where it is served.",
    fault=saying("supportedInterfaces.*.url", "http://127.0.0.1:9/"),
)
def interfaces(agent: Agent) -> None:
    for interface in agent.card()["supportedInterfaces"]:
        assert interface["protocolBinding"] == "JSONRPC"
        there = Agent(interface["url"].rstrip("/"), agent.http, agent.webhooks)
        assert there.call("GetTask", {"id": "none"}).code == -32001


@TABLE.must(
    "5.2",
    "Every version that is spoken stands in the card.",
    fault=saying("supportedInterfaces.*.protocolVersion", "1.0"),
)
def versions(agent: Agent) -> None:
    told = {interface["protocolVersion"] for interface in agent.card()["supportedInterfaces"]}
    assert told == {"1.0", "0.3"}


@TABLE.should(
    "3.6",
    "Versions are told without their patch number.",
    fault=saying("supportedInterfaces.*.protocolVersion", "1.0.0"),
)
def patches(agent: Agent) -> None:
    for interface in agent.card()["supportedInterfaces"]:
        assert re.fullmatch(r"\d+\.\d+", interface["protocolVersion"])


@TABLE.must(
    "5.5", "Names are written in camel case.", fault=saying("capabilities", {"push_notifications": True})
)
def names(agent: Agent) -> None:
    assert not [name for name in _names(agent.card()) if "_" in name]


@TABLE.should(
    "8.6.1", "A card may be kept for a while, which is told.", fault=header("cache-control", "no-store")
)
def caching(agent: Agent) -> None:
    assert re.search(r"max-age=\d+", agent.get(CARD).headers["cache-control"])


@TABLE.should("8.6.1", "A card has an ETag, which changes with it only.", fault=header("etag"))
def etag(agent: Agent) -> None:
    first, second = agent.get(CARD), agent.get(CARD)
    assert first.headers["etag"]
    assert first.headers["etag"] == second.headers["etag"]


@TABLE.should("8.6.2", "Whoever has the card already is not sent it again.", fault=status(200))
def revalidation(agent: Agent) -> None:
    known = agent.get(CARD).headers["etag"]
    answer = agent.get(CARD, **{"if-none-match": known})
    assert (answer.status, answer.documents) == (304, ())


@TABLE.must(
    "3.3.4",
    "What the card does not offer is refused: there is no extended card.",
    fault=saying("error.code", -32007),
)
def extended(agent: Agent) -> None:
    assert not agent.card()["capabilities"].get("extendedAgentCard")
    assert agent.call("GetExtendedAgentCard").code == -32004


@TABLE.should(
    "4.6.3",
    "An extension that is not known is left out, and the work done.",
    fault=without("result.task.artifacts"),
)
def extensions(agent: Agent) -> None:
    asked = {"message": message("hello", extensions=["https://example.com/none/v1"])}
    answer = agent.call("SendMessage", asked, headers={"a2a-extensions": "https://example.com/none/v1"})
    assert answer.result["task"]["artifacts"]


def _names(value: object) -> list[str]:
    if isinstance(value, list):
        return [name for item in value for name in _names(item)]
    if not isinstance(value, dict):
        return []
    document: Document = value
    return [*document, *(name for item in document.values() for name in _names(item))]
