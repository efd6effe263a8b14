"""Rows of requests and errors over JSON-RPC, and of the versions of A2A."""

import json

from tests.conformance.agent import Agent, message
from tests.conformance.faults import besides, header, saying, status, without, wrong_code
from tests.conformance.statements import Table

TABLE = Table("1.0")


@TABLE.must("9.1", "Answers are JSON.", fault=header("content-type", "text/html"))
def media_type(agent: Agent) -> None:
    assert agent.send("hello").headers["content-type"].startswith("application/json")


@TABLE.must("9.3", "An answer is of JSON-RPC 2.0.", fault=saying("jsonrpc", "1.0"))
def protocol(agent: Agent) -> None:
    assert agent.send("hello").document["jsonrpc"] == "2.0"
    assert agent.call("GetTask", {"id": "none"}).document["jsonrpc"] == "2.0"


@TABLE.must("9.3", "An answer has the id of its request.", fault=saying("id", "another"))
def ids(agent: Agent) -> None:
    for given in ("text", 7, 0):
        assert agent.call("GetTask", {"id": "none"}, id=given).document["id"] == given


@TABLE.must("9.3", "An answer is a result or an error, never both.", fault=besides("result", {}))
def either(agent: Agent) -> None:
    for answer in (agent.send("hello"), agent.call("GetTask", {"id": "none"})):
        assert ("result" in answer.document) != ("error" in answer.document)
        assert answer.document.get("result") or answer.document["error"]["message"]


@TABLE.must("9.5", "What is not JSON is told as that, with no id.", fault=wrong_code)
def no_json(agent: Agent) -> None:
    for body in (b'{"jsonrpc": "2.0", "id": 1,', b"", b"\xff"):
        answer = agent.post(body, **{"a2a-version": "1.0"})
        assert (answer.code, answer.document["id"]) == (-32700, None)


@TABLE.must("9.5", "What is no request is told as that.", fault=wrong_code)
def no_request(agent: Agent) -> None:
    for body in ({"jsonrpc": "1.0", "id": 1, "method": "GetTask"}, {"jsonrpc": "2.0", "id": 1}, [1], "hello"):
        assert agent.post(json.dumps(body).encode(), **{"a2a-version": "1.0"}).code == -32600


@TABLE.must("9.5", "A method that is not there is told as that.", fault=wrong_code)
def no_method(agent: Agent) -> None:
    assert agent.call("SendMail").code == -32601


@TABLE.must("9.5", "Parameters of a wrong type are told as that.", fault=wrong_code)
def wrong_type(agent: Agent) -> None:
    assert agent.call("GetTask", {"id": 7}).code == -32602
    assert agent.call("SendMessage", {"message": "hello"}).code == -32602


@TABLE.must("3.3.2", "An error has a code and a text.", fault=saying("error.message", ""))
def error(agent: Agent) -> None:
    told = agent.call("GetTask", {"id": "none"}).document["error"]
    assert isinstance(told["code"], int)
    assert told["message"]


@TABLE.must("9.5", "Each detail of an error tells its type.", fault=without("error.data.*.@type"))
def details(agent: Agent) -> None:
    for answer in (
        agent.call("GetTask", {"id": "none"}),
        agent.send("", parts=[]),
        agent.call("GetTask", {"id": 7}),
    ):
        assert answer.document["error"]["data"]
        for detail in answer.document["error"]["data"]:
            assert detail["@type"]


@TABLE.should(
    "9.5", "An error of A2A tells its reason for programs.", fault=saying("error.data.*.reason", "OTHER")
)
def reason(agent: Agent) -> None:
    (detail,) = agent.call("GetTask", {"id": "none"}).document["error"]["data"]
    assert detail["@type"].endswith("google.rpc.ErrorInfo")
    assert (detail["reason"], detail["domain"]) == ("TASK_NOT_FOUND", "a2a-protocol.org")


@TABLE.should("13.4", "A request that is too large is refused.", fault=status(200))
def too_large(agent: Agent) -> None:
    answer = agent.send("x" * 70_000)
    assert answer.status == 413
    assert answer.code == -32600


@TABLE.must("3.6.2", "A version that is not spoken is refused by name.", fault=wrong_code)
def unknown_version(agent: Agent) -> None:
    for version in ("0.2", "1.7", "2.0", "99.0", "new"):
        answer = agent.call("SendMessage", {"message": message("hello")}, version=version)
        assert answer.code == -32009
        assert version in answer.document["error"]["message"]


@TABLE.must("3.6", "The patch number of a version means nothing.", fault=without("result.task"))
def patch(agent: Agent) -> None:
    assert agent.call("SendMessage", {"message": message("hello")}, version="1.0.3").result["task"]


@TABLE.must("3.6.2", "Without a version 0.3 is meant.", fault=wrong_code)
def no_version(agent: Agent) -> None:
    for version in (None, ""):
        assert agent.call("SendMessage", {"message": message("hello")}, version=version).code == -32009


@TABLE.must("3.6.1", "The version may stand in the query.", fault=without("result.task"))
def version_in_query(agent: Agent) -> None:
    asked = {"message": message("hello")}
    assert agent.call("SendMessage", asked, version=None, query="?A2A-Version=1.0").result["task"]


@TABLE.must("3.2.6", "Names of headers are the same in any case.", fault=without("result.task"))
def case(agent: Agent) -> None:
    asked = {"message": message("hello")}
    assert agent.call("SendMessage", asked, version=None, headers={"A2a-VERSION": "1.0"}).result["task"]
