"""Runs turns on the Gemini CLI: one run of the program per turn, in the workspace's folder, with its own tools."""

import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from gemini_conversation import Conversation, Recorder
from gemini_process import GeminiProcess, running
from molecule_runtime.adapters import AdapterConfig, BaseAdapter
from molecule_runtime.adapters.base import AdapterConfigurationError, Turn

PROGRAM = "gemini"
KEY_VARIABLE = "GEMINI_API_KEY"
URL_VARIABLE = "GOOGLE_GEMINI_BASE_URL"
DEFAULT_MODEL = "gemini-2.5-pro"
DEFAULT_FOLDER = "/workspace"
STATE_FOLDER = "gemini"
FLAGS = ("--output-format=stream-json", "--skip-trust", "--approval-mode=yolo")
"""Nobody is there to approve a tool, and the container is the sandbox."""
SETTINGS: Mapping[str, Any] = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False, "maxAttempts": 4},
    "privacy": {"usageStatisticsEnabled": False},
}

AUTHENTICATION_EXIT_CODE = 41
_STATUS = re.compile(r'"code":\s*(\d{3})')
_TEXT_SHOWN = 500


class GeminiCliAdapter(BaseAdapter):
    """Gives each run the conversation so far, and keeps what it adds."""

    name = "gemini-cli"

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__(config)
        given = config.runtime_config
        self._model = str(given.get("model") or config.model or DEFAULT_MODEL)
        self._folder = Path(str(given.get("folder") or DEFAULT_FOLDER))
        self._conversations = config.config_folder / STATE_FOLDER
        self._program = ""

    async def setup(self) -> None:
        """Find the program and make the folder of conversations."""
        program = shutil.which(PROGRAM)
        if program is None:
            raise FileNotFoundError(
                f"{PROGRAM} is not on PATH; the image must have the npm package @google/gemini-cli"
            )
        self._program = program
        if not self._folder.is_dir():
            raise AdapterConfigurationError(
                f"{self._folder} is not a folder; mount one there, or name another as runtime_config.folder"
            )
        try:
            self._conversations.mkdir(exist_ok=True)
        except OSError as error:
            raise AdapterConfigurationError(
                f"{self._conversations} cannot be made: {error}; let this user write to its folder"
            ) from error

    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message, as the model's words come in."""
        if not os.environ.get(KEY_VARIABLE):
            raise AdapterConfigurationError(
                f"{KEY_VARIABLE} is not set; set it to a key of the model endpoint and restart"
            )
        conversation = Conversation(self._conversations, turn.context_id, turn.history)
        recorder = Recorder(turn.text)
        command = (self._program, f"--model={self._model}", *FLAGS)
        async with (
            running(
                command,
                settings=SETTINGS,
                session=conversation.document(),
                prompt=turn.text,
                folder=self._folder,
            ) as process,
            aclosing(process.events()) as events,
        ):
            async for event in events:
                if event.get("type") == "message" and event.get("role") == "assistant":
                    if recorder.said(str(event["content"])):
                        yield "\n\n"
                    yield str(event["content"])
                else:
                    recorder.take(event)
        if recorder.result.get("status") != "success":
            raise self._failure(process, recorder.result)
        if not recorder.spoke:
            raise RuntimeError(f"{PROGRAM} ended without an answer: {recorder.warning}")
        conversation.add(recorder.messages())

    def _failure(self, process: GeminiProcess, result: Mapping[str, Any]) -> Exception:
        """Tell what the owner must change from what failed on the way."""
        endpoint = os.environ.get(URL_VARIABLE) or "the model endpoint"
        said = str((result.get("error") or {}).get("message") or "")
        status = next(iter(_STATUS.findall(said)), "")
        if status in {"401", "403"} or "API_KEY_INVALID" in said or process.code == AUTHENTICATION_EXIT_CODE:
            return AdapterConfigurationError(
                f"{endpoint} refused the key in {KEY_VARIABLE}{f' with HTTP {status}' if status else ''}; "
                "put a key there that is valid for the model, and restart"
            )
        errors = [line for line in process.errors if "Error" in line]
        if any("ModelNotFoundError" in line for line in errors):
            return AdapterConfigurationError(
                f"{endpoint} answered HTTP 404; correct {URL_VARIABLE}, or model {self._model!r} in config.yaml"
            )
        return RuntimeError(
            f"{PROGRAM} ended with exit code {process.code}: {(said or '; '.join(errors))[-_TEXT_SHOWN:]}"
        )


Adapter = GeminiCliAdapter
