"""The stand-in as OpenAI's own client sees it: both interfaces, whole and streamed, with tools, and refused."""

import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from controller.model_server.script import NOTHING_KNOWN, Script
from controller.model_server.server import ModelServer

NONCE = "5ca1ab1e5ca1ab1e"
PARAMETERS = {
    "type": "object",
    "properties": {"fact": {"type": "string", "description": "What to keep."}},
    "required": ["fact"],
    "additionalProperties": False,
}
FUNCTION: dict[str, Any] = {"name": "remember", "description": "Remembers a fact.", "parameters": PARAMETERS}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]
RESPONSES_TOOLS: Any = [{"type": "function", "strict": True, **FUNCTION}]
ASK: Any = {"role": "user", "content": "Use a tool."}

pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture
async def client(stand_in: ModelServer) -> AsyncOpenAI:
    assert stand_in.address
    return AsyncOpenAI(max_retries=0)


def kept(fact: str) -> str:
    return f"Okay, I remember: {fact}"


async def test_a_chat_calls_a_tool_says_what_it_returned_and_repeats_it(
    client: AsyncOpenAI, script: Script
) -> None:
    first = await client.chat.completions.create(model="any", messages=[ASK], tools=TOOLS)
    assert first.choices[0].finish_reason == "tool_calls"
    assert first.usage is not None
    assert first.usage.total_tokens > 0
    message = first.choices[0].message
    (call,) = message.tool_calls or []
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"fact": NONCE}
    returned: Any = {"role": "tool", "tool_call_id": call.id, "content": kept(NONCE)}
    history: Any = [ASK, message, returned]
    second = await client.chat.completions.create(model="any", messages=history, tools=TOOLS)
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content == f"The tool returned: {kept(NONCE)}"
    script.turn = 2
    again: Any = [*history, second.choices[0].message, {"role": "user", "content": "Repeat it."}]
    third = await client.chat.completions.create(model="any", messages=again, tools=TOOLS)
    assert third.choices[0].message.content == f"It was {NONCE}."
    forgot = await client.chat.completions.create(model="any", messages=[ASK], tools=TOOLS)
    assert forgot.choices[0].message.content == NOTHING_KNOWN
    assert script.calls == {1: 2, 2: 2}
    assert script.tool_results == 2


async def test_a_streamed_chat_gives_the_same_call_and_words_in_pieces(
    client: AsyncOpenAI, script: Script
) -> None:
    async with client.chat.completions.stream(model="any", messages=[ASK], tools=TOOLS) as stream:
        ended = await stream.get_final_completion()
    (call,) = ended.choices[0].message.tool_calls or []
    assert (call.function.name, json.loads(call.function.arguments)) == ("remember", {"fact": NONCE})
    script.turn = 2
    told: Any = [ASK, {"role": "assistant", "content": f"It is {NONCE}."}, ASK]
    chunks = [
        chunk
        async for chunk in await client.chat.completions.create(
            model="any", messages=told, stream=True, stream_options={"include_usage": True}
        )
    ]
    words = [
        chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content
    ]
    assert "".join(words) == f"It was {NONCE}."
    assert len(words) > 1
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None


async def test_an_answer_that_must_be_an_object_is_one(client: AsyncOpenAI) -> None:
    class Verdict(BaseModel):
        reasoning: str
        next_speaker: str

    parsed = await client.chat.completions.parse(model="any", messages=[ASK], response_format=Verdict)
    assert parsed.choices[0].message.parsed is not None
    through = await client.responses.parse(model="any", input="Who is next?", text_format=Verdict)
    assert through.output_parsed is not None


