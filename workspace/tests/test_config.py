"""Configuration: what is accepted, and how a mistake is named."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Load = Callable[[str], ModuleType]
PATH = Path("config.yaml")


def test_a_full_file_is_read_as_written(load: Load) -> None:
    config = load("config").parse_config(
        """
name: planner
description: Plans
version: 2.1.0
role: lead
tier: 2
model: some/model
runtime: langgraph
runtime_config: {temperature: 0.5}
skills: [planning, review]
plugins: [audit]
a2a: {port: 9001, host: 127.0.0.1, max_body_bytes: 4096}
limits: {max_concurrent_tasks: 3, max_waiting_tasks: 9}
heartbeat: {interval_seconds: 12.5}
""",
        PATH,
    )
    assert (config.name, config.version, config.tier, config.runtime) == ("planner", "2.1.0", 2, "langgraph")
    assert dict(config.runtime_config) == {"temperature": 0.5}
    assert (config.skills, config.plugins) == (("planning", "review"), ("audit",))
    assert (config.a2a.port, config.a2a.host, config.a2a.max_body_bytes) == (9001, "127.0.0.1", 4096)
    assert (config.limits.max_concurrent, config.limits.max_waiting) == (3, 9)
    assert config.heartbeat_seconds == 12.5


@pytest.mark.parametrize("text", ["", "# nothing\n", "a2a:\nlimits: null\n"])
def test_what_is_left_out_has_its_default(load: Load, text: str) -> None:
    assert load("config").parse_config(text, PATH) == load("config").WorkspaceConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "config.yaml is a list; write a mapping of keys to values"),
        ("name: [a]", "name is a list; write a text"),
        ("name: true", "name is True; write a text"),
        ("tier: high", "tier is 'high'; write a whole number from 0 to 100"),
        ("a2a: {port: 70000}", "a2a.port is 70000; write a whole number from 1 to 65535"),
        ("a2a: 8000", "a2a is 8000; write a mapping of keys to values"),
        ("skills: planning", "skills is 'planning'; write a list of names"),
        ("skills: [ok, ../secrets]", "skills[1] is '../secrets'; write a plain folder or module name"),
        ("plugins: [1]", "plugins[0] is 1; write a plain folder or module name"),
        ("runtime_config: x", "runtime_config is 'x'; write a mapping of keys to values"),
        ("heartbeat: {interval_seconds: 0}", "heartbeat.interval_seconds is 0; write a number of seconds"),
        ("limits: {max_concurrent_tasks: 1.5}", "limits.max_concurrent_tasks is 1.5; write a whole number"),
        ("name: 'a", "config.yaml is not valid YAML: while scanning"),
    ],
)
def test_a_mistake_is_named_with_key_and_cure(load: Load, text: str, message: str) -> None:
    with pytest.raises(load("config").ConfigError) as caught:
        load("config").parse_config(text, PATH)
    assert message in str(caught.value)


def test_keys_of_other_versions_are_named_in_the_log_and_left_alone(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        config = load("config").parse_config("name: a\nprompts: [x]\na2a: {grpc: 1}\n", PATH)
    assert config.name == "a"
    assert "a2a.grpc, prompts" in caplog.text


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PORT", "70000", "PORT is not a TCP port: '70000'"),
        ("PORT", "0", "PORT is not a TCP port: '0'"),
        ("PLATFORM_URL", "file:///etc/passwd", "PLATFORM_URL is not an http or https URL"),
        ("WORKSPACE_GRACE_SECONDS", "soon", "WORKSPACE_GRACE_SECONDS is not a number of seconds: 'soon'"),
        ("WORKSPACE_GRACE_SECONDS", "-1", "WORKSPACE_GRACE_SECONDS is not a number of seconds: '-1'"),
        (
            "WORKSPACE_WEDGED_AFTER_SECONDS",
            "nan",
            "WORKSPACE_WEDGED_AFTER_SECONDS is not a number of seconds",
        ),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(load: Load, variable: str, value: str, message: str) -> None:
    with pytest.raises(load("config").ConfigError, match=variable) as caught:
        load("environment").read_environment({variable: value})
    assert message in str(caught.value)


def test_an_empty_environment_means_the_documented_defaults(load: Load) -> None:
    environment = load("environment").read_environment({"PORT": "", "PLATFORM_URL": ""})
    assert environment.config_folder == Path("/configs")
    assert environment.plugins_folder == Path("/configs/plugins")
    assert (environment.port, environment.platform_url, environment.control_token_file) == (None, None, None)
    assert environment.grace_seconds == 25
