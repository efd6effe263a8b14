"""The word is learned through a tool, told once, and recalled only from what the model is sent."""

import json
from dataclasses import replace

import pytest

from controller.model_server.conversation import Call, Choice, Message, Reply, Request, Text, Tool
from controller.model_server.script import NO_TOOL, NOTHING_KNOWN, Script

NONCE = "5ca1ab1e5ca1ab1e"
ECHO = Tool("echo", "", {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]})
READ = Tool("read", "", {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})
ASKED = Message("user", "Use a tool.")
OPENING = Request("any", [ASKED], tools=[ECHO])


@pytest.fixture
def script() -> Script:
    return Script(nonce=NONCE)


def words(reply: Reply) -> str:
    assert isinstance(reply, Text), reply
    return reply.text


def after(*results: str, role: str = "tool") -> Request:
    messages = [ASKED, *(Message(role, text) for text in results)]  # type: ignore[arg-type]  # one of the four roles
    return replace(OPENING, messages=messages, calls=[Call("echo", {"text": NONCE})])


def test_every_probe_has_a_word_of_its_own() -> None:
    assert Script().nonce != Script().nonce


def test_a_tool_is_called_first_and_what_it_returned_is_told(script: Script) -> None:
    first = script.reply(OPENING)
    assert isinstance(first, Call)
    assert (first.name, first.arguments) == ("echo", {"text": NONCE})
    assert words(script.reply(after(f"echoed: {NONCE}"))) == f"The tool returned: echoed: {NONCE}"
    assert (script.calls, script.tool_results, script.offered) == ({1: 2}, 1, {"echo"})


def test_a_long_result_is_told_in_part_and_with_the_word(script: Script) -> None:
    told = words(script.reply(after("x" * 10_000 + NONCE + "y" * 10_000)))
    assert NONCE in told
    assert len(told) < 2_100


def test_a_word_that_no_tool_returned_does_not_count(script: Script) -> None:
    told = script.reply(replace(after(f"calling echo with {NONCE}", role="assistant"), tools=[ECHO, READ]))
    assert isinstance(told, Call)
    assert told.name == "read"
    assert script.tool_results == 0
    assert words(script.reply(after("ok"))) == NO_TOOL


def test_an_agent_that_offers_no_tool_or_forbids_it_is_told_so(script: Script) -> None:
    assert words(script.reply(replace(OPENING, tools=[]))) == NO_TOOL
    assert words(script.reply(replace(OPENING, choice=Choice(allowed=False)))) == NO_TOOL
    assert script.offered == set()


@pytest.mark.parametrize("role", ["tool", "assistant", "user", "system"])
def test_the_second_turn_knows_what_it_is_sent_again_in_whatever_role(script: Script, role: str) -> None:
    script.turn = 2
    assert words(script.reply(after(f"it was {NONCE}", role=role))) == f"It was {NONCE}."
    assert script.recalled


def test_the_second_turn_knows_nothing_else(script: Script) -> None:
    script.reply(OPENING)
    script.turn = 2
    assert words(script.reply(OPENING)) == NOTHING_KNOWN
    # The arguments of its own call prove that a call was sent back, not that anything came of it.
    assert words(script.reply(after("ok"))) == NOTHING_KNOWN
    assert not script.recalled


def test_without_tools_the_word_is_told_at_once(script: Script) -> None:
    script.tools = False
    assert NONCE in words(script.reply(OPENING))
    script.turn = 2
    assert words(script.reply(replace(OPENING, messages=[ASKED]))) == NOTHING_KNOWN


def test_a_tool_that_must_be_called_is(script: Script) -> None:
    named = replace(OPENING, tools=[READ, ECHO], choice=Choice(required=True, name="read"))
    call = script.reply(named)
    assert isinstance(call, Call)
    assert (call.name, call.arguments) == ("read", {"path": NONCE})
    through = script.reply(replace(after(NONCE), choice=Choice(required=True)))
    assert isinstance(through, Call)
    assert NONCE in through.arguments["text"]


def test_an_answer_that_must_be_json_is(script: Script) -> None:
    side = Request("any", [ASKED], schema={"type": "object", "properties": {"a": {}}, "required": ["a"]})
    assert json.loads(words(script.reply(side))) == {"a": NO_TOOL}
    assert json.loads(words(script.reply(replace(side, schema={})))) == {"answer": NO_TOOL}
