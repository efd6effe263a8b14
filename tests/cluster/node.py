"""Starts and stops a cluster of one node in a state folder that nobody else uses meanwhile."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.cluster import control_groups, daemons, network
from tests.cluster.api import Api
from tests.cluster.build import link_programs, pause
from tests.cluster.certificates import make_certificates
from tests.cluster.configuration import PAUSE_IMAGE, write_configuration
from tests.cluster.images import push_program
from tests.cluster.place import NODE, Place
from tests.cluster.storage import provide_storage
from tests.cluster.traces import mounts, remove_all, remove_traces
from tests.parts.ground import PartError, cache_dir

_SECONDS = 60.0
_KEPT = "kept"


class InUseError(PartError):
    """Another process uses a state folder."""


def home() -> Path:
    """The folder of all clusters of this user; each has a folder in it, and a lock beside that."""
    return cache_dir("cluster")


@contextmanager
def alone(place: Place) -> Iterator[None]:
    """Use a state folder alone until the block, or this process, ends.

    Raises:
        InUseError: somebody else does.
    """
    place.root.parent.mkdir(parents=True, exist_ok=True)
    with place.root.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(
                f"Another run uses the cluster in {place.root}. Wait for its end, or use another folder."
            ) from None
        yield


def running(place: Place) -> bool:
    """Whether anything of the cluster runs, or is left of one that was killed."""
    return control_groups.inhabited(place) or place.namespace.exists() or bool(mounts(place))


def start(place: Place, *, say: Callable[[str], None] = lambda _: None) -> None:
    """Start the cluster over what its folder holds, from the first process to a node that takes pods.

    Raises:
        PartError: it runs already, or a part of it does not come up; then nothing of it is left running.
    """
    if os.geteuid() != 0:
        raise PartError(
            "A cluster needs root: network namespaces, mounts and control groups. Run this as root."
        )
    if running(place):
        raise PartError(
            f"A cluster runs in {place.root} already. Use it, or stop it first: python -m tests.cluster stop"
        )
    say("getting programs ready")
    link_programs(place)
    pause_program = pause()
    make_certificates(place)
    write_configuration(place)
    try:
        _launch(place, pause_program, say)
    except BaseException:
        remove_traces(place)
        raise


def _launch(place: Place, pause_program: Path, say: Callable[[str], None]) -> None:
    control_groups.create(place)
    network.create(place)
    for name in daemons.SERVERS:
        daemons.start(place, name)
    daemons.wait(place, "etcd")
    daemons.start(place, "apiserver")
    for name in daemons.SERVERS:
        daemons.wait(place, name)
    push_program(f"{place.registries()[0]}/{PAUSE_IMAGE}", pause_program)
    say("registry, index and git server answer")
    api = administrator(place)
    wait_for_api(place, api)
    say("the API server answers")
    for name in daemons.AGENTS:
        daemons.start(place, name)
    provide_storage(api, place)
    daemons.wait(place, "dns")
    _until(place, lambda: _ready(api), f"node {NODE} is not Ready", log="kubelet")
    _until(place, lambda: _has_account(api), "the default ServiceAccount is not there", log="controllers")
    say(f"node {NODE} is Ready")


def stop(place: Place) -> None:
    """Stop the cluster, also one that was killed; its folder keeps what a start finds again."""
    remove_traces(place)


def wipe(place: Place) -> None:
    """Stop the cluster and remove its folder."""
    remove_all(place)


def keep(place: Place) -> None:
    """Note that it may outlive the process that started it, until it is wiped."""
    (place.root / _KEPT).touch()


def sweep() -> None:
    """Remove what killed runs left: clusters that nobody uses and that were not to be kept."""
    for lock in home().glob("*.lock"):
        place = Place(lock.with_suffix(""))
        with suppress(InUseError), alone(place):
            if place.root.exists() and not (place.root / _KEPT).exists():
                wipe(place)


def administrator(place: Place) -> Api:
    """The cluster's API server as processes of this machine reach it."""
    return Api(
        f"https://127.0.0.1:{place.ports()['api']}",
        place.certificate_file("ca"),
        place.certificate_file("admin"),
        place.key_file("admin"),
    )


def wait_for_api(place: Place, api: Api) -> None:
    """Return when the API server is ready for requests.

    Raises:
        PartError: it is not in time.
    """
    _until(place, lambda: api.ask("/readyz")[0] == 200, "the API server is not ready", log="apiserver")


def _ready(api: Api) -> bool:
    conditions = _seen(api, f"/api/v1/nodes/{NODE}").get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _has_account(api: Api) -> bool:
    return bool(_seen(api, "/api/v1/namespaces/default/serviceaccounts/default"))


def _seen(api: Api, path: str) -> dict[str, Any]:
    status, document = api.ask(path)
    if status != HTTPStatus.OK:
        raise OSError(f"{path} answered {status}: {document.get('message')}")
    return dict(document)


def _until(place: Place, holds: Callable[[], bool], problem: str, *, log: str) -> None:
    deadline = time.monotonic() + _SECONDS
    last = ""
    while True:
        try:
            if holds():
                return
        except OSError as error:
            last = f" ({error})"
        if time.monotonic() > deadline:
            file = place.log(log)
            raise PartError(
                f"{problem} after {_SECONDS:.0f} s{last}; the end of {file}:\n{file.read_text()[-1500:]}"
            )
        time.sleep(0.05)
