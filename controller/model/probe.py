"""Nouns of the gate: what to boot, how, and how it can turn out."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CONFIGS: Final = "/configs"
"""Where a candidate finds its configuration, in a folder that any user may write to."""


class ProbeReason(enum.StrEnum):
    """Why a candidate did not pass; each calls for something else from whoever reads it."""

    EXITED_AT_ONCE = "ExitedAtOnce"
    """The process ended, or could not be started, before it was ready."""
    BAD_CONFIGURATION = "BadConfiguration"
    """The runtime itself says that its configuration is wrong, or its model refused its key: the probe's settings, not
    the image."""
    NEVER_READY = "NeverReady"
    """The agent card was not served before the start deadline."""
    WRONG_VERSION = "WrongVersion"
    """`/runtime` reports another version or content, or is not there."""
    TURN_FAILED = "TurnFailed"
    """The agent answered the card and then failed a turn."""
    TIMED_OUT = "TimedOut"
    """A turn got no answer before its deadline: slow is not passed."""
    NO_MODEL_CALL = "NoModelCall"
    """The agent answered without having asked its model."""
    NO_TOOL_USE = "NoToolUse"
    """The agent offered its model no tool that gives a word back, or did not run it, or lost what it returned."""
    FORGOT_CONVERSATION = "ForgotConversation"
    """The second turn's answer does not have what the first turn brought."""


class ModelUse(enum.StrEnum):
    """What a candidate must do with its model."""

    REQUIRED = "Required"
    WITHOUT_TOOLS = "WithoutTools"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How production boots this template, as far as the document says it.

    `files` go into `/configs` by name, or those of `config_map` in their place. `user` is as in `docker run --user`; None
    is the image's own.
    """

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, bytes] = field(default_factory=lambda: {"config.yaml": b"name: probe\n"}, repr=False)
    config_map: str | None = None
    user: str | None = None
    read_only_root: bool = False
    memory_bytes: int | None = None
    nano_cpus: int | None = None
    port: int = 8000


@dataclass(frozen=True, slots=True)
class ProbeOrder:
    """One candidate to prove.

    `owner` is the object (`namespace/name`), `image` a reference or id, `digests` what the place that boots it may call
    it by, and `platform` what it is booted on, None for the place's own. Deadlines are in seconds: the first from the start
    of the process until it is ready, the second for each turn.
    """

    owner: str
    template: str
    image: str
    version: str
    content_sha256: str
    start_deadline_seconds: float
    digests: frozenset[str] = frozenset()
    platform: str | None = None
    turn_deadline_seconds: float = 300.0
    model: ModelUse = ModelUse.REQUIRED
    settings: ProbeSettings = field(default_factory=ProbeSettings)


def candidate_environment(order: ProbeOrder) -> Mapping[str, str]:
    """Return what a candidate's environment is: as of any workspace, and what `order` says wins."""
    own = {"WORKSPACE_ID": f"probe-{order.template}", "WORKSPACE_CONFIG_PATH": CONFIGS}
    return {**own, **order.settings.environment}


class Failed(Exception):  # noqa: N818 -- an outcome on its way out, not an error
    """The candidate does not pass; `what` completes "the candidate …"."""

    def __init__(self, reason: ProbeReason, what: str, *, exit_code: int | None = None) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class ProbePassed:
    """The candidate booted, reported what was built, and answered two turns.

    `memory_bytes` is what it used while it answered the second; `model_calls` how often it asked its model.
    """

    template: str
    boot_seconds: float
    turn_seconds: tuple[float, float]
    memory_bytes: int | None
    model_calls: int = 0


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """The candidate did not pass. `message` is one line that names template and error; no secret is in here."""

    template: str
    reason: ProbeReason
    message: str
    log_tail: tuple[str, ...] = ()
    exit_code: int | None = None

    @property
    def told(self) -> str:
        """What records and conditions say: the reason, which programs read, before the message."""
        return f"{self.reason}: {self.message}"
