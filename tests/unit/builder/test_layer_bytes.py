"""The layer that puts a wheel on a full build, looked at as the tar it is."""

import gzip
import importlib.util
import io
import marshal
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder.engine import Engine
from builder.inventory import Folder, Installed, Inventory
from builder.oci import sha256_digest
from builder.stages.bytecode_script import byte_code
from builder.stages.layer import Compiler, Layer, NotAppendable, appended_config, layer_key, make_layer
from tests.parts.small_wheel import make_wheel

SITE = "usr/local/lib/python3.11/site-packages"
PLAIN = Folder(0o755, 0, 0, 1_700_000_000)
INVENTORY = Inventory(
    interpreter="/usr/local/bin/python3",
    python_version="3.11.2",
    magic=importlib.util.MAGIC_NUMBER.hex(),
    cache_tag="cpython-311",
    environment={},
    paths={
        "purelib": f"/{SITE}",
        "platlib": f"/{SITE}",
        "scripts": "/usr/local/bin",
        "data": "/usr/local",
        "headers": "/usr/include/python3.11/x",
    },
    folders=dict.fromkeys(
        ("/usr", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/local/lib/python3.11", f"/{SITE}"),
        PLAIN,
    ),
    runtime_versions=("0.1.0",),
    runtime_content_sha256="",
    runtime_folders=(f"/{SITE}/molecule_ai_workspace_runtime-0.1.0.dist-info", f"/{SITE}/molecule_runtime"),
    runtime_files=("/usr/local/bin/molecule-runtime",),
    installed={},
)


async def _image() -> str:
    raise AssertionError("the image is looked at although its byte code is that of this Python")


async def _layer(wheel: Path, inventory: Inventory = INVENTORY) -> Layer:
    return await make_layer(wheel, inventory, compiler=Compiler(Engine("unix:///nowhere"), inventory, _image))


def _entries(layer: Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(layer.archive)) as tar:
        return {entry.name: entry for entry in tar.getmembers()}


def _content(layer: Layer, path: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(layer.archive)) as tar:
        opened = tar.extractfile(path)
        assert opened is not None
        return opened.read()


async def test_the_same_wheel_gives_the_same_bytes(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path, "0.1.1", files={"sub/__init__.py": "", "sub/m.py": "def f(self): return 'a'\n"}
    ).path
    one, two = await _layer(wheel), await _layer(wheel)
    assert (one.digest, one.diff_id) == (two.digest, two.diff_id)
    assert one.digest == sha256_digest(one.compressed)
    assert gzip.decompress(one.compressed) == one.archive
    assert one.compressed[3:8] == bytes(5)  # RFC 1952: no name in it, and no time
    assert one.diff_id == sha256_digest(one.archive)


async def test_nothing_in_the_layer_tells_when_or_by_whom_it_was_made(tmp_path: Path) -> None:
    entries = _entries(await _layer(make_wheel(tmp_path, "0.1.1").path))
    assert {(entry.uid, entry.gid, entry.mtime, entry.uname) for entry in entries.values()} == {(0, 0, 0, "")}
    assert list(entries) == sorted(entries, key=lambda name: name.split("/"))


async def test_folders_that_are_there_get_no_entry(tmp_path: Path) -> None:
    entries = _entries(await _layer(make_wheel(tmp_path, "0.1.1").path))
    folders = {name for name, entry in entries.items() if entry.isdir()}
    assert folders == {
        f"{SITE}/molecule_runtime",
        f"{SITE}/molecule_runtime/__pycache__",
        f"{SITE}/molecule_ai_workspace_runtime-0.1.1.dist-info",
    }


async def test_a_folder_that_an_engine_would_make_otherwise_gets_an_entry_that_repeats_it(
    tmp_path: Path,
) -> None:
    odd = Folder(0o2775, 1000, 50, 1_700_000_000)
    inventory = replace(INVENTORY, folders={**INVENTORY.folders, f"/{SITE}": odd})
    entry = _entries(await _layer(make_wheel(tmp_path, "0.1.1").path, inventory))[SITE]
    assert entry.isdir()
    assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (0o2775, 1000, 50, 1_700_000_000)


async def test_the_old_package_is_hidden_by_an_opaque_marker_and_the_old_metadata_by_a_whiteout(
    tmp_path: Path,
) -> None:
    names = set(_entries(await _layer(make_wheel(tmp_path, "0.1.1").path)))
    hidden = {name for name in names if "/.wh." in name}
    assert hidden == {
        f"{SITE}/molecule_runtime/.wh..wh..opq",
        f"{SITE}/.wh.molecule_ai_workspace_runtime-0.1.0.dist-info",
    }


async def test_a_folder_that_comes_back_is_never_whited_out_beside_itself(tmp_path: Path) -> None:
    names = set(_entries(await _layer(make_wheel(tmp_path, "0.1.0").path)))
    assert f"{SITE}/molecule_ai_workspace_runtime-0.1.0.dist-info/.wh..wh..opq" in names
    assert f"{SITE}/.wh.molecule_ai_workspace_runtime-0.1.0.dist-info" not in names


async def test_a_file_that_the_new_runtime_lacks_is_hidden_and_one_that_it_has_is_not(tmp_path: Path) -> None:
    old = ("/usr/local/bin/molecule-runtime", "/usr/local/bin/molecule-old", f"/{SITE}/old_module.py")
    names = set(
        _entries(await _layer(make_wheel(tmp_path, "0.1.1").path, replace(INVENTORY, runtime_files=old)))
    )
    assert {"usr/local/bin/.wh.molecule-old", f"{SITE}/.wh.old_module.py"} <= names
    assert "usr/local/bin/.wh.molecule-runtime" not in names


async def test_a_script_starts_the_interpreter_of_the_image(tmp_path: Path) -> None:
    inventory = replace(
        INVENTORY,
        interpreter="/opt/venv/bin/python",
        paths={**INVENTORY.paths, "scripts": "/opt/venv/bin"},
    )
    layer = await _layer(make_wheel(tmp_path, "0.1.1").path, inventory)
    assert _content(layer, "opt/venv/bin/molecule-runtime").startswith(b"#!/opt/venv/bin/python\n")
    assert _entries(layer)["opt/venv/bin/molecule-runtime"].mode == 0o755


async def test_byte_code_is_unchecked_hash_based_and_names_the_place_in_the_image(tmp_path: Path) -> None:
    layer = await _layer(make_wheel(tmp_path, "0.1.1", files={"m.py": "x = 1\n"}).path)
    compiled = _content(layer, f"{SITE}/molecule_runtime/__pycache__/m.cpython-311.pyc")
    assert compiled[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(compiled[4:8], "little") == 1  # PEP 552: a hash, not to be checked
    assert compiled[8:16] == importlib.util.source_hash(b"x = 1\n")
    assert marshal.loads(compiled[16:]).co_filename == f"/{SITE}/molecule_runtime/m.py"  # noqa: S302 -- our own bytes


SOURCE = b"""\
import json

pairs = [(lambda: one) for one in {'\x7f', '{'} if {two: 1 for two in {three for three in one}}]


class Decoder:
    def decode(self, text_of_a_rare_name, *, rare_option={'a', 'b'}):
        def inner(): return lambda: (self, 100000, 1.5, b'abc', 'not a name')
        return json, 100000, 1.5, b'abc', 'not a name'
"""
NAMES_OF_NOTHING = ("<module>", "<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>")


@pytest.mark.parametrize(
    "before",
    [
        "text_of_a_rare_name = rare_option = decode = Decoder = 1; rare = ['/x.py', 'text_of_a_rare_name']",
        "[sys.intern(chr(number)) for number in (127, 123)]",
        "sys.intern(sys._getframe().f_code.co_name); sys.intern((lambda: 0).__name__)",
        f"[sys.intern(''.join(name)) for name in {[list(name) for name in NAMES_OF_NOTHING]}]",
    ],
    ids=["the same names", "characters", "names of nothing", "copies of names of nothing"],
)
def test_byte_code_does_not_depend_on_what_the_process_did_before(tmp_path: Path, before: str) -> None:
    compiled = (
        "from builder.stages.bytecode_script import byte_code;"
        "sys.stdout.buffer.write(byte_code(open(sys.argv[1], 'rb').read(), '/x.py'))"
    )
    (tmp_path / "x.py").write_bytes(SOURCE)

    def output(code: str, hash_seed: str) -> bytes:
        command = [sys.executable, "-c", f"import sys; {code}", str(tmp_path / "x.py")]
        return subprocess.run(
            command, capture_output=True, check=True, env={"PYTHONHASHSEED": hash_seed}
        ).stdout

    assert output(f"{before}; {compiled}", "7") == output(compiled, "3") == byte_code(SOURCE, "/x.py")


async def test_the_record_lists_every_file_of_the_wheel_and_the_script(tmp_path: Path) -> None:
    layer = await _layer(make_wheel(tmp_path, "0.1.1").path)
    record = _content(layer, f"{SITE}/molecule_ai_workspace_runtime-0.1.1.dist-info/RECORD").decode()
    assert "../../../bin/molecule-runtime,sha256=" in record
    assert "molecule_runtime/main.py,sha256=" in record


async def test_a_wheel_for_one_platform_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "0.1.1").path
    built = wheel.rename(tmp_path / "molecule_ai_workspace_runtime-0.1.1-cp311-cp311-linux_x86_64.whl")
    with pytest.raises(NotAppendable, match="only pure-Python wheels can be appended"):
        await _layer(built)


async def test_a_wheel_that_writes_outside_of_its_place_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "0.1.1").path
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("molecule_runtime/../../../etc/passwd", "x")
        record = archive.read("molecule_ai_workspace_runtime-0.1.1.dist-info/RECORD")
    bad = tmp_path / "bad" / wheel.name
    bad.parent.mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(bad, "w") as new:
        for name in old.namelist():
            data = (
                record + b"molecule_runtime/../../../etc/passwd,,\n"
                if name.endswith("/RECORD")
                else old.read(name)
            )
            new.writestr(name, data)
    with pytest.raises(NotAppendable, match="outside of its place"):
        await _layer(bad)


