"""What a cascade reads before it touches an image: requirements, pip's settings, its inputs, references."""

import json
from pathlib import Path

import pytest

from builder.cascade_inputs import CascadeInputs
from builder.inventory import Installed, Inventory
from builder.oci import Manifest, MediaType, Platform, Reference, canonical_json
from builder.pipconf import Index
from builder.problems import Refused
from builder.wheel import Wheel
from tests.parts.small_wheel import make_wheel

INVENTORY = Inventory(
    interpreter="",
    python_version="",
    magic="",
    cache_tag="",
    environment={"python_version": "3.11", "sys_platform": "linux"},
    paths={},
    folders={},
    runtime_versions=(),
    runtime_content_sha256="",
    runtime_folders=(),
    runtime_files=(),
    installed={
        "uvicorn": Installed("0.30", ("extra-thing>=7", 'httptools>=0.6; extra == "standard"')),
        "a-b": Installed("2.0rc1", ()),
    },
)


@pytest.mark.parametrize(
    ("requirement", "unmet"),
    [
        ("uvicorn>=0.20", []),
        ("uvicorn>=0.38", ["uvicorn is 0.30, needed >=0.38"]),
        ("A_B>=2.0rc0", []),
        ("absent", ["absent is not installed"]),
        ("absent; python_version < '3.8'", []),
        ("absent; extra == 'dev'", []),
        ("absent; sys_platform == 'linux'", ["absent is not installed"]),
        ("uvicorn[standard]", ["httptools is not installed"]),
    ],
)
def test_a_requirement_is_met_by_what_is_installed_or_named(requirement: str, unmet: list[str]) -> None:
    assert [str(each) for each in INVENTORY.unmet([requirement])] == unmet


def test_an_inventory_is_read_back_as_it_was_written() -> None:
    assert Inventory.from_bytes(json.dumps(INVENTORY.to_document()).encode()) == INVENTORY
    with pytest.raises(ValueError, match="not an inventory"):
        Inventory.from_bytes(b"{}")


def test_a_named_index_over_plain_http_is_trusted_and_one_over_https_is_checked(tmp_path: Path) -> None:
    plain = Index.named("http://user:word@index.example:3141/x/+simple/", None)
    assert plain.to_conf(wheels="/w", constraint="/c", ca_file="/ca") == (
        "[global]\nfind-links = /w\nconstraint = /c\ndisable-pip-version-check = true\n"
        "index-url = http://user:word@index.example:3141/x/+simple/\ntrusted-host = index.example:3141\n"
    )
    private = Index.named("https://index.example/simple/", tmp_path / "ca.pem")
    conf = private.to_conf(wheels="/w", constraint="/c", ca_file="/ca")
    assert "cert = /ca\n" in conf
    assert "trusted-host" not in conf


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:1/", True),
        ("http://localhost/", True),
        ("http://[::1]:3/", True),
        ("http://172.17.0.1/", False),
        ("https://index.example/", False),
    ],
)
def test_an_index_on_loopback_is_known_as_one(url: str, *, loopback: bool) -> None:
    assert Index.named(url, None).on_loopback is loopback


def test_the_machine_s_own_settings_are_read_from_file_and_environment(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://a.example/\ntrusted-host = a b\n[install]\nextra-index-url = c\n"
    )
    index = Index.of_machine({"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(config), "PIP_CERT": "/ca.pem"})
    assert index == Index("https://a.example/", ("c",), ("a", "b"), Path("/ca.pem"))
    other = Index.of_machine({"PIP_CONFIG_FILE": str(config), "PIP_INDEX_URL": "https://b.example/"})
    assert other.url == "https://b.example/"


def test_a_wheel_tells_its_name_version_requirements_and_scripts(tmp_path: Path) -> None:
    made = make_wheel(tmp_path, "0.1.1", requires=["a>=1"])
    wheel = Wheel.read(made.path)
    assert (wheel.name, wheel.version, wheel.requires) == (
        "molecule-ai-workspace-runtime",
        "0.1.1",
        ("a>=1",),
    )
    assert (wheel.scripts, wheel.sha256) == (("molecule-runtime",), made.sha256)
    with pytest.raises(Refused, match="is not a wheel that can be read"):
        Wheel.read(tmp_path / "absent-1-py3-none-any.whl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "Both"}, "mode is 'Both', neither Engine nor Remote"),
        ({"wheelSha256": "abc"}, "'abc' is not a sha256 in 64 hex digits"),
        ({"templates": [{"name": "x"}]}, "has no field 'image'"),
    ],
)
def test_wrong_inputs_are_refused_with_what_is_wrong(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    document = {
        "version": "1",
        "wheel": "x",
        "wheelSha256": "0" * 64,
        "contentSha256": "0" * 64,
        "mode": "Engine",
        "templates": [],
    }
    file = tmp_path / "inputs.json"
    file.write_text(json.dumps(document | change))
    with pytest.raises(Refused, match=message):
        CascadeInputs.read(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ghcr.io/a/b:1", ("ghcr.io", "a/b", "1", None)),
        ("127.0.0.1:5000/a", ("127.0.0.1:5000", "a", None, None)),
        ("localhost/a:1", ("localhost", "a", "1", None)),
        ("a/b", ("docker.io", "a/b", None, None)),
        ("python:3", ("docker.io", "library/python", "3", None)),
        (f"h.io/a:1@sha256:{'0' * 64}", ("h.io", "a", "1", f"sha256:{'0' * 64}")),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(text: str, expected: tuple[str | None, ...]) -> None:
    reference = Reference.parse(text)
    assert (reference.host, reference.repository, reference.tag, reference.digest) == expected


@pytest.mark.parametrize("text", ["", "A/b", "h.io/a:", "h.io/a:b+c", "h.io/a@sha256:1", "h.io/a@", "a b"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an image name"):
        Reference.parse(text)


def test_a_platform_is_read_and_written_alike() -> None:
    assert str(Platform.parse("linux/arm/v7")) == "linux/arm/v7"
    with pytest.raises(ValueError, match="is not a platform"):
        Platform.parse("linux")


@pytest.mark.parametrize(
    ("wanted", "image", "taken"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm/v7", "linux/arm", False),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
    ],
)
def test_a_platform_takes_images_of_its_machine(wanted: str, image: str, *, taken: bool) -> None:
    assert Platform.parse(wanted).takes(Platform.of(Platform.parse(image).to_document())) is taken


def test_an_index_is_of_the_family_of_its_images_and_the_same_in_any_order() -> None:
    platforms = [Platform.parse(text) for text in ("linux/arm64/v8", "linux/amd64")]
    docker, oci = (_manifest(kind) for kind in (MediaType.DOCKER_MANIFEST, MediaType.OCI_MANIFEST))
    listed = Manifest.index_of(dict.fromkeys(platforms, docker))
    assert listed == Manifest.index_of(dict.fromkeys(reversed(platforms), docker))
    assert listed.media_type == MediaType.DOCKER_LIST
    assert [entry["platform"] for entry in listed.document["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
    ]
    assert Manifest.index_of(dict.fromkeys(platforms, oci)).media_type == MediaType.OCI_INDEX
    mixed = Manifest.index_of(dict(zip(platforms, (docker, oci), strict=True)))
    assert mixed.media_type == MediaType.OCI_INDEX
    assert {entry["mediaType"] for entry in mixed.document["manifests"]} == {
        docker.media_type,
        oci.media_type,
    }


def _manifest(media_type: str) -> Manifest:
    return Manifest.from_bytes(canonical_json({"mediaType": media_type}), media_type, where="a test")
