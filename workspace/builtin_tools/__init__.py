"""Tools that every agent has, whatever its framework."""

from collections.abc import Callable
from pathlib import Path

from builtin_tools.audit import AuditLedger
from builtin_tools.delegation import Delegations
from builtin_tools.memory import Memory
from builtin_tools.shared_memory import ScopedMemory
from builtin_tools.tool import Tool
from platform_client import PlatformClient

__all__ = ["Tool", "builtin_tools"]


def builtin_tools(
    config_folder: Path, *, platform: PlatformClient | None, scrub: Callable[[str], str]
) -> tuple[Tool, ...]:
    """Return the tools of a workspace whose state is in `config_folder`; each use of them is in the audit ledger."""
    memory = Memory(config_folder)
    offered = (
        *memory.tools(),
        *ScopedMemory(memory, platform, scrub).tools(),
        *Delegations(config_folder, platform, scrub).tools(),
    )
    ledger = AuditLedger(config_folder, scrub)
    return tuple(ledger.watch(tool) for tool in offered)
