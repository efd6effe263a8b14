"""What every adapter promises, as tests that each template's own test class inherits.

They ask for the fixtures `workspace`, `fresh`, `make` and `model` of the template's conftest.py.
"""

import signal
from collections.abc import Callable

from adapter_testing.model import KEY, ModelServer
from adapter_testing.process import Workspace, complaint, reply, state

Make = Callable[..., Workspace]


class AdapterClaims:
    """The promises; a framework in which one cannot hold overrides it and says why."""

    def test_a_tool_is_used_in_the_first_turn_and_known_in_the_second(
        self, workspace: Workspace, model: ModelServer
    ) -> None:
        first = workspace.say("remember turquoise")
        assert state(first) == "completed", complaint(first)
        assert reply(first).startswith("The tool said: "), reply(first)
        assert "turquoise" in reply(first)
        second = workspace.say("recite", first["contextId"])
        assert reply(second) == "remember turquoise"
        (answer,) = model.requests[-1].answers
        assert "turquoise" in answer

    def test_conversations_do_not_hear_each_other(self, workspace: Workspace) -> None:
        workspace.say("remember turquoise")
        assert reply(workspace.say("recite")) == "nothing"

    def test_words_reach_a_caller_who_streams_before_the_model_has_ended(
        self, workspace: Workspace, model: ModelServer
    ) -> None:
        pieces = workspace.stream("pause")
        assert next(pieces) == "first"
        model.go_on.set()
        assert "".join(pieces) == " second"

    def test_a_conversation_goes_on_after_a_kill(self, workspace: Workspace) -> None:
        context = workspace.say("remember turquoise")["contextId"]
        workspace.stop(signal.SIGKILL)
        workspace.start()
        assert reply(workspace.say("recite", context)) == "remember turquoise"

    def test_a_turn_counts_as_long_as_it_runs_and_a_drain_lets_it_end(
        self, workspace: Workspace, model: ModelServer
    ) -> None:
        assert workspace.status()["activeTasks"] == 0
        task = workspace.say("pause", wait=False)
        assert model.pausing.wait(60), workspace.log
        assert workspace.status()["activeTasks"] == 1
        assert workspace.ctl("drain")["state"] == "draining"
        assert workspace.refusal("recite") == 503
        model.go_on.set()
        workspace.until(active=0)
        ended = workspace.rpc("GetTask", {"id": task["id"]})
        assert (state(ended), reply(ended)) == ("completed", "first second"), ended
        assert workspace.ctl("resume")["state"] == "serving"

    def test_a_cancelled_turn_lets_go_of_the_model_and_of_the_conversation(
        self, workspace: Workspace, model: ModelServer
    ) -> None:
        context = workspace.say("remember turquoise")["contextId"]
        task = workspace.say("pause", context, wait=False)
        assert model.pausing.wait(60), workspace.log
        assert state(workspace.rpc("CancelTask", {"id": task["id"]})) == "canceled"
        assert model.hung_up.wait(60), workspace.log
        workspace.until(active=0)
        assert "remember turquoise" in reply(workspace.say("recite", context))

    def test_a_key_that_is_refused_is_told_as_configuration(
        self, workspace: Workspace, model: ModelServer
    ) -> None:
        model.refuses = 401
        whose, said = complaint(workspace.say("recite"))
        assert (whose, f"refused the key in {model.variables[1]} with HTTP 401" in said) == (
            "configuration",
            True,
        ), said
        assert KEY not in said + workspace.log

    def test_a_model_that_is_not_there_is_told_as_configuration(
        self, workspace: Workspace, model: ModelServer
    ) -> None:
        model.refuses = 404
        whose, said = complaint(workspace.say("recite"))
        assert (whose, f"correct {model.variables[0]}, or the model's name in config.yaml" in said) == (
            "configuration",
            True,
        ), said

    def test_another_refusal_is_nobodys_configuration(self, workspace: Workspace, model: ModelServer) -> None:
        model.refuses = 400
        assert complaint(workspace.say("recite"))[0] == "task"

    def test_a_workspace_without_a_key_starts_and_says_what_it_lacks(
        self, make: Make, model: ModelServer
    ) -> None:
        with make(**{model.variables[1]: ""}) as workspace:
            told = complaint(workspace.say("recite"))
            cure = f"{model.variables[1]} is not set; set it to a key of the model endpoint and restart"
            assert told == ("configuration", f"AdapterConfigurationError: {cure}")
