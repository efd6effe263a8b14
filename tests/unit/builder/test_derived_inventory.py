"""The inventory of an image whose programs cannot be run, from layers made by hand."""

import gzip
import importlib.util
import io
import sys
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest

from builder.inventory import Folder, Inventory, NotInventoried
from builder.stages.derived_inventory import derive_inventory, layer_entries

NAME = "molecule-ai-workspace-runtime"
SITE = "usr/local/lib/python3.11/site-packages"
INFO = f"{SITE}/molecule_ai_workspace_runtime-0.1.0.dist-info"
CONFIG: Mapping[str, Any] = {
    "os": "linux", "architecture": "arm64", "config": {"Env": ["A=b", "PATH=/usr/local/bin:/usr/bin"]},
}  # fmt: skip
RECORD = (
    "molecule_runtime/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
    "molecule_runtime/main.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
    "molecule_runtime/gone.py,,\n"
    "../../../bin/molecule-runtime,,\n"
    f"{INFO.rpartition('/')[2]}/METADATA,,\n"
    f"{INFO.rpartition('/')[2]}/RECORD,,\n"
)
Content = str | tuple[str, str] | None
"""The text of a file, the target of a link (`->`, target), or None for a folder."""
BASE: Mapping[str, Content] = {
    "usr/bin/python3.11": "\0not 3.11.99x\x003.11.2\x00 and more",
    "usr/bin/python3": ("->", "python3.11"),
    "usr/local/bin/python3": ("->", "/usr/bin/python3"),
    "usr/local/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = false\n",
    SITE: None,
}
RUNTIME: Mapping[str, Content] = {
    "usr/local/bin/molecule-runtime": "#!/usr/local/bin/python3\nimport sys\n",
    f"{SITE}/molecule_runtime/__init__.py": "",
    f"{SITE}/molecule_runtime/main.py": "",
    f"{SITE}/molecule_runtime/__pycache__/main.cpython-311.pyc": "\x01\x02\x03\x04 and code",
    f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0.1.0\nRequires-Dist: httpx>=1\n",
    f"{INFO}/RECORD": RECORD,
    f"{SITE}/httpx-1.2.dist-info/METADATA": "Name: httpx\nVersion: 1.2\n",
}


def _layer(content: Mapping[str, Content], *, packed: bool = True) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for path, what in content.items():
            info = tarfile.TarInfo(path)
            info.mode, info.mtime = 0o755, 5
            if what is None:
                info.type, info.mode, info.uid = tarfile.DIRTYPE, 0o2775, 1000
            elif isinstance(what, tuple):
                info.type, info.linkname = tarfile.SYMTYPE if what[0] == "->" else tarfile.LNKTYPE, what[1]
            data = what.encode("latin-1") if isinstance(what, str) else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return io.BytesIO(gzip.compress(file.getvalue()) if packed else file.getvalue())


def _derived(*layers: Mapping[str, Content], config: Mapping[str, Any] = CONFIG) -> Inventory:
    entries = [layer_entries(_layer(layer), where="layer one") for layer in layers]
    return derive_inventory(entries, config, package=NAME, script="molecule-runtime")


def test_it_names_interpreter_places_and_all_that_is_installed() -> None:
    found = _derived(BASE, RUNTIME)
    assert (found.interpreter, found.python_version, found.cache_tag, found.magic) == (
        "/usr/local/bin/python3", "3.11.2", "cpython-311", "01020304",
    )  # fmt: skip
    assert found.paths == {
        "purelib": f"/{SITE}",
        "platlib": f"/{SITE}",
        "scripts": "/usr/local/bin",
        "data": "/usr/local",
        "headers": f"/usr/include/python3.11/{NAME}",
    }
    assert found.runtime_versions == ("0.1.0",)
    assert found.runtime_folders == (f"/{INFO}", f"/{SITE}/molecule_runtime")
    assert found.runtime_files == ("/usr/local/bin/molecule-runtime",)
    assert {name: one.version for name, one in found.installed.items()} == {NAME: "0.1.0", "httpx": "1.2"}
    assert found.installed[NAME].requires == ("httpx>=1",)
    assert found.folders[f"/{SITE}"] == Folder(0o2775, 1000, 0, 5)
    assert found.folders["/usr/local/lib"].plain


def test_its_markers_are_those_of_its_machine() -> None:
    environment = _derived(BASE, RUNTIME).environment
    assert (environment["platform_machine"], environment["python_full_version"]) == ("aarch64", "3.11.2")
    assert (environment["sys_platform"], environment["implementation_name"]) == ("linux", "cpython")


