"""Memory in three scopes: LOCAL is this workspace's own, TEAM and GLOBAL are the platform's, which knows who belongs where."""

from collections.abc import Callable
from urllib.parse import urlencode

from builtin_tools.memory import Memory
from builtin_tools.tool import Tool
from platform_client import PlatformClient

SCOPES = ("LOCAL", "TEAM", "GLOBAL")
MAX_FOUND = 50


class ScopedMemory:
    """Keeps and finds facts for agents."""

    def __init__(self, local: Memory, platform: PlatformClient | None, scrub: Callable[[str], str]) -> None:
        """`scrub` takes secrets out of what others get to read; without `platform` only LOCAL can be used."""
        self._local = local
        self._platform = platform
        self._scrub = scrub

    def commit(self, content: str, scope: str) -> str:
        """Keep a fact.

        Raises:
            ValueError: there is no such scope, or no platform for it.
            OSError: it could not be kept.
        """
        scope = _scope(scope)
        if scope == "LOCAL":
            return self._local.remember(content)
        self._need(scope).post(self._path(), {"content": self._scrub(content), "scope": scope})
        return f"Remembered in scope {scope}: {content}"

    def search(self, query: str, scope: str) -> str:
        """Find facts in which a text occurs, in any case; an empty one finds all.

        Raises:
            ValueError, OSError: as for `commit`.
        """
        scope = _scope(scope)
        if scope == "LOCAL":
            notes = self._local.recall().splitlines()
            found = [note for note in notes if query.lower() in note.lower()]
        else:
            asked = urlencode({"q": query, "scope": scope} if query else {"scope": scope})
            memories = self._need(scope).get(f"{self._path()}?{asked}")
            found = [
                str(item["content"]) for item in memories if isinstance(item, dict) and "content" in item
            ]
        return "\n".join(found[-MAX_FOUND:]) or "Nothing is remembered about that"

    def tools(self) -> tuple[Tool, ...]:
        """Return what an agent is offered."""
        scope = "LOCAL (only this workspace), TEAM (this workspace's team) or GLOBAL (all workspaces)"
        return (
            Tool(
                name="commit_memory",
                description="Keep a fact for later conversations, also for others if the scope says so.",
                parameters={"content": "the fact, in one sentence that is understood alone", "scope": scope},
                run=self.commit,
            ),
            Tool(
                name="search_memory",
                description="Find facts that were kept with commit_memory.",
                parameters={"query": "a text that occurs in them; empty for all", "scope": scope},
                run=self.search,
            ),
        )

    def _need(self, scope: str) -> PlatformClient:
        if self._platform is None:
            raise ValueError(
                f"scope {scope} needs the platform, and PLATFORM_URL or WORKSPACE_ID is not set; use LOCAL"
            )
        return self._platform

    def _path(self) -> str:
        return "" if self._platform is None else f"/workspaces/{self._platform.workspace_id}/memories"


def _scope(name: str) -> str:
    scope = name.strip().upper() or "LOCAL"
    if scope not in SCOPES:
        raise ValueError(f"there is no scope {name!r}; use {', '.join(SCOPES)}")
    return scope
