"""Runs turns on the Gemini CLI: one run of the program per turn, in the workspace's folder, with its own tools."""

import json
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from gemini_conversation import Conversation, Recorder
from gemini_process import GeminiProcess, running
from molecule_runtime.adapters import AdapterConfig, BaseAdapter
from molecule_runtime.adapters.base import Turn
from molecule_runtime.adapters.conversation_files import ConversationFiles
from molecule_runtime.adapters.endpoint import ModelEndpoint
from molecule_runtime.adapters.settings import model_name, work_folder

PROGRAM = "gemini"
ENDPOINT = ModelEndpoint(key_variable="GEMINI_API_KEY", url_variable="GOOGLE_GEMINI_BASE_URL")
DEFAULT_MODEL = "gemini-2.5-pro"
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
        self._model = model_name(config, DEFAULT_MODEL)
        self._conversations = ConversationFiles(config.config_folder / STATE_FOLDER)
        self._program = ""

    async def setup(self) -> None:
        """Find the program and make the folder of conversations."""
        program = shutil.which(PROGRAM)
        if program is None:
            raise FileNotFoundError(
                f"{PROGRAM} is not on PATH; the image must have the npm package @google/gemini-cli"
            )
        self._program = program
        self._folder = work_folder(self.config)
        self._conversations.open()

    async def execute(self, turn: Turn) -> AsyncIterator[str]:
        """Answer one message, as the model's words come in."""
        ENDPOINT.key()
        conversation = Conversation(self._conversations, turn)
        recorder = Recorder(turn.text)
        command = (self._program, f"--model={self._model}", *FLAGS)
        async with (
            running(
                command,
                settings=SETTINGS,
                session=json.dumps(conversation.document()),
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
        said = str((result.get("error") or {}).get("message") or "")
        status = next(map(int, _STATUS.findall(said)), None)
        errors = [line for line in process.errors if "Error" in line]
        if any("ModelNotFoundError" in line for line in errors):
            return ENDPOINT.missing()
        if "API_KEY_INVALID" in said or process.code == AUTHENTICATION_EXIT_CODE:
            return ENDPOINT.refused(status)
        if fault := ENDPOINT.fault(status):
            return fault
        return RuntimeError(
            f"{PROGRAM} ended with exit code {process.code}: {(said or '; '.join(errors))[-_TEXT_SHOWN:]}"
        )


Adapter = GeminiCliAdapter
