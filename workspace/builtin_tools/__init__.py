"""Tools that every agent has, whatever its framework."""

from pathlib import Path

from builtin_tools.memory import Memory
from builtin_tools.tool import Tool

__all__ = ["Tool", "builtin_tools"]


def builtin_tools(config_folder: Path) -> tuple[Tool, ...]:
    """Return the tools of a workspace whose state is in `config_folder`."""
    return Memory(config_folder).tools()