def test_what_a_later_layer_hides_is_gone_and_what_it_brings_itself_stays() -> None:
    upper: Mapping[str, Content] = {
        f"{SITE}/molecule_runtime/main.py": "",
        f"{SITE}/molecule_runtime/.wh..wh..opq": "",
        f"{SITE}/.wh.httpx-1.2.dist-info": "",
    }
    found = _derived(BASE, {**RUNTIME, f"{SITE}/molecule_runtime/left.txt": ""}, upper)
    assert list(found.installed) == [NAME]
    assert found.runtime_folders == (f"/{INFO}", f"/{SITE}/molecule_runtime")
    assert found.runtime_versions == ("0.1.0",)


def test_a_folder_with_somebody_elses_file_is_not_the_runtimes_own() -> None:
    found = _derived(BASE, {**RUNTIME, f"{SITE}/molecule_runtime/left.txt": ""})
    assert found.runtime_folders == (f"/{INFO}",)
    assert f"/{SITE}/molecule_runtime/main.py" in found.runtime_files
    assert f"/{SITE}/molecule_runtime/__pycache__/main.cpython-311.pyc" in found.runtime_files


def test_paths_through_linked_folders_are_made_canonical() -> None:
    linked: Mapping[str, Content] = {
        "usr/local/lib64": ("->", "lib"),
        f"{SITE.replace('lib', 'lib64', 1)}/inside-2.dist-info/METADATA": "Name: inside\nVersion: 2\n",
    }
    found = _derived(BASE, RUNTIME, linked)
    assert found.installed["inside"].version == "2"
    assert found.paths["purelib"] == f"/{SITE}"


def test_a_hard_link_is_the_file_that_it_names() -> None:
    linked = {
        "opt/python3.11": BASE["usr/bin/python3.11"],
        **BASE,
        "usr/bin/python3.11": ("=", "opt/python3.11"),
    }
    assert _derived(linked, RUNTIME).python_version == "3.11.2"


def test_an_official_image_tells_its_version_in_its_library() -> None:
    official: Mapping[str, Content] = {
        "usr/local/bin/python3.11": "a front",
        "usr/local/bin/python3": ("->", "python3.11"),
        "usr/local/lib/libpython3.11.so.1.0": "\x003.11.9rc1+\x00",
        SITE: None,
    }
    found = _derived(official, RUNTIME)
    assert (found.python_version, found.environment["implementation_version"]) == ("3.11.9rc1", "3.11.9c1")
    assert found.paths["headers"] == f"/usr/local/include/python3.11/{NAME}"


def test_where_a_user_installed_for_himself_his_packages_count() -> None:
    home = "home/agent/.local"
    moved = {path.replace("usr/local", home): what for path, what in RUNTIME.items()}
    config = {**CONFIG, "config": {"Env": [f"PATH=/{home}/bin:/usr/local/bin"]}}
    found = _derived(BASE, moved, config=config)
    assert found.paths["purelib"] == f"/{home}/lib/python3.11/site-packages"
    assert (found.paths["scripts"], found.interpreter) == (f"/{home}/bin", "/usr/local/bin/python3")


def test_without_byte_code_the_magic_number_is_ours_for_the_same_python_and_unknown_for_another() -> None:
    bare = {path: what for path, what in RUNTIME.items() if not path.endswith(".pyc")}
    same = sys.implementation.cache_tag == "cpython-311"
    assert _derived(BASE, bare).magic == (importlib.util.MAGIC_NUMBER.hex() if same else "")
    other = {path.replace("3.11", "3.99"): what for path, what in {**BASE, **bare}.items()}
    other["usr/bin/python3.99"], other["usr/bin/python3"] = "\x003.99.0\x00", ("->", "python3.99")
    assert _derived(other).magic == ""


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ((BASE,), f"It holds no {NAME} in /{SITE}: a full build is an image that the template's Dockerfile gives"),
        (({"etc/passwd": ""},), "It has no python3 on its PATH."),
        (({"usr/bin/python3": "a pypy"},), "Its /usr/bin/python3 is /usr/bin/python3, which is no python3.N of CPython."),
        (
            ({**BASE, "usr/bin/python3.11": "no version"}, RUNTIME),
            "Neither its /usr/bin/python3.11 nor /usr/lib/libpython3.11.so.1.0 tells a version of Python.",
        ),
    ],
)  # fmt: skip
def test_an_image_that_tells_too_little_is_refused(
    layers: tuple[Mapping[str, Content], ...], said: str
) -> None:
    with pytest.raises(NotInventoried) as refused:
        _derived(*layers)
    assert str(refused.value).startswith(said)


def test_a_layer_that_is_not_packed_is_read_and_one_of_another_kind_is_refused() -> None:
    assert [entry.path for entry in layer_entries(_layer({"etc/x": ""}, packed=False), where="it")] == [
        "etc/x"
    ]
    zstandard = io.BytesIO(b"\x28\xb5\x2f\xfd" + bytes(600))
    with pytest.raises(
        NotInventoried, match=r"layer one cannot be read: .*; a tar, plain or packed with gzip"
    ):
        layer_entries(zstandard, where="layer one")
