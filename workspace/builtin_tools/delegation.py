"""Let an agent hand work to its peers, and find the results again whatever happened meanwhile.

What was handed over is written down before anybody waits for it, with the id of the task at the peer. So a result is
there after a restart of either side: the peer keeps its tasks, and who asks for the delegation asks the peer.
"""

import asyncio
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from builtin_tools.tool import Tool
from platform_client import PlatformClient
from whole_file import replace_text

FOLDER = "delegations"
WAIT_SECONDS = 300.0


class Delegations:
    """The work that this workspace has handed to others, one file each."""

    def __init__(self, folder: Path, platform: PlatformClient | None, scrub: Callable[[str], str]) -> None:
        self._folder = folder / FOLDER
        self._platform = platform
        self._scrub = scrub

    def peers(self) -> str:
        """List who can be asked, one a line: id, name, role and state.

        Raises:
            ValueError: there is no platform.
            OSError: the platform cannot be asked.
        """
        platform = self._need()
        found = platform.get(f"/registry/{quote(platform.workspace_id)}/peers")
        lines = [
            " · ".join(str(peer[name]) for name in ("id", "name", "role", "status") if peer.get(name))
            for peer in found
            if isinstance(peer, dict) and peer.get("id")
        ]
        return "\n".join(lines) or "There are no peers"

    def delegate(self, workspace_id: str, task: str) -> str:
        """Hand a task to a peer and wait for its answer, for a while.

        Raises:
            ValueError, OSError: as for `peers`; also when the peer is not known or does not take the task.
        """
        return self._look(self._begin(workspace_id, task), WAIT_SECONDS)

    def begin(self, workspace_id: str, task: str) -> str:
        """Hand a task to a peer and return at once.

        Raises:
            ValueError, OSError: as for `delegate`.
        """
        record = self._begin(workspace_id, task)
        return f"Delegation {record['id']} is under way; ask for it with check_delegation"

    def check(self, delegation_id: str) -> str:
        """Tell what became of a delegation.

        Raises:
            ValueError: there is none of that id.
            OSError: the peer cannot be asked.
        """
        path = self._folder / f"{delegation_id}.json"
        if not delegation_id.isalnum() or not path.exists():
            known = sorted(file.stem for file in self._folder.glob("*.json"))
            raise ValueError(
                f"there is no delegation {delegation_id!r}; there are {', '.join(known) or 'none'}"
            )
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return self._look(record, 0.0)

    def tools(self) -> tuple[Tool, ...]:
        """Return what an agent is offered."""
        to = {
            "workspace_id": "id of the peer, from list_peers",
            "task": "what to do, with all that it takes to do it",
        }
        return (
            Tool(
                name="list_peers", description="List the workspaces that can be given work.", run=self.peers
            ),
            Tool(
                name="delegate_task",
                description="Give a peer a task and wait for its answer.",
                parameters=to,
                run=self.delegate,
            ),
            Tool(
                name="delegate_task_async",
                description="Give a peer a task that takes long; its answer is asked for with check_delegation.",
                parameters=to,
                run=self.begin,
            ),
            Tool(
                name="check_delegation",
                description="Ask what became of a task that was given to a peer.",
                parameters={"delegation_id": "what delegate_task_async returned"},
                run=self.check,
            ),
        )

    def _begin(self, workspace_id: str, task: str) -> dict[str, Any]:
        from a2a_client import send_a2a_message  # noqa: PLC0415 - the A2A SDK is slow to import

        url = self._discover(workspace_id)
        record = {
            "id": uuid.uuid4().hex,
            "peer": workspace_id,
            "url": url,
            "task": self._scrub(task),
            "answer": None,
        }
        record["taskId"] = asyncio.run(send_a2a_message(url, task))
        self._save(record)
        return record

    def _look(self, record: dict[str, Any], seconds: float) -> str:
        """Ask the peer for the task until it has ended, or the time is over."""
        from a2a_client import Outcome, await_task  # noqa: PLC0415 - as above

        if record["answer"] is None:
            # A peer that was replaced may be found somewhere else now.
            url = self._discover(record["peer"])
            outcome: Outcome | None = asyncio.run(await_task(url, record["taskId"], seconds))
            if outcome is None:
                return f"Delegation {record['id']} is not finished; ask again with check_delegation"
            record = {**record, "url": url, "answer": self._scrub(outcome.text), "state": outcome.state}
            self._save(record)
        return (
            str(record["answer"])
            if record["state"] == "completed"
            else f"{record['state']}: {record['answer']}"
        )

    def _discover(self, workspace_id: str) -> str:
        platform = self._need()
        found = platform.get(f"/registry/discover/{quote(workspace_id, safe='')}")
        url = found.get("url") if isinstance(found, dict) else None
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise ValueError(f"the platform knows no address of workspace {workspace_id!r}; see list_peers")
        return url

    def _need(self) -> PlatformClient:
        if self._platform is None:
            raise ValueError(
                "peers are found through the platform, and PLATFORM_URL or WORKSPACE_ID is not set"
            )
        return self._platform

    def _save(self, record: dict[str, Any]) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        replace_text(self._folder / f"{record['id']}.json", json.dumps(record))