async def test_templates_share_a_layer_only_when_what_it_depends_on_is_equal(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "0.1.1")
    key = layer_key(wheel.sha256, INVENTORY)
    built_later = {
        path: replace(folder, mtime=folder.mtime + 5) for path, folder in INVENTORY.folders.items()
    }
    for alike in (
        {"environment": {"x": "y"}, "installed": {"a": Installed("1", ())}},
        {"folders": built_later, "runtime_content_sha256": "0" * 64},
    ):
        other = replace(INVENTORY, **alike)
        assert key == layer_key(wheel.sha256, other)
        assert await _layer(wheel.path) == await _layer(wheel.path, other)
    owned = {**INVENTORY.folders, f"/{SITE}": replace(PLAIN, uid=1000)}
    for different in (
        {"runtime_files": ("/usr/local/bin/older-name",)},
        {"runtime_folders": ()},
        {"interpreter": "/usr/bin/python3"},
        {"cache_tag": "cpython-312"},
        {"paths": {**INVENTORY.paths, "scripts": "/usr/bin"}},
        {"folders": owned},
    ):
        other = replace(INVENTORY, **different)
        assert key != layer_key(wheel.sha256, other), different
        assert await _layer(wheel.path) != await _layer(wheel.path, other), different
    assert key != layer_key("0" * 64, INVENTORY)


