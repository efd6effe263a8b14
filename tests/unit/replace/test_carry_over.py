"""What goes over to a successor: all that the creator set, nothing that the old image gave."""

from typing import Any

import pytest

from controller.api.names import LABEL_CREATE_SPEC, LABEL_REPLACES
from controller.model.container import ContainerState
from controller.model.create_spec import CreateRecord, RestartPolicy
from controller.model.replacement import WantedImage
from controller.plan.carry_over import next_spec, unfinished_networks, unsafe_shape

OLD_ID = "0123456789ab" + "0" * 52
NETWORK_ID = "feedfacef00d" + "1" * 52
WANTED = WantedImage("repo/echo:2@sha256:ff", "sha256:2", "0.2.0", "c2", "echo")
IMAGE: dict[str, Any] = {
    "Env": ["PATH=/bin", "MODE=slow"],
    "Labels": {"ai.molecule.runtime.version": "0.1.0", "vendor": "us"},
    "Entrypoint": ["/entry"],
    "Cmd": ["serve"],
    "WorkingDir": "/app",
    "User": "agent",
    "StopSignal": "SIGTERM",
    "Volumes": {"/data": {}},
    "ExposedPorts": {"8000/tcp": {}},
    "Healthcheck": {"Test": ["CMD", "check"], "Interval": 30, "Timeout": 5, "Retries": 3},
}


def inspected(
    *, config: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **more: object
) -> dict[str, Any]:
    """The inspection of a container that was created from `IMAGE` with nothing but what is given."""
    return {
        "Id": OLD_ID,
        "Name": "/ws-a",
        "Image": "sha256:1",
        "Config": {
            "Hostname": OLD_ID[:12],
            "Domainname": "",
            "Image": "repo/echo:1",
            "OnBuild": None,
            **IMAGE,
        }
        | (config or {}),
        "HostConfig": {
            "NetworkMode": "default",
            "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
            "Binds": None,
        }
        | (host or {}),
        "State": {"Status": "running"},
        "Mounts": [],
        "NetworkSettings": {
            "Networks": {"bridge": {"Aliases": None, "IPAMConfig": None, "IPAddress": "172.17.0.9"}}
        },
    } | more


def body_of(old: dict[str, Any], image: dict[str, Any] | None = IMAGE) -> dict[str, Any]:
    return dict(next_spec(old, image, WANTED).body)


def record_in(body: dict[str, Any]) -> CreateRecord:
    record = CreateRecord.from_label(body["Labels"][LABEL_CREATE_SPEC])
    assert record is not None
    return record


def test_what_the_old_image_gave_is_left_to_the_new_image() -> None:
    body = body_of(inspected())
    own = {LABEL_REPLACES, LABEL_CREATE_SPEC}
    assert (body["Env"], set(body["Labels"]), body["Volumes"], body["ExposedPorts"]) == ([], own, {}, {})
    for name in (
        "Entrypoint",
        "Cmd",
        "WorkingDir",
        "User",
        "StopSignal",
        "Healthcheck",
        "Hostname",
        "OnBuild",
    ):
        assert name not in body
    assert body["Image"] == WANTED.reference


def test_what_the_creator_set_goes_over() -> None:
    set_by_creator = {
        "Env": ["MODE=fast", "TOKEN=x", "PATH=/bin", "GONE"],
        "Labels": IMAGE["Labels"] | {"vendor": "them", "ring": "canary"},
        "WorkingDir": "/work",
        "User": "1000:1000",
        "StopSignal": "SIGINT",
        "Hostname": "agent-7",
        "Domainname": "example",
        "Tty": True,
        "StopTimeout": 60,
        "MacAddress": "02:42:ac:11:00:99",
        "Volumes": {"/data": {}, "/scratch": {}},
        "ExposedPorts": {"8000/tcp": {}, "9000/udp": {}},
    }
    body = body_of(inspected(config=set_by_creator))
    assert body["Env"] == ["MODE=fast", "TOKEN=x", "GONE"]
    assert {"vendor": "them", "ring": "canary"}.items() <= body["Labels"].items()
    assert "ai.molecule.runtime.version" not in body["Labels"]
    assert (body["Volumes"], body["ExposedPorts"]) == ({"/scratch": {}}, {"9000/udp": {}})
    for name in (
        "WorkingDir",
        "User",
        "StopSignal",
        "Hostname",
        "Domainname",
        "Tty",
        "StopTimeout",
        "MacAddress",
    ):
        assert body[name] == set_by_creator[name]


