"""How a candidate is booted at the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from controller.api.field_error import FieldError
from controller.api.patterns import VARIABLE_PATTERN
from controller.api.quantity import CPU, MEMORY, memory_bytes, nano_cpus
from controller.api.v1alpha1._base import ConfigMapName, Document, matched


def _checked_by(read: Callable[[object], int]) -> Callable[[object], object]:
    """Return what refuses in one sentence what `read` cannot read, and keeps the rest as it was typed."""

    def checked(value: object) -> object:
        read(value)
        return value

    return checked


Cpu = Annotated[
    str | int | float,
    Field(json_schema_extra=matched(CPU.pattern)),
    BeforeValidator(_checked_by(nano_cpus)),
]
Memory = Annotated[
    str | int,
    Field(json_schema_extra=matched(MEMORY.pattern)),
    BeforeValidator(_checked_by(memory_bytes)),
]


class EnvironmentVariable(Document):
    """One environment variable of a probe."""

    name: Annotated[str, Field(pattern=VARIABLE_PATTERN, max_length=256)]
    """The variable's name."""
    value: Annotated[str, Field(max_length=32_768)] = ""
    """What it holds; never a secret: whoever may read the object reads it."""


def _named_once(variables: list[EnvironmentVariable]) -> list[EnvironmentVariable]:
    names = [variable.name for variable in variables]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise FieldError(f"{name!r} stands twice; keep one", number, "name")
    return variables


class Limits(Document):
    """The most that a candidate may use."""

    cpu: Cpu | None = None
    """CPU time, as in 500m or 2; default: no limit."""
    memory: Memory | None = None
    """Memory, as in 512Mi; a candidate that needs more is killed and fails. Default: no limit."""


class Resources(Document):
    """What a candidate may use."""

    limits: Limits = Limits()


class SecurityContext(Document):
    """As whom and on what a candidate runs."""

    run_as_user: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """The numeric user; default: the image's own."""
    read_only_root_filesystem: bool = False
    """A read-only root file system with a tmpfs on /tmp and /run, as tier-limited workspaces have; /configs stays
    writable."""


class Probe(Document):
    """How a candidate is booted at the gate: as production boots it."""

    model: Literal["Required", "WithoutTools", "None"] = "Required"
    """What the candidate must do with a model, which a stand-in plays. Required: call it, run a tool for it, and carry on
    the conversation. WithoutTools: the same without a tool. None: nothing; the gate then cannot see an agent that does
    not reach its model or forgets what was said, and the candidate may reach the network."""
    config_map_name: ConfigMapName | None = None
    """The ConfigMap of the object's namespace whose files are in `/configs`, in place of a `config.yaml` that only names
    the workspace; where candidates are booted in a cluster."""
    env: Annotated[list[EnvironmentVariable], Field(max_length=100), AfterValidator(_named_once)] = []
    """Environment beside the image's own and beside the addresses and keys of the stand-in, which it overrides."""
    resources: Resources = Resources()
    security_context: SecurityContext = SecurityContext()
