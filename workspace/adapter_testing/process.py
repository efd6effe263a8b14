"""A workspace on loopback: the installed runtime, the adapter of one template, a config folder of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

RUNTIME = Path(sys.executable).parent / "molecule-runtime"
START_SECONDS = 60
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Workspace:
    """Use it as a context; `start` and `stop` may follow each other in it. All it has is below `folder`."""

    def __init__(self, template: Path, folder: Path, config: str, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._template = template
        (folder / "configs").mkdir(parents=True)
        (folder / "configs" / "config.yaml").write_text(config)
        for name in ("home", "tmp", "work"):
            (folder / name).mkdir()
        self.environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = _free_port()

    def environ(self) -> dict[str, str]:
        return {
            "PATH": f"{RUNTIME.parent}:{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONPATH": str(self._template),
            "ADAPTER_MODULE": "adapter",
            "WORKSPACE_CONFIG_PATH": str(self.folder / "configs"),
            "WORKSPACE_CONTROL_SOCKET": str(self.folder / "control.sock"),
            "PORT": str(self._port),
            **self.environment,
        }

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(RUNTIME)], env=self.environ(), cwd=self.folder / "work", stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, f"ended with {self._process.returncode}\n{self.log}"
            with suppress(OSError):
                if self.status()["state"] == "serving":
                    return
            assert time.monotonic() < deadline, f"not ready\n{self.log}"
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(30)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def status(self) -> dict[str, Any]:
        with _OPENER.open(f"http://127.0.0.1:{self._port}/runtime", timeout=10) as answer:
            document: dict[str, Any] = json.load(answer)
            return document

    def until(self, *, active: int) -> None:
        self.eventually(lambda: self.status()["activeTasks"] == active)

    def eventually(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain\n{self.log}"
            time.sleep(0.02)

    def ctl(self, *arguments: str) -> dict[str, Any]:
        command = [str(RUNTIME), "ctl", *arguments]
        done = subprocess.run(command, env=self.environ(), check=True, capture_output=True, timeout=30)
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def say(self, text: str, context: str = "", *, wait: bool = True) -> dict[str, Any]:
        """Send a message and return its task; without `wait` as soon as there is one."""
        configuration = {"returnImmediately": not wait}
        result: dict[str, Any] = self.rpc("SendMessage", _message(text, context), configuration)["task"]
        return result

    def stream(self, text: str, context: str = "") -> Iterator[str]:
        """Send a message and yield the pieces of its answer as they come."""
        body = _call("SendStreamingMessage", {"message": _message(text, context)["message"]})
        with _OPENER.open(self._request(body), timeout=60) as answer:
            for line in answer:
                if line.startswith(b"data:"):
                    event = json.loads(line[5:])["result"]
                    if "artifactUpdate" in event:
                        yield reply(event["artifactUpdate"]["artifact"])

    def rpc(
        self, method: str, params: Mapping[str, Any], configuration: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        body = _call(method, {**params, **({"configuration": configuration} if configuration else {})})
        with _OPENER.open(self._request(body), timeout=120) as answer:
            document: dict[str, Any] = json.load(answer)
        assert "error" not in document, f"{document}\n{self.log}"
        result: dict[str, Any] = document["result"]
        return result

    def refusal(self, text: str) -> int:
        """Send a message that is not taken, and return the HTTP status."""
        try:
            self.say(text)
        except urllib.error.HTTPError as error:
            return error.code
        raise AssertionError("the message was taken")

    def _request(self, body: bytes) -> urllib.request.Request:
        headers = {"Content-Type": "application/json", "A2A-Version": "1.0"}
        return urllib.request.Request(f"http://127.0.0.1:{self._port}/", data=body, headers=headers)


def state(task: Mapping[str, Any]) -> str:
    """Return the state of a task, in lower case."""
    return str(task["status"]["state"]).removeprefix("TASK_STATE_").lower()


def reply(holder: Mapping[str, Any]) -> str:
    """Return the text of a task's answer, of an artifact, or of a message."""
    if "artifacts" in holder:
        return "".join(reply(artifact) for artifact in holder["artifacts"])
    return "".join(part.get("text", "") for part in holder.get("parts", []))


def complaint(task: Mapping[str, Any]) -> tuple[str, str]:
    """Return whose fault a failed task is, and what it says."""
    message = task["status"]["message"]
    return message.get("metadata", {}).get("molecule.failure", ""), reply(message)


def _message(text: str, context: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "messageId": f"m{time.monotonic_ns()}",
        "role": "ROLE_USER",
        "parts": [{"text": text}],
    }
    return {"message": {**message, **({"contextId": context} if context else {})}}


def _call(method: str, params: Mapping[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
