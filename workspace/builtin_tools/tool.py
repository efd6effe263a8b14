"""What a tool is, whatever framework offers it to a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One thing that an agent can do.

    Attributes:
        description: for the model: what it does and when to use it.
        parameters: what each argument means, by name. All of them are texts, and all are required.
        run: does it and returns what the model is told. It may block, so an event loop leaves it to a thread.
    """

    name: str
    description: str
    run: Callable[..., str]
    parameters: Mapping[str, str] = field(default_factory=dict)

    def problem(self, arguments: Mapping[str, object]) -> str | None:
        """Say what is wrong with arguments, for whoever wrote them; None if nothing is."""
        if missing := [name for name in self.parameters if name not in arguments]:
            return f"{self.name} needs {', '.join(missing)}"
        if unknown := [name for name in arguments if name not in self.parameters]:
            return f"{self.name} takes no {', '.join(unknown)}"
        if wrong := [name for name, value in arguments.items() if not isinstance(value, str)]:
            return f"{', '.join(wrong)} of {self.name} must be a text"
        return None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of its arguments."""
        return {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": meaning} for name, meaning in self.parameters.items()
            },
            "required": list(self.parameters),
            "additionalProperties": False,
        }
