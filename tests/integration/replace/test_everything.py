"""One container with every kind of setting, replaced twice, compared field by field."""

import secrets
from pathlib import Path
from typing import Any

import docker
import pytest_asyncio
from docker.types import IPAMConfig, IPAMPool

from controller.act.replace import replace
from controller.api.names import LABEL_CREATE_SPEC, LABEL_REPLACES
from controller.clients.docker import DockerEngine
from controller.model.replacement import Replaced
from tests.parts.replacing import order
from tests.parts.stand_in import StandIns

DEFAULTS = """
ENV MODE=slow KEPT=same
LABEL vendor=us tier=one
WORKDIR /srv
USER root
STOPSIGNAL SIGTERM
VOLUME /image-volume
HEALTHCHECK --interval=30s --timeout=4s --retries=2 CMD ["true"]
"""
OTHER_DEFAULTS = """
ENV MODE=quick KEPT=changed ADDED=yes
LABEL vendor=them tier=two
WORKDIR /opt
USER nobody
STOPSIGNAL SIGINT
HEALTHCHECK --interval=60s --timeout=9s --retries=5 CMD ["false"]
"""


def networks(client: docker.DockerClient, prefix: str) -> tuple[str, str, str]:
    """Two networks of this test, and a fixed address in the second."""
    block = f"10.{secrets.randbelow(50) + 200}.{secrets.randbelow(250)}"
    client.networks.create(f"{prefix}blue")
    pool = IPAMPool(subnet=f"{block}.0/24")
    client.networks.create(f"{prefix}green", ipam=IPAMConfig(pool_configs=[pool]))
    return f"{prefix}blue", f"{prefix}green", f"{block}.77"


def body(image: str, prefix: str, *, folder: str, primary: str) -> dict[str, Any]:
    """A creation with everything that a workspace may have."""
    return {
        "Image": image,
        "Env": ["API_TOKEN=hunter2hunter2", "KEPT=same", "MODE=mine"],
        "Labels": {"molecule.platform.managed": "true", "tier": "one", "ring": "canary"},
        "WorkingDir": "/work",
        "User": "0:0",
        "StopSignal": "SIGTERM",
        "StopTimeout": 3,
        "Hostname": "agent-seven",
        "Entrypoint": ["/usr/bin/env", "LAUNCHED=yes"],
        "Cmd": ["molecule-runtime"],
        "Volumes": {"/anonymous": {}},
        "ExposedPorts": {"8000/tcp": {}, "9000/udp": {}},
        "Healthcheck": {"Test": ["CMD", "true", "mine"], "Interval": 7_000_000_000},
        "Tty": True,
        "OpenStdin": True,
        "HostConfig": {
            "Binds": [f"{prefix}named:/named", f"{folder}:/bound:ro"],
            "Mounts": [
                {"Type": "volume", "Target": "/mounted"},
                {"Type": "volume", "Source": f"{prefix}m", "Target": "/m"},
            ],
            "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4},
            "NetworkMode": primary,
            "Tmpfs": {"/run": "size=1m"},
            "ReadonlyRootfs": True,
            "Memory": 268435456,
            "MemoryReservation": 134217728,
            "NanoCpus": 1500000000,
            "PidsLimit": 100,
            "ShmSize": 8388608,
            "CapAdd": ["SYS_PTRACE"],
            "CapDrop": ["MKNOD"],
            "SecurityOpt": ["no-new-privileges"],
            "Devices": [
                {"PathOnHost": "/dev/null", "PathInContainer": "/dev/nowhere", "CgroupPermissions": "rwm"}
            ],
            "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 1024}],
            "Sysctls": {"net.core.somaxconn": "64"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}},
            "Dns": ["127.0.0.1"],
            "DnsOptions": ["ndots:1"],
            "DnsSearch": ["example"],
            "ExtraHosts": ["platform:127.0.0.1"],
            "GroupAdd": ["7"],
            "Init": True,
            "OomScoreAdj": 100,
        },
        "NetworkingConfig": {"EndpointsConfig": {primary: {"Aliases": ["agent", "seven"]}}},
    }


def settings(client: docker.DockerClient, name: str) -> dict[str, Any]:
    """What must be the same before and after, without what is an id or belongs to the image."""
    found = client.api.inspect_container(name)
    config, host = dict(found["Config"]), dict(found["HostConfig"])
    short = found["Id"][:12]
    config["Labels"] = {
        key: value for key, value in config["Labels"].items() if not key.startswith(("runtime.", "ai."))
    }
    config["Env"] = sorted(line for line in config["Env"] if not line.startswith(("RUNTIME_", "PATH")))
    endpoints = {
        network: {
            "Aliases": sorted(alias for alias in endpoint["Aliases"] or () if alias != short),
            "IPAMConfig": endpoint["IPAMConfig"] or None,
            "Links": endpoint["Links"],
        }
        for network, endpoint in found["NetworkSettings"]["Networks"].items()
    }
    mounts = sorted(
        (m["Type"], m.get("Name", m.get("Source")), m["Destination"], m["RW"]) for m in found["Mounts"]
    )
    for changing in ("Image", "Volumes"):
        config.pop(changing)
    for changing in ("Binds", "Mounts"):
        host.pop(changing)
    return {
        "config": config,
        "host": host,
        "networks": endpoints,
        "mounts": mounts,
        "state": found["State"]["Status"],
    }


