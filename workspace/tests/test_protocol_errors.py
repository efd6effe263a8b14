"""What callers get who do not speak JSON-RPC or A2A as they should."""

import http.client
import json

import httpx
import pytest
from live_workspace import Workspace


def post(served: Workspace, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(served.url, content=body, headers={"A2A-Version": "1.0", **headers}, timeout=20)


def error_of(response: httpx.Response) -> tuple[int, object]:
    document = response.json()
    assert document["jsonrpc"] == "2.0"
    assert "Traceback" not in response.text
    return document["error"]["code"], document["id"]


def request(method: object, params: object = None) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": "a", "method": method, "params": params or {}}).encode()


MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]}


@pytest.mark.parametrize(
    ("body", "code", "request_id"),
    [
        pytest.param(b'{"jsonrpc": "2.0", "id": 1,', -32700, None, id="cut off"),
        pytest.param(b"\xff\xfe\x00", -32700, None, id="not UTF-8"),
        pytest.param(b"", -32700, None, id="empty"),
        pytest.param(b"[" * 20_000, -32700, None, id="nested too deeply"),
        pytest.param(b"[]", -32600, None, id="batch"),
        pytest.param(b'{"jsonrpc": "1.0", "id": 1, "method": "GetTask"}', -32600, 1, id="another JSON-RPC"),
        pytest.param(b'{"jsonrpc": "2.0", "id": 1, "method": 7}', -32600, 1, id="method is a number"),
        pytest.param(request("SendMail"), -32601, "a", id="unknown method"),
        pytest.param(request("message/explode"), -32601, "a", id="unknown method in the style of 0.3"),
        pytest.param(request("GetTask", {"id": 7}), -32602, "a", id="parameter of a wrong type"),
        pytest.param(request("GetTask", {"id": "nowhere"}), -32001, "a", id="unknown task"),
        pytest.param(
            request("SendMessage", {"message": {"role": "ROLE_USER"}}),
            -32602,
            "a",
            id="message without parts",
        ),
        pytest.param(
            request("SendMessage", {"message": {**MESSAGE, "taskId": "gone"}}),
            -32001,
            "a",
            id="message to an unknown task",
        ),
        pytest.param(
            request("SendStreamingMessage", {"message": {**MESSAGE, "taskId": "gone"}}),
            -32001,
            "a",
            id="stream to an unknown task",
        ),
    ],
)
def test_a_faulty_request_gets_the_error_that_the_specifications_name(
    served: Workspace, body: bytes, code: int, request_id: object
) -> None:
    assert error_of(post(served, body)) == (code, request_id)


def test_a_faulty_request_of_an_old_client_gets_an_error_it_knows(served: Workspace) -> None:
    response = httpx.post(
        served.url, content=request("message/send", {"message": {"role": "user"}}), timeout=20
    )
    assert error_of(response) == (-32600, "a")


def test_an_unknown_protocol_version_is_refused_by_name(served: Workspace) -> None:
    response = post(served, request("SendMessage", {"message": MESSAGE}), **{"A2A-Version": "7.0"})
    assert error_of(response) == (-32009, "a")
    assert "7.0" in response.text


@pytest.mark.parametrize("announced", [True, False])
def test_a_caller_who_sends_too_much_gets_to_read_the_limit(served: Workspace, announced: bool) -> None:
    # http.client sends everything before it reads: a server that hung up meanwhile would break the connection.
    connection = http.client.HTTPConnection("127.0.0.1", int(served.environ["PORT"]), timeout=20)
    chunks = [b"x" * 65_536] * 300
    connection.request(
        "POST", "/", b"".join(chunks) if announced else iter(chunks), encode_chunked=not announced
    )
    response = connection.getresponse()
    assert response.status == 413
    error = json.load(response)["error"]
    assert error["code"] == -32600
    assert "65536 bytes" in error["message"]
    assert "a2a.max_body_bytes" in error["message"]
    connection.close()


def test_refused_messages_leave_nothing_counted_and_no_traceback_in_the_log(served: Workspace) -> None:
    before = len(served.log)
    post(served, request("SendMessage", {"message": {"role": "ROLE_USER"}}))
    post(served, request("GetTask", {"id": 7}))
    status = served.status()
    assert (status["activeTasks"], status["queuedTasks"], status["oldestTaskSeconds"]) == (0, 0, 0)
    assert "Traceback" not in served.log[before:]


def test_only_post_reaches_the_protocol_and_other_paths_do_not_exist(served: Workspace) -> None:
    assert served.get("/").status_code == 405
    assert served.get("/nowhere").status_code == 404
