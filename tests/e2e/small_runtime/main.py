"""A workspace runtime in small, for tests of the whole chain: keeps a workspace's promises and boots in milliseconds.

It is source for the builder, as `workspace/` is: bare imports, standard library only.
"""

import os
import signal
import sys


def main_sync() -> None:
    """Serve, or ask the one that serves: `molecule-runtime ctl status|drain|resume`."""
    if sys.argv[1:2] == ["ctl"]:
        import control  # noqa: PLC0415 - `ctl` is run in every container, and must be quick

        sys.exit(control.ask(sys.argv[2:]))
    import boot_checks  # noqa: PLC0415 - `ctl` needs none of these
    import server  # noqa: PLC0415
    from adapters import get_adapter  # noqa: PLC0415

    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(0)
    )  # the first process of a container has no default for it
    sys.stderr.write(f"starting as {os.environ.get('WORKSPACE_ID')}\n")
    boot_checks.check()
    server.serve(get_adapter())
