"""The stand-in as Anthropic's own client sees it: whole and streamed, with tools, and refused."""

from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic

from controller.model_server.script import NOTHING_KNOWN, Script
from controller.model_server.server import ModelServer

NONCE = "5ca1ab1e5ca1ab1e"
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
BUILTIN = {"type": "bash_20250124", "name": "bash"}
TOOLS: Any = [BUILTIN, {"name": "Shell", "description": "Runs a command.", "input_schema": SCHEMA}]
ASK: Any = {"role": "user", "content": "Use a tool."}


@pytest.fixture
async def client(stand_in: ModelServer) -> AsyncAnthropic:
    assert stand_in.address
    return AsyncAnthropic(max_retries=0)


async def ask(client: AsyncAnthropic, *messages: Any) -> anthropic.types.Message:  # noqa: ANN401 -- its own param types are unions of a dozen
    return await client.messages.create(
        model="any", max_tokens=100, system="Be brief.", messages=list(messages), tools=TOOLS
    )


async def test_a_message_calls_a_tool_says_what_it_returned_and_repeats_it(
    client: AsyncAnthropic, script: Script
) -> None:
    first = await ask(client, ASK)
    assert first.stop_reason == "tool_use"
    (use,) = first.content
    assert use.type == "tool_use"
    assert (use.name, use.input) == ("Shell", {"command": f"echo {NONCE}"})
    returned = {
        "type": "tool_result",
        "tool_use_id": use.id,
        "content": [{"type": "text", "text": f"{NONCE}\n"}],
    }
    history = [ASK, {"role": "assistant", "content": first.content}, {"role": "user", "content": [returned]}]
    second = await ask(client, *history)
    assert second.stop_reason == "end_turn"
    (said,) = second.content
    assert said.type == "text"
    assert said.text == f"The tool returned: {NONCE}\n"
    script.turn = 2
    third = await ask(client, *history, {"role": "assistant", "content": second.content}, ASK)
    assert third.content[0].type == "text"
    assert third.content[0].text == f"It was {NONCE}."
    forgot = await ask(client, ASK)
    assert forgot.content[0].type == "text"
    assert forgot.content[0].text == NOTHING_KNOWN
    assert script.calls == {1: 2, 2: 2}


async def test_a_streamed_message_gives_the_same_call_and_words_in_pieces(
    client: AsyncAnthropic, script: Script
) -> None:
    async with client.messages.stream(model="any", max_tokens=100, messages=[ASK], tools=TOOLS) as stream:
        kinds = [event.type async for event in stream]
        ended = await stream.get_final_message()
    assert kinds.count("input_json") > 1
    assert ended.stop_reason == "tool_use"
    assert ended.content[0].type == "tool_use"
    assert ended.content[0].input == {"command": f"echo {NONCE}"}
    script.turn = 2
    told: Any = [ASK, {"role": "assistant", "content": f"It is {NONCE}."}, ASK]
    async with client.messages.stream(model="any", max_tokens=100, messages=told) as stream:
        words = [text async for text in stream.text_stream]
        ended = await stream.get_final_message()
    assert "".join(words) == f"It was {NONCE}."
    assert len(words) > 1
    assert ended.stop_reason == "end_turn"
    assert ended.usage.output_tokens > 1


async def test_a_choice_of_tool_is_kept(client: AsyncAnthropic, script: Script) -> None:
    final: Any = {
        "name": "final_answer",
        "input_schema": {
            "type": "object",
            "properties": {"answer": {"type": "string"}},
            "required": ["answer"],
        },
    }
    script.turn = 2
    told: Any = [ASK, {"role": "assistant", "content": f"It is {NONCE}."}, ASK]
    must = await client.messages.create(
        model="any", max_tokens=100, messages=told, tools=[*TOOLS, final], tool_choice={"type": "any"}
    )
    assert must.content[0].type == "tool_use"
    assert (must.content[0].name, must.content[0].input) == ("final_answer", {"answer": f"It was {NONCE}."})
    script.turn = 1
    none = await client.messages.create(
        model="any", max_tokens=100, messages=[ASK], tools=TOOLS, tool_choice={"type": "none"}
    )
    assert none.content[0].type == "text"


async def test_another_key_is_refused_as_the_vendor_does(client: AsyncAnthropic, script: Script) -> None:
    with pytest.raises(anthropic.AuthenticationError, match="authentication_error"):
        await ask(client.with_options(api_key="wrong"), ASK)
    assert script.key_refused
    assert not script.calls


async def test_a_token_is_as_good_as_a_key(client: AsyncAnthropic, script: Script) -> None:
    await ask(AsyncAnthropic(auth_token=client.api_key, api_key=None, max_retries=0), ASK)
    assert script.calls == {1: 1}


async def test_a_token_of_the_documents_own_is_taken(stand_in: ModelServer, script: Script) -> None:
    with stand_in.admitted(script, {"ANTHROPIC_AUTH_TOKEN": "the-documents-own"}) as told:
        client = AsyncAnthropic(
            base_url=told["ANTHROPIC_BASE_URL"], auth_token=told["ANTHROPIC_AUTH_TOKEN"], max_retries=0
        )
        await ask(client, ASK)
    assert script.calls == {1: 1}
    assert not script.key_refused


async def test_what_is_no_request_is_refused_with_what_is_wrong(client: AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="at least one message is required"):
        await ask(client)


async def test_tokens_are_counted_and_models_listed_without_a_call_of_the_model(
    client: AsyncAnthropic, script: Script
) -> None:
    counted = await client.messages.count_tokens(model="any", messages=[ASK], tools=TOOLS)
    assert counted.input_tokens > 0
    assert [model.id async for model in client.models.list()] == ["stand-in"]
    assert (await client.models.retrieve("claude-x")).id == "claude-x"
    assert not script.calls