@pytest.mark.parametrize(
    ("entrypoint", "command", "expected"),
    [
        (["/entry"], ["serve"], {}),
        (["/entry"], ["other"], {"Cmd": ["other"]}),
        (["/mine"], ["serve"], {"Entrypoint": ["/mine"], "Cmd": ["serve"]}),
        (["/mine"], None, {"Entrypoint": ["/mine"], "Cmd": None}),
        (["/entry"], None, {"Entrypoint": ["/entry"], "Cmd": None}),
        (None, ["sh"], {"Entrypoint": [""], "Cmd": ["sh"]}),
    ],
)
def test_a_command_belongs_to_the_image_only_with_the_images_entry_point(
    entrypoint: list[str] | None, command: list[str] | None, expected: dict[str, Any]
) -> None:
    body = body_of(inspected(config={"Entrypoint": entrypoint, "Cmd": command}))
    assert {name: body[name] for name in ("Entrypoint", "Cmd") if name in body} == expected


def test_a_health_check_is_compared_part_by_part() -> None:
    mixed = IMAGE["Healthcheck"] | {"Interval": 5, "StartPeriod": 7}
    assert body_of(inspected(config={"Healthcheck": mixed}))["Healthcheck"] == {
        "Interval": 5,
        "StartPeriod": 7,
    }
    assert body_of(inspected(config={"Healthcheck": {"Test": ["NONE"]}}))["Healthcheck"] == {"Test": ["NONE"]}


def test_a_value_equal_to_the_old_images_default_is_kept_when_the_label_names_it() -> None:
    once = body_of(inspected(config={"Env": ["MODE=fast"], "User": "root", "Labels": {"vendor": "them"}}))
    # The next image happens to have the creator's values as its own defaults.
    image = IMAGE | {"Env": ["MODE=fast"], "User": "root", "Labels": {"vendor": "them"}}
    again = body_of(inspected(config={name: once[name] for name in ("Env", "User", "Labels")}), image)
    assert (again["Env"], again["User"], again["Labels"]["vendor"]) == (["MODE=fast"], "root", "them")


def test_the_label_alone_tells_what_to_keep_when_the_old_image_is_gone() -> None:
    once = body_of(inspected(config={"Env": ["MODE=fast"]}))
    merged = inspected(config={"Env": ["MODE=fast", "PATH=/bin"], "Labels": once["Labels"]})
    assert unsafe_shape(merged, old_image_known=False) is None
    assert body_of(merged, None)["Env"][0] == "MODE=fast"


def test_the_label_holds_names_and_no_values() -> None:
    body = body_of(
        inspected(config={"Env": ["API_TOKEN=hunter2hunter2"], "Cmd": ["--password", "hunter2hunter2"]})
    )
    assert "hunter2" not in body["Labels"][LABEL_CREATE_SPEC]
    assert record_in(body).user_set.env == {"API_TOKEN"}