async def test_only_a_python_that_reads_the_same_byte_code_compiles_for_another_image(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "0.1.1")
    compiler = Compiler(Engine("unix:///nowhere"), INVENTORY, _image)
    foreign = replace(INVENTORY, environment={"platform_machine": "aarch64"})
    assert compiler.compiles_for(foreign)
    unknown, newer = replace(foreign, magic=""), replace(foreign, magic="00000000")
    assert not compiler.compiles_for(newer)
    assert not Compiler(Engine("unix:///nowhere"), unknown, _image).compiles_for(unknown)
    bare = await make_layer(wheel.path, newer, compiler=None)
    assert not bare.compiled
    assert [name for name in _entries(bare) if name.endswith(".pyc")] == []
    assert layer_key(wheel.sha256, newer) != layer_key(wheel.sha256, newer, compiled=False)


async def test_the_image_keeps_what_its_base_says_and_gains_labels_a_layer_and_a_step(tmp_path: Path) -> None:
    base = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "container": "abc",
        "config": {
            "Env": ["A=b"],
            "Entrypoint": ["molecule-runtime"],
            "Labels": {"kept": "1"},
            "User": "agent",
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:1"]},
        "history": [{"created_by": "first"}],
    }
    layer = await _layer(make_wheel(tmp_path, "0.1.1").path)
    config = appended_config(base, layer, labels={"new": "2"}, what="it")
    assert config["config"] == {**base["config"], "Labels": {"kept": "1", "new": "2"}}  # type: ignore[dict-item]
    assert config["rootfs"]["diff_ids"] == ["sha256:1", layer.diff_id]
    assert [step["created_by"] for step in config["history"]] == ["first", "append it"]
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert "container" not in config
