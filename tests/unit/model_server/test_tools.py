"""Of the tools that agents really offer, the one is called that gives a word back, in the form that makes it do so."""

from typing import Any

import pytest

from controller.model_server.conversation import Tool
from controller.model_server.tools import call_that_returns, call_with_answer

WORD = "5ca1ab1e5ca1ab1e"


def tool(name: str, description: str = "", /, *required: str, **properties: Any) -> Tool:  # noqa: ANN401 -- any JSON Schema
    schemas = {
        key: value if isinstance(value, dict) else {"type": value} for key, value in properties.items()
    }
    return Tool(name, description, {"type": "object", "properties": schemas, "required": list(required)})


ECHO = tool("echo", "Gives a text back.", "text", text="string")
REMEMBER = tool("save_memory", "Saves a fact.", "fact", fact="string")
SHELL = tool("run_shell_command", "Runs a command.", "command", command="string", description="string")
BASH = tool("Bash", "Executes a command.", "command", command="string", timeout="number")
ARGV = tool("shell", "Runs a command.", "command", command={"type": "array", "items": {"type": "string"}})
PYTHON = tool("run_python", "Runs Python code.", "code", code="string")
NODE = tool("execute", "Executes JavaScript in Node.", "code", code="string")
CALCULATOR = tool("calculator", "Evaluates.", "expression", expression="string")
READ = tool("read_file", "Reads a file.", "path", path="string")
WRITE = tool("write_file", "Writes a file.", "path", "content", path="string", content="string")
SEARCH = tool("web_search", "Searches the web.", "query", query="string")
DELEGATE = tool("delegateTask", "Lets another agent run a task.", "task", task="string")
MODE = tool("remember_mode", "Remembers a mode.", "mode", mode={"type": "string", "enum": ["a", "b"]})
FILED = tool("save_note", "Saves a note.", "title", "note", text="string", title="string", note="string")
NOW = tool("now", "The time.")


@pytest.mark.parametrize(
    ("offered", "name", "arguments"),
    [
        ([SEARCH, ECHO, SHELL], "echo", {"text": WORD}),
        ([SHELL, READ, REMEMBER, WRITE], "save_memory", {"fact": WORD}),
        ([READ, WRITE, SHELL], "run_shell_command", {"command": f"echo {WORD}"}),
        ([READ, BASH], "Bash", {"command": f"echo {WORD}"}),
        ([READ, ARGV], "shell", {"command": ["echo", WORD]}),
        ([SEARCH, PYTHON], "run_python", {"code": f"print('{WORD}')"}),
        ([NODE], "execute", {"code": f"console.log('{WORD}')"}),
        ([SEARCH, CALCULATOR], "calculator", {"expression": f"'{WORD}'"}),
        ([DELEGATE, READ], "read_file", {"path": WORD}),
        ([MODE, NOW, WRITE], "write_file", {"path": ".", "content": WORD}),
        ([DELEGATE], "delegateTask", {"task": WORD}),
        ([FILED, REMEMBER], "save_memory", {"fact": WORD}),
        ([FILED], "save_note", {"title": "check", "note": WORD}),
    ],
)
def test_the_likeliest_tool_is_called_in_its_own_form(
    offered: list[Tool], name: str, arguments: dict[str, Any]
) -> None:
    call = call_that_returns(WORD, offered, tried=())
    assert call is not None
    assert (call.name, call.arguments) == (name, arguments)


def test_a_tool_that_kept_the_word_to_itself_is_not_called_again() -> None:
    second = call_that_returns(WORD, [REMEMBER, READ], tried={"save_memory"})
    assert second is not None
    assert second.name == "read_file"
    assert call_that_returns(WORD, [REMEMBER], tried={"save_memory"}) is None


@pytest.mark.parametrize("offered", [[], [NOW], [MODE]])
def test_a_tool_that_cannot_take_a_word_is_not_called(offered: list[Tool]) -> None:
    assert call_that_returns(WORD, offered, tried=()) is None


def test_all_that_a_tool_requires_is_given_to_it() -> None:
    crowded = tool(
        "remember",
        "Remembers.",
        "kind",
        "weight",
        "note",
        kind={"type": "string", "enum": ["fact", "plan"]},
        weight={"type": "integer", "minimum": 3},
        note="string",
        hint="string",
    )
    call = call_that_returns(WORD, [crowded], tried=())
    assert call is not None
    assert call.arguments == {"kind": "fact", "weight": 3, "note": WORD}


def test_a_word_goes_where_it_fits_and_into_an_optional_place_if_there_is_no_other() -> None:
    short = tool("echo", "", "code", code={"type": "string", "maxLength": 4}, text="string")
    call = call_that_returns(WORD, [short], tried=())
    assert call is not None
    assert call.arguments == {"code": "chec", "text": WORD}


def test_references_and_the_spelling_of_gemini_are_understood() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"note": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Note"}]}},
        "required": ["note"],
        "$defs": {"Note": {"type": "STRING"}},
    }
    call = call_that_returns(WORD, [Tool("remember", "", schema)], tried=())
    assert call is not None
    assert call.arguments == {"note": WORD}


def test_an_answer_goes_through_the_tool_that_ends() -> None:
    final = tool("final_answer", "Gives the answer.", "answer", answer="string")
    call = call_with_answer("It was so.", [SHELL, final, ECHO])
    assert (call.name, call.arguments) == ("final_answer", {"answer": "It was so."})
