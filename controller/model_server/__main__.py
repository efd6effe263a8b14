"""`python -m controller.model_server`: the stand-in model beside one candidate, in the pod in which that is proven."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from controller.model_server.beside import Beside, Place


def main() -> None:
    """Stand beside the candidate until the pod ends."""
    parser = argparse.ArgumentParser("python -m controller.model_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="where the candidate finds its model")
    parser.add_argument("--control-port", type=int, required=True, help="where the pod's maker asks")
    parser.add_argument("--authorized", required=True, help="SHA-256 of the word that the pod's maker sends")
    parser.add_argument(
        "--given", type=Path, required=True, help="folder of the configuration as it is given"
    )
    parser.add_argument("--configs", type=Path, required=True, help="folder that the candidate finds it in")
    asyncio.run(_stand(Place(**vars(parser.parse_args()))))


async def _stand(place: Place) -> None:
    beside, ended = Beside(place), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await beside.listen()
    await ended.wait()
    await beside.close()


main()
