"""Transcripts: what was said, for who holds the workspace's token and for nobody else."""

from typing import Any

from live_workspace import HTTP, Launcher, Workspace

FIRST, SECOND = "first-token-of-all", "second-token-of-all"


def ask(workspace: Workspace, token: str | None, query: str = "") -> tuple[int, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    response = HTTP.get(f"{workspace.url}/transcript{query}", headers=headers)
    return response.status_code, response.json()


def test_without_a_token_of_its_own_a_workspace_shows_nothing(served: Workspace) -> None:
    for shown in (None, "None"):
        status, answer = ask(served, shown)
        assert (status, "the platform has issued no token" in answer["error"]) == (403, True)


def test_who_holds_the_token_reads_what_was_said_without_secrets(launch: Launcher) -> None:
    folder = launch.root / "w"
    (folder / "configs").mkdir(parents=True)
    token = folder / "configs" / ".auth_token"
    token.write_text(FIRST)
    workspace = launch(folder=folder)
    workspace.say("my key is sk-abcdefghijklmnopqrstu", "one")
    workspace.say("hello", "two")

    status, answer = ask(workspace, FIRST)
    assert status == 200
    assert answer["conversations"]["two"] == [{"user": "hello", "agent": "echo: hello"}]
    assert answer["conversations"]["one"][0]["user"] == "my key is [secret]"
    assert list(ask(workspace, FIRST, "?contextId=two")[1]["conversations"]) == ["two"]
    for wrong in (None, SECOND, FIRST[:-1]):
        status, answer = ask(workspace, wrong)
        assert (status, list(answer)) == (401, ["error"])

    token.write_text(SECOND)
    assert ask(workspace, SECOND)[0] == 200
    assert ask(workspace, FIRST)[0] == 401