def test_the_label_remembers_the_restart_policy_and_what_the_old_one_was() -> None:
    paused = inspected(State={"Status": "paused"})
    body = body_of(paused)
    record = record_in(body)
    assert record.restart_policy == RestartPolicy("always")
    assert record.template == "echo"
    assert record.succeeds is not None
    assert (record.succeeds.was, record.succeeds.version) == (ContainerState.PAUSED, "0.2.0")
    assert body["HostConfig"]["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert body["Labels"][LABEL_REPLACES] == OLD_ID


def test_our_own_labels_do_not_pile_up() -> None:
    once = body_of(inspected())
    again = body_of(inspected(config={"Labels": once["Labels"]}))
    assert record_in(again).user_set.labels == set()


def test_published_ports_stay_exposed() -> None:
    bound = {
        "8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
        "9/udp": [{"HostIp": "", "HostPort": "9"}],
    }
    body = body_of(inspected(host={"PortBindings": bound}))
    assert body["ExposedPorts"] == {"8000/tcp": {}, "9/udp": {}}
    assert body["HostConfig"]["PortBindings"] == bound


def test_the_host_side_goes_over_whole() -> None:
    host = {
        "Memory": 7,
        "CapAdd": ["NET_ADMIN"],
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "Tmpfs": {"/cache": "size=1m"},
        "ReadonlyRootfs": True,
        "MaskedPaths": None,
        "FieldOfTheFuture": {"x": [1]},
    }
    body = body_of(inspected(host=host))["HostConfig"]
    assert {name: body[name] for name in host} == host


def test_anonymous_and_image_volumes_are_named_in_the_successor() -> None:
    mounts = [
        {"Type": "volume", "Name": "anon1", "Destination": "/data", "RW": True},
        {"Type": "volume", "Name": "anon2", "Destination": "/ro", "RW": False},
        {"Type": "volume", "Name": "named", "Destination": "/named", "RW": True},
        {"Type": "volume", "Name": "anon3", "Destination": "/mounted", "RW": True},
        {"Type": "volume", "Name": "named2", "Destination": "/mounted2", "RW": True},
        {"Type": "bind", "Source": "/host", "Destination": "/bind", "RW": True},
        {"Type": "tmpfs", "Destination": "/cache", "RW": True},
    ]
    host: dict[str, Any] = {
        "Binds": ["named:/named/:rw", "/host:/bind"],
        "Mounts": [
            {"Type": "volume", "Target": "/mounted"},
            {"Type": "volume", "Source": "named2", "Target": "/mounted2"},
        ],
    }
    carried = body_of(inspected(host=host, Mounts=mounts))["HostConfig"]
    assert carried["Binds"] == [*host["Binds"], "anon1:/data:rw,nocopy", "anon2:/ro:ro,nocopy"]
    assert [mount["Source"] for mount in carried["Mounts"]] == ["anon3", "named2"]


def test_legacy_links_are_written_as_they_are_given() -> None:
    host = {"Links": ["/db:/ws-a/database", "/cache:/ws-a/cache"]}
    assert body_of(inspected(host=host))["HostConfig"]["Links"] == ["db:database", "cache:cache"]


def test_one_network_goes_into_the_creation_and_the_others_are_connected() -> None:
    networks = {
        "blue": {
            "Aliases": ["agent", OLD_ID[:12]],
            "IPAMConfig": {"IPv4Address": "10.9.0.7"},
            "IPAddress": "10.9.0.7",
            "NetworkID": NETWORK_ID,
        },
        "green": {
            "Aliases": [OLD_ID[:12]],
            "IPAMConfig": {},
            "DriverOpts": {"a": "b"},
            "NetworkID": "2" * 64,
        },
    }
    for mode in ("blue", NETWORK_ID):
        old = inspected(host={"NetworkMode": mode}, NetworkSettings={"Networks": networks})
        spec = next_spec(old, IMAGE, WANTED)
        expected = {"Aliases": ["agent"], "IPAMConfig": {"IPv4Address": "10.9.0.7"}}
        assert spec.body["NetworkingConfig"] == {"EndpointsConfig": {"blue": expected}}
        assert spec.connections == {"green": {"DriverOpts": {"a": "b"}}}
        assert spec.disconnect is None


def test_a_network_that_the_container_left_is_left_by_its_successor() -> None:
    old = inspected(NetworkSettings={"Networks": {"green": {"NetworkID": "2" * 64}}})
    assert next_spec(old, IMAGE, WANTED).disconnect == "bridge"
    fresh = inspected(NetworkSettings={"Networks": {"bridge": {"NetworkID": "9"}}})
    assert unfinished_networks(old, fresh) == ({"green": {}}, "bridge")
    done = inspected(NetworkSettings={"Networks": {"green": {"NetworkID": "2" * 64}}})
    assert unfinished_networks(old, done) == ({}, None)


@pytest.mark.parametrize("mode", ["host", "none", "container:abc"])
def test_modes_without_a_network_of_their_own_connect_nothing(mode: str) -> None:
    spec = next_spec(inspected(host={"NetworkMode": mode}, config={"Hostname": "vm"}), IMAGE, WANTED)
    assert "NetworkingConfig" not in spec.body
    assert spec.connections == {}
    assert spec.disconnect is None
    assert ("Hostname" in spec.body) == (not mode.startswith("container:"))


def test_shapes_that_would_lose_something_are_named() -> None:
    assert unsafe_shape(inspected(), old_image_known=True) is None
    rm = unsafe_shape(inspected(host={"AutoRemove": True}), old_image_known=True)
    assert rm is not None
    assert "--rm" in rm
    linked = unsafe_shape(inspected(), old_image_known=True, link_consumers=["web"])
    assert linked is not None
    assert "Container web has a legacy link" in linked
    shared = unsafe_shape(inspected(), old_image_known=True, network_sharers=["sidecar"])
    assert shared is not None
    assert "Container sidecar shares its network" in shared
    pruned = unsafe_shape(inspected(), old_image_known=False)
    assert pruned is not None
    assert "sha256:1 is gone" in pruned


@pytest.mark.parametrize(
    "value", [None, "", "{", "[]", '{"format": 2}', '{"format": 1}', '{"format": 1, "template": "a"}']
)
def test_a_label_that_is_not_ours_is_no_record(value: str | None) -> None:
    assert CreateRecord.from_label(value) is None