async def test_responses_call_a_tool_and_keep_the_conversation_when_asked_to(
    client: AsyncOpenAI, script: Script
) -> None:
    first = await client.responses.create(model="any", input="Use a tool.", tools=RESPONSES_TOOLS)
    (call,) = first.output
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"fact": NONCE}
    returned: Any = {"type": "function_call_output", "call_id": call.call_id, "output": kept(NONCE)}
    second = await client.responses.create(
        model="any", input=[returned], previous_response_id=first.id, tools=RESPONSES_TOOLS
    )
    assert second.output_text == f"The tool returned: {kept(NONCE)}"
    script.turn = 2
    third = await client.responses.create(model="any", input="Repeat it.", previous_response_id=second.id)
    assert third.output_text == f"It was {NONCE}."
    forgot = await client.responses.create(model="any", input="Repeat it.")
    assert forgot.output_text == NOTHING_KNOWN
    with pytest.raises(openai.BadRequestError, match="Previous response with id 'resp_none' not found"):
        await client.responses.create(model="any", input="Repeat it.", previous_response_id="resp_none")


async def test_responses_carry_a_conversation_that_the_client_keeps(
    client: AsyncOpenAI, script: Script
) -> None:
    asked: Any = [{"role": "user", "content": "Use a tool."}]
    first = await client.responses.create(model="any", input=asked, tools=RESPONSES_TOOLS)
    (call,) = first.output
    assert call.type == "function_call"
    asked += [
        call.model_dump(exclude_none=True),
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": [{"type": "input_text", "text": kept(NONCE)}],
        },
    ]
    second = await client.responses.create(model="any", input=asked, tools=RESPONSES_TOOLS)
    asked += [item.model_dump(exclude_none=True) for item in second.output] + [
        {"role": "user", "content": "Repeat it."}
    ]
    script.turn = 2
    third = await client.responses.create(model="any", input=asked, instructions="Be brief.")
    assert third.output_text == f"It was {NONCE}."


async def test_streamed_responses_end_as_whole_ones(client: AsyncOpenAI, script: Script) -> None:
    async with client.responses.stream(model="any", input="Use a tool.", tools=RESPONSES_TOOLS) as stream:
        kinds = [event.type async for event in stream]
        first = await stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.function_call_arguments.delta") > 1
    (call,) = first.output
    assert call.type == "function_call"
    script.turn = 2
    returned: Any = {"type": "function_call_output", "call_id": call.call_id, "output": kept(NONCE)}
    async with client.responses.stream(
        model="any", input=[returned], previous_response_id=first.id
    ) as stream:
        deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        second = await stream.get_final_response()
    assert "".join(deltas) == second.output_text == f"It was {NONCE}."


async def test_another_key_is_refused_as_the_vendor_does(client: AsyncOpenAI, script: Script) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        await client.with_options(api_key="wrong").chat.completions.create(model="any", messages=[ASK])
    assert refused.value.code == "invalid_api_key"
    assert script.key_refused
    assert not script.calls


async def test_what_is_no_request_is_refused_with_what_is_wrong(client: AsyncOpenAI, script: Script) -> None:
    with pytest.raises(openai.BadRequestError, match=r"messages must be a list"):
        await client.chat.completions.create(model="any", messages="hello")  # type: ignore[arg-type]
    with pytest.raises(openai.NotFoundError):
        await client.files.list()
    assert script.refused == [
        "POST /v1/chat/completions: 400: messages must be a list",
        "GET /v1/files: 404: The stand-in does not speak this.",
    ]


async def test_embeddings_and_models_are_answered_and_are_no_calls_of_the_model(
    client: AsyncOpenAI, script: Script
) -> None:
    made = await client.embeddings.create(model="any", input=["one", "two"])
    plain = await client.embeddings.create(model="any", input="one", encoding_format="float", dimensions=64)
    assert [len(each.embedding) for each in (*made.data, *plain.data)] == [1536, 1536, 64]
    assert sum(value * value for value in made.data[0].embedding) == pytest.approx(1, rel=0.01)
    assert made.data[0].embedding != made.data[1].embedding
    assert [model.id async for model in client.models.list()] == ["stand-in"]
    assert (await client.models.retrieve("gpt-x")).id == "gpt-x"
    assert not script.calls