PLACES = ("/named", "/mounted", "/m", "/anonymous", "/image-volume")


def read_all(client: docker.DockerClient, name: str) -> bytes:
    """The content of the markers in all volumes."""
    done = client.containers.get(name).exec_run(["cat", *(f"{place}/marker" for place in PLACES)])
    assert isinstance(done.output, bytes)
    return done.output


def mark_all(client: docker.DockerClient, name: str) -> None:
    """Write a marker into every volume."""
    script = "; ".join(f"echo {place} > {place}/marker" for place in PLACES)
    done = client.containers.get(name).exec_run(["sh", "-ec", script])
    assert done.exit_code == 0, done.output


@pytest_asyncio.fixture
async def name(
    host: DockerEngine, client: docker.DockerClient, images: StandIns, docker_prefix: str, tmp_path: Path
) -> str:
    blue, green, address = networks(client, docker_prefix)
    name = f"{docker_prefix}ws-1"
    image = images.image("1.0.0", extra=DEFAULTS)
    await host.create_container(
        name, body(image.reference, docker_prefix, folder=str(tmp_path), primary=blue)
    )
    client.api.connect_container_to_network(name, green, ipv4_address=address, aliases=["fixed"])
    client.containers.get(name).start()
    mark_all(client, name)
    return name


async def test_every_field_and_every_volume_goes_over(
    host: DockerEngine, client: docker.DockerClient, images: StandIns, name: str
) -> None:
    before, content = settings(client, name), read_all(client, name)
    old_id = client.containers.get(name).id
    image = images.image("2.0.0", extra=DEFAULTS)
    result = await replace(host, order(name, image))
    assert isinstance(result, Replaced)
    assert client.containers.get(name).attrs["Image"] == image.id
    assert result.old_id == old_id
    assert client.containers.get(name).id == result.new_id != old_id
    assert settings(client, name) == before
    assert read_all(client, name) == content
    assert content.split() == [place.encode() for place in PLACES]


async def test_what_the_creator_set_outlives_changed_defaults_and_what_the_image_gave_follows_it(
    host: DockerEngine, client: docker.DockerClient, images: StandIns, name: str
) -> None:
    before = settings(client, name)
    for version, defaults in (("2.0.0", DEFAULTS), ("3.0.0", OTHER_DEFAULTS)):
        assert isinstance(await replace(host, order(name, images.image(version, extra=defaults))), Replaced)
    after = settings(client, name)
    config, was = after["config"], before["config"]
    for field in ("WorkingDir", "Hostname", "Entrypoint", "Cmd", "StopTimeout", "Tty", "OpenStdin"):
        assert config[field] == was[field], field
    assert config["User"] == "0:0"
    assert config["Healthcheck"] == {
        "Test": ["CMD", "true", "mine"],
        "Interval": 7_000_000_000,
        "Timeout": 9_000_000_000,
        "Retries": 5,
    }
    assert config["Labels"] == {
        "molecule.platform.managed": "true",
        "ring": "canary",
        # Equal to the first image's default: only the label of a container that we made could tell, from then on.
        "tier": "two",
        "vendor": "them",
    }
    env = dict(line.split("=", 1) for line in config["Env"])
    assert (env["MODE"], env["API_TOKEN"], env["ADDED"]) == ("mine", "hunter2hunter2", "yes")
    assert after["host"] == before["host"]
    assert after["networks"] == before["networks"]
    assert after["mounts"] == before["mounts"]


async def test_a_value_equal_to_a_default_is_kept_once_the_label_knows_it(
    host: DockerEngine, client: docker.DockerClient, images: StandIns, docker_prefix: str
) -> None:
    name = f"{docker_prefix}ws-1"
    first, second, third = (
        images.image(version, extra=f"ENV MODE={mode}\nLABEL tier={mode}\nWORKDIR /{mode}")
        for version, mode in (("1.0.0", "a"), ("2.0.0", "mine"), ("3.0.0", "c"))
    )
    client.containers.create(
        first.reference, name=name, environment={"MODE": "mine"}, labels={"tier": "mine"}, working_dir="/mine"
    )
    for image in (second, third):  # the second image's defaults are what the creator had set
        await replace(host, order(name, image))
    config = client.api.inspect_container(name)["Config"]
    assert "MODE=mine" in config["Env"]
    assert (config["Labels"]["tier"], config["WorkingDir"]) == ("mine", "/mine")


async def test_labels_and_events_carry_no_values(
    host: DockerEngine, client: docker.DockerClient, images: StandIns, name: str
) -> None:
    await replace(host, order(name, images.image("2.0.0", extra=DEFAULTS)))
    labels = client.api.inspect_container(name)["Config"]["Labels"]
    assert LABEL_REPLACES in labels
    assert "API_TOKEN" in labels[LABEL_CREATE_SPEC]
    assert "hunter2" not in str(labels)
