"""The stand-in as Google's own client sees it: whole and streamed, with functions, and refused."""

import pytest
from google import genai
from google.genai import errors, types
from google.genai.client import AsyncClient

from controller.model_server.script import NOTHING_KNOWN, Script
from controller.model_server.server import ModelServer

NONCE = "5ca1ab1e5ca1ab1e"
SAVE = types.FunctionDeclaration(
    name="save_memory",
    description="Saves a fact.",
    parameters=types.Schema(
        type=types.Type.OBJECT, properties={"fact": types.Schema(type=types.Type.STRING)}, required=["fact"]
    ),
)
READ = types.FunctionDeclaration(
    name="read_file",
    description="Reads a file.",
    parameters_json_schema={
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
    },
)
CONFIG = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[READ, SAVE])],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    system_instruction="Be brief.",
)
ASK = types.Content(role="user", parts=[types.Part(text="Use a tool.")])
TOLD = types.Content(role="model", parts=[types.Part(text=f"It is {NONCE}.")])


@pytest.fixture
async def client(stand_in: ModelServer) -> AsyncClient:
    assert stand_in.address
    return genai.Client().aio


async def test_content_calls_a_function_says_what_it_returned_and_repeats_it(
    client: AsyncClient, script: Script
) -> None:
    first = await client.models.generate_content(model="gemini-x", contents=[ASK], config=CONFIG)
    (call,) = first.function_calls or []
    assert (call.name, call.args) == ("save_memory", {"fact": NONCE})
    assert first.candidates
    assert first.candidates[0].finish_reason is types.FinishReason.STOP
    asked = first.candidates[0].content
    assert asked is not None
    result = types.FunctionResponse(id=call.id, name=call.name, response={"output": f"I keep {NONCE}"})
    returned = types.Content(role="user", parts=[types.Part(function_response=result)])
    history: list[types.Content] = [ASK, asked, returned]
    second = await client.models.generate_content(model="gemini-x", contents=[*history], config=CONFIG)
    assert second.text == f'The tool returned: {{"output": "I keep {NONCE}"}}'
    script.turn = 2
    said = types.Content(role="model", parts=[types.Part(text=second.text)])
    third = await client.models.generate_content(
        model="gemini-x", contents=[*history, said, ASK], config=CONFIG
    )
    assert third.text == f"It was {NONCE}."
    forgot = await client.models.generate_content(model="gemini-x", contents=[ASK], config=CONFIG)
    assert forgot.text == NOTHING_KNOWN
    assert script.calls == {1: 2, 2: 2}


async def test_streamed_content_gives_the_same_call_and_words_in_pieces(
    client: AsyncClient, script: Script
) -> None:
    stream = await client.models.generate_content_stream(model="gemini-x", contents=[ASK], config=CONFIG)
    calls = [call async for chunk in stream for call in chunk.function_calls or []]
    assert [(call.name, call.args) for call in calls] == [("save_memory", {"fact": NONCE})]
    script.turn = 2
    stream = await client.models.generate_content_stream(model="gemini-x", contents=[ASK, TOLD, ASK])
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.text or "" for chunk in chunks) == f"It was {NONCE}."
    assert len(chunks) > 1
    assert chunks[-1].usage_metadata is not None


async def test_functions_that_the_client_runs_itself_go_round(client: AsyncClient, script: Script) -> None:
    heard: list[str] = []

    def echo(text: str) -> str:
        """Echo a text."""
        heard.append(text)
        return text

    answer = await client.models.generate_content(
        model="gemini-x", contents="Use a tool.", config=types.GenerateContentConfig(tools=[echo])
    )
    assert heard == [NONCE]
    assert NONCE in (answer.text or "")
    assert script.tool_results == 1


async def test_an_answer_that_must_be_an_object_is_one(client: AsyncClient) -> None:
    schema = types.Schema(
        type=types.Type.OBJECT,
        properties={"next": types.Schema(type=types.Type.STRING, enum=["user", "model"])},
        required=["next"],
    )
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=schema)
    answer = await client.models.generate_content(model="gemini-x", contents="Who is next?", config=config)
    assert answer.parsed == {"next": "user"}


async def test_another_key_is_refused_as_the_vendor_does(stand_in: ModelServer, script: Script) -> None:
    assert stand_in.address
    with pytest.raises(errors.ClientError, match="API key not valid") as refused:
        await genai.Client(api_key="wrong").aio.models.generate_content(model="gemini-x", contents="Hello")
    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")
    assert "API_KEY_INVALID" in str(refused.value.details)
    assert script.key_refused
    assert not script.calls


async def test_tokens_embeddings_and_models_are_answered_without_a_call_of_the_model(
    client: AsyncClient, script: Script
) -> None:
    counted = await client.models.count_tokens(model="gemini-x", contents="Hello there")
    assert (counted.total_tokens or 0) > 0
    made = await client.models.embed_content(model="embed-x", contents=["one", "two"])
    assert [len(each.values or []) for each in made.embeddings or []] == [3072, 3072]
    assert [model.name async for model in await client.models.list()] == ["models/stand-in"]
    assert (await client.models.get(model="gemini-x")).name == "models/gemini-x"
    assert not script.calls
