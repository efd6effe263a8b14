"""The indexes of the tests behave as public ones do: a password, no second file under a name, seen from containers."""

import subprocess
import sys
import zipfile
from pathlib import Path

import docker
import pytest

from tests.parts.engine import gateway
from tests.parts.index import Index, running_devpi
from tests.parts.servers import Process, status_of


def wheel(folder: Path, name: str, note: str) -> Path:
    """The smallest wheel that an index takes."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: {note}\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


def upload(index: Index, file: Path, *, password: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "twine", "upload", "--disable-progress-bar", "--non-interactive"]
    command += [
        "--repository-url",
        index.upload_url,
        "-u",
        index.username,
        "-p",
        password or index.password,
        str(file),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(params=["pypiserver", "devpi"])
def index(request: pytest.FixtureRequest) -> Index:
    found: Index = request.getfixturevalue(request.param)
    return found


def test_an_upload_needs_the_password(index: Index, tmp_path: Path) -> None:
    refused = upload(index, wheel(tmp_path, "wsr_refused", "x"), password="wrong")  # noqa: S106
    assert refused.returncode != 0
    assert index.files("wsr-refused") == {}


def test_a_name_keeps_its_first_bytes(index: Index, tmp_path: Path) -> None:
    done = upload(index, wheel(tmp_path, "wsr_kept", "first"))
    assert done.returncode == 0, done.stdout + done.stderr
    before = index.files("wsr-kept")
    assert list(before) == ["wsr_kept-1.0-py3-none-any.whl"]
    again = upload(index, wheel(tmp_path, "wsr_kept", "second"))
    assert again.returncode != 0
    assert index.files("wsr-kept") == before


def test_devpi_passes_on_the_public_index_and_pypiserver_does_not(devpi: Index, pypiserver: Index) -> None:
    assert any(name.endswith(".whl") for name in devpi.files("iniconfig"))
    assert pypiserver.files("iniconfig") == {}


def test_containers_reach_the_same_url(
    index: Index, engine: str, base_image: str, docker_prefix: str
) -> None:
    client = docker.DockerClient(base_url=engine)
    asks = f"import urllib.request as r; print(r.urlopen({index.simple_url!r} + 'iniconfig/').status)"
    network = client.networks.create(f"{docker_prefix}net")
    try:
        answer = client.containers.run(
            base_image, ["python", "-c", asks], name=f"{docker_prefix}asks", network=network.name, remove=True
        )
    except docker.errors.ContainerError as error:
        # pypiserver knows no such project and says so: that is an answer too.
        answer = str(error.stderr).encode()
    finally:
        client.close()
    assert b"200" in answer or b"HTTP Error 404" in answer


@pytest.mark.long
def test_the_index_of_a_killed_run_is_gone_when_devpi_starts_again(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # a server of this test's own
    address = gateway(engine)
    with running_devpi(address=address, keep=True) as index:
        assert upload(index, wheel(tmp_path, "wsr_swept", "x")).returncode == 0
    server = Process.saved(tmp_path / "cache" / "workspace-runtime" / "devpi" / "server.process")
    assert server is not None
    server.end()
    with running_devpi(address=address) as fresh:
        old = fresh.simple_url.replace(fresh.username, index.username)
        assert status_of(old) == 404
        assert status_of(fresh.simple_url) == 200
