"""Our A2A client against the official SDK's server: answers, contexts, and every way a turn can end without one."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import uvicorn
from a2a.helpers import new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Role,
    Task,
    TaskState,
    TaskStatus,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from controller.clients.a2a import Agent, TurnFailed
from controller.model.errors import NotFound, Terminal, Transient


class Told(AgentExecutor):
    """Does what the message says."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        text = context.get_user_input()
        if text.startswith("message"):
            reply = new_text_message(f"heard {text}", context_id=context.context_id, role=Role.ROLE_AGENT)
            await event_queue.enqueue_event(reply)
            return
        assert context.message is not None
        assert context.task_id is not None
        assert context.context_id is not None
        submitted = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
        task = Task(
            id=context.task_id, context_id=context.context_id, status=submitted, history=[context.message]
        )
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.start_work()
        match text.split()[0]:
            case "task":
                await updater.add_artifact([new_text_part("heard "), new_text_part(text)])
                await updater.complete()
            case "status":
                await updater.complete(updater.new_agent_message([new_text_part(f"done {text}")]))
            case "fails":
                await updater.failed(updater.new_agent_message([new_text_part("ImportError: no lazy")]))
            case "misconfigured":
                note = updater.new_agent_message(
                    [new_text_part("no key")], metadata={"molecule.failure": "configuration"}
                )
                await updater.failed(note)
            case "asks":
                await updater.requires_input(updater.new_agent_message([new_text_part("which one?")]))
            case "raises":
                raise RuntimeError("a bug of the agent")

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


async def early(request: Request) -> Response:
    """Answers before the turn is over, as a server may: the first look finds it working, the next one done."""
    call = await request.json()
    task = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}
    if call["method"] == "SendMessage":
        return JSONResponse({"jsonrpc": "2.0", "id": call["id"], "result": {"task": task}})
    assert call["method"] == "GetTask"
    assert call["params"] == {"id": "t"}
    done = {"state": "TASK_STATE_COMPLETED"}
    result = {**task, "status": done, "artifacts": [{"artifactId": "a", "parts": [{"text": "late"}]}]}
    return JSONResponse({"jsonrpc": "2.0", "id": call["id"], "result": result})


def odd(request: Request) -> Response:
    """Stands where an agent should be and is none, in the way its path says."""
    match request.url.path.split("/")[1]:
        case "busy":
            return JSONResponse({"state": "draining"}, 503, {"Retry-After": "3"})
        case "html":
            return Response("<html>welcome</html>", media_type="text/html")
        case "list":
            return JSONResponse([1])
        case "empty-rpc":
            return JSONResponse({"jsonrpc": "2.0", "id": 1, "result": {}})
        case "no-rpc":
            return JSONResponse({"jsonrpc": "2.0", "id": 1})
        case _:
            return JSONResponse({"detail": "not here"}, 404)


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    card = AgentCard(
        name="told",
        description="does as told",
        version="1",
        supported_interfaces=[
            AgentInterface(url="http://x/", protocol_binding="JSONRPC", protocol_version="1.0")
        ],
        capabilities=AgentCapabilities(streaming=False),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="x", name="x", description="x", tags=["x"])],
    )
    handler = DefaultRequestHandler(agent_executor=Told(), task_store=InMemoryTaskStore(), agent_card=card)
    routes = [
        *create_jsonrpc_routes(handler, "/"),
        *create_agent_card_routes(card),
        Route("/early/", early, methods=["POST"]),
        Route("/{path:path}", odd, methods=["GET", "POST"]),
    ]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(Starlette(routes=routes), log_level="critical", lifespan="off")
        )
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def base() -> AsyncIterator[str]:
    async with serving() as url:
        yield url


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def agent(base: str, session: aiohttp.ClientSession) -> Agent:
    return Agent(session, base)


async def test_the_card_is_read(agent: Agent) -> None:
    assert (await agent.card())["name"] == "told"


@pytest.mark.parametrize(
    ("text", "answer"),
    [("message 7", "heard message 7"), ("task 7", "heard task 7"), ("status 7", "done status 7")],
)
async def test_the_answer_is_the_text_of_a_message_an_artifact_or_the_last_status(
    agent: Agent, text: str, answer: str
) -> None:
    assert (await agent.send(text)).text == answer


async def test_a_server_that_answers_early_is_asked_until_the_turn_is_over(
    base: str, session: aiohttp.ClientSession
) -> None:
    answer = await Agent(session, f"{base}/early").send("x")
    assert (answer.text, answer.context_id) == ("late", "c")


async def test_a_second_turn_stays_in_the_context_of_the_first(agent: Agent) -> None:
    first = await agent.send("task 1")
    second = await agent.send("task 2", context_id=first.context_id)
    assert first.context_id
    assert second.context_id == first.context_id
    assert (await agent.send("task 3")).context_id != first.context_id


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fails", "the agent ended the turn as TASK_STATE_FAILED: ImportError: no lazy"),
        ("asks", "the agent ended the turn as TASK_STATE_INPUT_REQUIRED: which one?"),
    ],
)
async def test_a_turn_that_ends_without_an_answer_is_told_in_the_agents_words(
    agent: Agent, text: str, said: str
) -> None:
    with pytest.raises(TurnFailed) as caught:
        await agent.send(text)
    assert caught.value.message == said
    assert not caught.value.configuration


async def test_an_agent_that_blames_its_configuration_is_believed(agent: Agent) -> None:
    with pytest.raises(TurnFailed) as caught:
        await agent.send("misconfigured")
    assert caught.value.configuration


async def test_a_bug_of_the_agent_is_a_failed_turn(agent: Agent) -> None:
    with pytest.raises(TurnFailed, match="a bug of the agent"):
        await agent.send("raises")


async def test_a_method_that_the_server_does_not_know_is_a_failed_turn(
    base: str, session: aiohttp.ClientSession
) -> None:
    for path in ("empty-rpc", "no-rpc"):
        with pytest.raises(TurnFailed, match="with neither"):
            await Agent(session, f"{base}/{path}").send("x")


async def test_a_busy_server_is_worth_another_try_after_the_time_it_names(
    base: str, session: aiohttp.ClientSession
) -> None:
    with pytest.raises(Transient) as caught:
        await Agent(session, f"{base}/busy").card()
    assert caught.value.retry_after == 3


async def test_a_server_without_a_card_is_no_agent(base: str, session: aiohttp.ClientSession) -> None:
    with pytest.raises(NotFound):
        await Agent(session, f"{base}/other").card()
    for path in ("html", "list"):
        with pytest.raises(Terminal, match="no JSON object"):
            await Agent(session, f"{base}/{path}").card()


async def test_nothing_that_listens_is_worth_another_try(session: aiohttp.ClientSession) -> None:
    with pytest.raises(Transient, match="failed"):
        await Agent(session, "http://127.0.0.1:9").card()
