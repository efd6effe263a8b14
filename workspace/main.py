"""Entry of the console script `molecule-runtime`, which imports only what the command at hand needs.

Commands: none serves the workspace; `ctl status|drain|resume` asks the one that runs in this container;
`preflight` checks configuration and adapter; `mcp` serves the built-in tools over stdio; `audit` verifies what they did; `--version` prints version, content digest and commit.
"""

import gc
import os
import sys

USAGE = """usage: molecule-runtime [ctl status | ctl drain [--timeout SECONDS] | ctl resume | preflight | mcp | audit [DIGEST] | --version]

Without arguments: serve this workspace. Exit codes: 0 stopped as asked, 1 failed, 2 wrong use,
70 the image is built wrongly, 71 the port is taken, 78 the workspace is configured wrongly.
"""


def main_sync(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; `arguments` defaults to the command line's.

    Serving ends the process itself: when the snapshot is written and the last answer sent, nothing is left
    that tearing the interpreter down would do, except wait for threads of an agent framework.
    """
    match sys.argv[1:] if arguments is None else arguments:
        case ["ctl", *rest]:
            import ctl  # noqa: PLC0415 - run by exec in every container, so the fast path

            return ctl.main(rest)
        case []:
            # Nothing that is imported becomes garbage; looking for it takes a tenth of the start.
            gc.disable()
            from boot import serve  # noqa: PLC0415 - only serving pays for it

            code = serve()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        case ["preflight"]:
            from boot import check  # noqa: PLC0415 - as above

            return check()
        case ["mcp"]:
            from a2a_mcp_server import main  # noqa: PLC0415 - as above

            return main()
        case ["audit", *rest]:
            from builtin_tools.audit import main as audit  # noqa: PLC0415 - as above

            return audit(rest)
        case ["--version"]:
            from identity import read_identity  # noqa: PLC0415 - as above

            identity = read_identity()
            commit = identity.commit or "unknown"
            sys.stdout.write(f"{identity.package} {identity.version} {identity.content_sha256} {commit}\n")
            return 0
        case ["--help" | "-h"]:
            sys.stdout.write(USAGE)
            return 0
        case _:
            sys.stderr.write(USAGE)
            return 2


if __name__ == "__main__":
    sys.exit(main_sync())
