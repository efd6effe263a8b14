"""What tests of replacements share: orders, and a process that kills itself at a chosen boundary of a step."""

import asyncio
import multiprocessing
import os
import signal

from controller.act.replace import replace
from controller.clients.docker import DockerEngine
from controller.model.errors import Transient
from controller.model.replacement import Boundary, ReplaceOrder, ReplaceResult, WantedImage
from tests.parts.stand_in import StandInImage

TEMPLATE = "echo"
_CRASH_SECONDS = 60


def order(name: str, image: StandInImage, **more: object) -> ReplaceOrder:
    """An order for a stand-in image, with deadlines for tests."""
    wanted = WantedImage(image.reference, image.id, image.version, image.content_sha256, TEMPLATE)
    short = {"drain_timeout_seconds": 5.0, "start_deadline_seconds": 5.0, "stop_grace_seconds": 1}
    return ReplaceOrder(name, wanted, **(short | more))  # type: ignore[arg-type]  # each test names fields of the order


async def pause(engine: DockerEngine, container: str) -> None:
    """Pause it; on a loaded machine the freezer of cgroup v1 gives up now and then ("unable to freeze")."""
    for attempts_left in range(5, -1, -1):
        try:
            await engine.pause(container)
        except Transient:
            if not attempts_left:
                raise
            await asyncio.sleep(0.2)
        else:
            return


class Crash:
    """Kills this process, as `kill -9` does, when `step` is reached."""

    def __init__(self, step: str, boundary: Boundary) -> None:
        self._at = (step, boundary)

    def __call__(self, step: str, boundary: Boundary) -> None:
        """Be told of a step."""
        if (str(step), boundary) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def replace_until(endpoint: str, wanted: ReplaceOrder, step: str, boundary: Boundary) -> None:
    """Run a replacement in this process until it kills itself; to be run in a process of its own."""

    async def run() -> ReplaceResult:
        async with DockerEngine(endpoint) as engine:
            return await replace(engine, wanted, on_step=Crash(step, boundary))

    asyncio.run(run())


async def crash(endpoint: str, wanted: ReplaceOrder, step: str, boundary: Boundary) -> bool:
    """Whether a replacement in a process of its own came to that boundary and was killed there."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=replace_until, args=(endpoint, wanted, step, boundary))
    process.start()
    await asyncio.to_thread(process.join, _CRASH_SECONDS)
    if process.is_alive():
        process.kill()
        raise TimeoutError(f"the replacement of {wanted.name} came to no end within {_CRASH_SECONDS} s")
    return process.exitcode == -signal.SIGKILL
