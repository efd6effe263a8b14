"""What the owner of a workspace brings along: skills and plugins; and that secrets stay inside."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from live_workspace import CARD, PACKAGE, Launcher

Load = Callable[[str], ModuleType]


def test_a_skill_without_front_matter_is_known_by_its_folder(load: Load) -> None:
    skill = load("skill_loader.loader").parse_skill("greeting", "# Greet people\n")
    assert (skill.id, skill.name, skill.description, skill.tags) == ("greeting", "greeting", "greeting", ())


@pytest.mark.parametrize(
    ("front", "says"),
    [
        ("name: [a]", "name is not a text"),
        ("tags: social", "tags is not a list of texts"),
        ("- a", "its front matter is not a mapping"),
        ("a: 'b", "its front matter is not YAML"),
    ],
)
def test_a_skill_that_cannot_be_read_is_left_out_and_named(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture, front: str, says: str
) -> None:
    for name, text in (("good", "---\nname: Good\n---\n"), ("bad", f"---\n{front}\n---\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "SKILL.md").write_text(text)
    skills = load("skill_loader.loader").load_skills(["bad", "missing", "good"], tmp_path)
    assert [skill.name for skill in skills] == ["Good"]
    assert "Leaving out skill 'bad'" in caplog.text
    assert says in caplog.text
    assert "Leaving out skill 'missing'" in caplog.text


PLUGIN = f"""
import dataclasses
from {PACKAGE}adapters.base import Turn

def before_turn(turn):
    return dataclasses.replace(turn, text=turn.text + " (checked)")

async def after_turn(turn, reply):
    print(f"after: {{turn.text}} -> {{reply}}", flush=True)
"""


def test_plugins_change_and_see_turns_and_a_broken_one_costs_nothing(launch: Launcher) -> None:
    folder = launch.root / "w"
    plugins = folder / "configs" / "plugins"
    (plugins / "packaged").mkdir(parents=True)
    (plugins / "config.py").write_text(PLUGIN)
    (plugins / "packaged" / "__init__.py").write_text("from .inner import before_turn\n")
    (plugins / "packaged" / "inner.py").write_text(
        "def before_turn(turn):\n    raise RuntimeError('broken hook')\n"
    )
    (plugins / "broken.py").write_text("import nothing_of_that_name\n")
    workspace = launch(folder=folder, config="plugins: [broken, packaged, config, missing]\n")

    answer = workspace.say("hello").json()["result"]["task"]

    assert answer["artifacts"][0]["parts"][0]["text"] == "echo: hello (checked)"
    workspace.until(lambda: "after: hello (checked) -> echo: hello (checked)" in workspace.log)
    assert "Leaving out plugin 'broken'" in workspace.log
    assert "Leaving out plugin 'missing'" in workspace.log
    assert "Going on after hook before_turn of plugin packaged failed" in workspace.log
    assert workspace.get(CARD).json()["skills"][0]["id"] == "conversation"


def test_a_plugin_never_stands_in_for_a_module_of_its_name(load: Load, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("def before_turn(turn):\n    return turn\n")
    plugins = load("plugins_registry.registry").load_plugins(["json"], tmp_path)
    assert plugins.names == ("json",)
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key sk-proj-abcdefghijklmnop is bad", "key [secret] is bad"),
        ("ghp_abcdefghijklmnopqrstuvwxyz", "[secret]"),
        ("pypi-AgEIcHlwaS5vcmcCJ", "[secret]"),
        ("AKIAABCDEFGHIJKLMNOP", "[secret]"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer [secret]"),
        ("https://user:hunter22@host/path", "https://user:[secret]@host/path"),
        ('{"api_key": "0123456789"}', '{"api_key": "[secret]"}'),
        ("password=correct-horse&x=1", "password=[secret]&x=1"),
        ("the value of mine is zebra-crossing!", "the value of mine is [secret]!"),
        ("the long zebra-crossing-2 hides the short", "the long [secret] hides the short"),
        ("nothing to hide: token files at /run/token", "nothing to hide: token files at /run/token"),
    ],
)
def test_secrets_are_masked_and_the_rest_is_left(load: Load, text: str, clean: str) -> None:
    environ = {
        "MY_TOKEN": "zebra-crossing",
        "OTHER_SECRET": "zebra-crossing-2",
        "SHORT_KEY": "the",
        "WORKSPACE_CONTROL_TOKEN_FILE": "/run/token",
    }
    assert load("builtin_tools.security").Scrubber(environ).scrub(text) == clean


def test_get_adapter_names_the_variable_that_is_not_set(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADAPTER_MODULE", raising=False)
    with pytest.raises(KeyError, match="ADAPTER_MODULE is not set"):
        load("adapters").get_adapter()
    with pytest.raises(KeyError, match=r"ADAPTER_MODULE is not set.*runtime 'langgraph'"):
        load("adapters").get_adapter("langgraph")


def test_get_adapter_returns_the_class_that_the_module_offers(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTER_MODULE", f"{PACKAGE}adapters.echo")
    adapters = load("adapters")
    assert adapters.get_adapter() is load("adapters.echo").EchoAdapter
    assert issubclass(adapters.get_adapter("anything"), load("adapters.base").BaseAdapter)


@pytest.mark.parametrize("piece", ["x", "x-", "api-", "sk-", "a:", "a://", "key=", "bearer "])
def test_a_message_of_megabytes_is_looked_through_for_secrets_in_no_time(load: Load, piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.process_time()
    load("builtin_tools.security").Scrubber({}).scrub(text)
    assert time.process_time() - began < 2
