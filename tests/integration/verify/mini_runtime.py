"""A workspace of the standard library alone, which serves what `verify` asks for and misbehaves as its text says.

It is a template: CASE and the identity are put in where a wheel or a script is made of it.
"""

from pathlib import Path

from tests.parts.small_wheel import make_wheel

TEXT = """\
import json, os, signal, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CASE = "@CASE@"
IDENTITY = @IDENTITY@
SAID = {}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/runtime" and CASE != "no identity":
            self.answer(IDENTITY)
        elif self.path == "/.well-known/agent-card.json" and CASE != "never ready":
            self.answer({"name": "mini"})
        else:
            self.answer("later", 503)

    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (call["method"], self.path, self.headers["A2A-Version"]) == ("SendMessage", "/", "1.0")
        message = call["params"]["message"]
        text = message["parts"][0]["text"]
        context = message.get("contextId") or "c1"
        if CASE == "dies in a turn":
            os._exit(9)
        before, SAID[context] = SAID.get(context, ""), text
        said = f"you said before: {before}" if text == "recall" else f"echo: {text}"
        state = "TASK_STATE_FAILED" if CASE == "fails a turn" else "TASK_STATE_COMPLETED"
        context = "another" if CASE == "forgets" else context
        task = {"contextId": context, "status": {"state": state}, "artifacts": [{"parts": [{"text": said}]}]}
        self.answer({"result": {} if CASE == "no task" else {"task": task}})

    def answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main_sync():
    if CASE == "leaves a child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", os.getcwd()])
        sys.exit(1)
    if CASE == "hangs":
        time.sleep(600)
    if CASE == "says why":
        print("Configuration error: x is wrong")
        sys.exit(78)
    if CASE == "tells":
        print(json.dumps({"cwd": os.getcwd(), "in": os.listdir(), "environment": dict(os.environ)}))
        sys.exit(1)
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    codes = {"wrong exit code": 3}
    def stop(*_):
        if CASE != "does not stop":
            print("stopping", flush=True)
            os._exit(codes.get(CASE, 0))
    if CASE != "killed by the signal":
        signal.signal(signal.SIGTERM, stop)
    server.serve_forever()
"""


def mini_runtime(case: str = "", *, identity: str = "{}") -> str:
    """Its `main.py`; `identity` is the expression for what it says at `/runtime`."""
    return TEXT.replace("@CASE@", case).replace("@IDENTITY@", identity)


HONEST = """dict(
    version=__import__("importlib.metadata").metadata.version("molecule-ai-workspace-runtime"),
    contentSha256=__import__("molecule_runtime.own", fromlist=["own"]).content_sha256(),
)"""
OWN = """\
import hashlib, pathlib

def content_sha256():
    folder = pathlib.Path(__file__).parent
    names = sorted(f"molecule_runtime/{path.name}" for path in folder.glob("*.py"))
    lines = (f"{hashlib.sha256((folder.parent / name).read_bytes()).hexdigest()} {name}\\n" for name in names)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
"""
"""The digest by code of its own, as the runtime computes it."""


def mini_wheel(
    folder: Path, version: str = "1.0", *, case: str = "", code: str = "", requires: tuple[str, ...] = ()
) -> Path:
    """A wheel of it that reports honestly, with `code` as `more.py`."""
    files = {"main.py": mini_runtime(case, identity=HONEST), "own.py": OWN, "more.py": code}
    return make_wheel(folder, version, files=files, requires=requires).path


def running(folder: Path) -> list[str]:
    """Words in the command lines of live processes that name something in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        found += [word for word in command if word.startswith(str(folder))]
    return found
