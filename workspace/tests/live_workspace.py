"""Start real workspaces on loopback, from the bare tree or from an installed wheel.

`WORKSPACE_RUNTIME_PYTHON` names the interpreter of an environment in which the wheel is installed; every
test then runs against its console script. Without it the tests run against this folder as it is.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

SOURCE = Path(__file__).resolve().parents[1]
INSTALLED = os.environ.get("WORKSPACE_RUNTIME_PYTHON")
PACKAGE = "molecule_runtime." if INSTALLED else ""
START_SECONDS = 30.0
CARD = "/.well-known/agent-card.json"


def _site_packages(interpreter: str) -> str:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return subprocess.run(
        [interpreter, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


# Where the runtime's own modules are looked up; their dependencies come from beside pytest.
MODULES = _site_packages(INSTALLED) if INSTALLED else str(SOURCE)


# One client for all, since making one costs as much as ten requests; it keeps no connection open, which would
# give a stopping workspace something to do.
HTTP = httpx.Client(timeout=60, headers={"Connection": "close"})


@dataclass
class Workspace:
    """One started process and how to reach it."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    environ: dict[str, str]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def get(self, path: str) -> httpx.Response:
        return HTTP.get(f"{self.url}{path}")

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = self.get("/runtime").json()
        return document

    def rpc(self, method: str, params: object, **headers: str) -> httpx.Response:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        return HTTP.post(self.url, json=body, headers={"A2A-Version": "1.0", **headers})

    def say(self, text: str, context: str | None = None, **configuration: object) -> httpx.Response:
        message = {"messageId": text, "role": "ROLE_USER", "parts": [{"text": text}]}
        if context is not None:
            message["contextId"] = context
        return self.rpc("SendMessage", {"message": message, "configuration": configuration})

    def until(self, holds: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait for something that the process does by itself."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain\n{self.log}"
            time.sleep(0.02)

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command(), "ctl", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)


def command() -> list[str]:
    if INSTALLED:
        return [str(Path(INSTALLED).parent / "molecule-runtime")]
    return [sys.executable, str(SOURCE / "main.py")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Launcher:
    """Starts workspaces in folders of their own and ends what is left of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.started: list[Workspace] = []

    def environ(self, folder: Path, **extra: str) -> dict[str, str]:
        (folder / "configs").mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "ADAPTER_MODULE": f"{PACKAGE}adapters.echo",
            "WORKSPACE_CONFIG_PATH": str(folder / "configs"),
            "WORKSPACE_CONTROL_SOCKET": str(folder / "run" / "control.sock"),
            "PORT": str(free_port()),
            "PYTHONDONTWRITEBYTECODE": "",
            **extra,
        }

    def __call__(
        self,
        *,
        config: str = "",
        adapter: str = "",
        folder: Path | None = None,
        wait: bool = True,
        **extra: str,
    ) -> Workspace:
        """Start a workspace; `adapter` is the text of an adapter.py in its working directory."""
        folder = folder or self.root / f"w{len(self.started)}"
        environ = self.environ(folder, **extra)
        if config:
            (folder / "configs" / "config.yaml").write_text(config)
        if adapter:
            environ["ADAPTER_MODULE"] = "adapter"
            (folder / "adapter.py").write_text(adapter.replace("from adapters", f"from {PACKAGE}adapters"))
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(command(), env=environ, cwd=folder, stderr=log, stdout=log)
        workspace = Workspace(process, f"http://127.0.0.1:{environ['PORT']}", folder, environ)
        self.started.append(workspace)
        if wait:
            self.await_card(workspace)
        return workspace

    def await_card(self, workspace: Workspace) -> None:
        def ready() -> bool:
            assert workspace.process.poll() is None, (
                f"ended with {workspace.process.returncode}\n{workspace.log}"
            )
            with contextlib.suppress(httpx.TransportError):
                return workspace.get(CARD).status_code == 200
            return False

        workspace.until(ready, START_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """End what still runs, also when a workspace never got ready."""
        for workspace in self.started:
            if workspace.process.poll() is None:
                workspace.process.kill()
                workspace.process.wait()
