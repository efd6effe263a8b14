"""An image that the stand-in model beside a candidate runs from: our own code and what it imports, as the operator's has both."""

import importlib.util
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from tests.parts.build_context import build_context
from tests.parts.ground import REPOSITORY

_IMPORTED = (
    "aiohappyeyeballs",
    "aiohttp",
    "aiosignal",
    "attr",
    "frozenlist",
    "idna",
    "multidict",
    "propcache",
    "typing_extensions",
    "yarl",
)
_DOCKERFILE = "FROM {base}\nCOPY site /opt/site\nENV PYTHONPATH=/opt/site\nUSER 65532\n"


@contextmanager
def stand_in_image(engine: str, base: str) -> Iterator[str]:
    """Give the name of that image in an engine."""
    places = {f"site/{place.name}": place for place in (REPOSITORY / "controller", *map(_place, _IMPORTED))}
    context = build_context(_DOCKERFILE.format(base=base), places, filter=_without_byte_code)
    name = f"wsr-probe-tests/model:{secrets.token_hex(4)}"
    client = docker.DockerClient(base_url=engine, timeout=300)
    try:
        client.images.build(fileobj=context, custom_context=True, tag=name, rm=True)
        yield name
        client.images.remove(name, force=True)
    finally:
        client.close()


def _place(module: str) -> Path:
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    origin = Path(found.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _without_byte_code(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.name.endswith("__pycache__") else entry
