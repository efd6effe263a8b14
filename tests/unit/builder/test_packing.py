"""What a run reads and writes travels as it is, deterministically, and lands nowhere but where it belongs."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.oci import Blob, Client, Descriptor, Manifest, MediaType, Reference, canonical_json
from builder.packing import FILE, FOLDER, PLACE, fetch, packed
from builder.problems import Refused

REFERENCE = Reference.parse("registry.example/artifacts:1")


class Shelf(Client):
    """A client that holds one artifact and needs no registry for it."""

    def __init__(self, blobs: list[Blob]) -> None:
        super().__init__()
        self._blobs = {blob.descriptor.digest: blob.data for blob in blobs}
        layers = [blob.descriptor.to_document() for blob in blobs]
        self._raw = canonical_json(
            {"schemaVersion": 2, "mediaType": MediaType.OCI_MANIFEST, "config": {}, "layers": layers}
        )

    async def manifest(self, reference: Reference) -> Manifest:
        return Manifest.from_bytes(self._raw, MediaType.OCI_MANIFEST, where=str(reference))

    async def download(self, repository: Reference, descriptor: Descriptor, file: io.BufferedIOBase) -> None:  # type: ignore[override]  # any file
        del repository
        file.write(self._blobs[descriptor.digest])


def _folder(root: Path) -> Path:
    folder = root / "source"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "deep" / "run.sh").chmod(0o755)
    (folder / "main.py").write_text("x = 1\n")
    (folder / "again.py").symlink_to("main.py")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("password = secret")
    return folder


async def test_files_and_folders_lie_where_they_lay(tmp_path: Path) -> None:
    folder, file = _folder(tmp_path), tmp_path / "inputs.json"
    file.write_text("{}")
    blobs = packed([folder, file, tmp_path / "absent", file])
    assert [blob.annotations[PLACE] for blob in blobs] == [str(folder), str(file)]
    (folder / "main.py").write_text("changed since")
    (folder / "new.py").write_text("")
    file.unlink()
    await fetch(Shelf(blobs), REFERENCE, [folder, file])
    assert file.read_text() == "{}"
    assert (folder / "main.py").read_text() == (folder / "again.py").read_text() == "x = 1\n"
    assert (folder / "again.py").is_symlink()
    assert (folder / "deep" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert not (folder / "new.py").exists(), "the folder is the one that was packed"
    assert not (folder / ".git").exists(), "no history, and no credentials in its configuration"


def test_the_same_content_has_the_same_bytes_whenever_and_by_whomever_it_was_written(tmp_path: Path) -> None:
    one, two = _folder(tmp_path / "1"), _folder(tmp_path / "2")
    (two / "main.py").touch()
    (two / "main.py").chmod(0o600)
    first, second = packed([one])[0], packed([two])[0]
    assert first.data == second.data
    (two / "main.py").write_text("x = 2\n")
    assert packed([two])[0].data != first.data


def _out_by_link(folder: Path) -> None:
    (folder / "x").symlink_to("../../secrets")


def _out_by_absolute_link(folder: Path) -> None:
    (folder / "x").symlink_to("/etc/passwd")


@pytest.mark.parametrize("leave", [_out_by_link, _out_by_absolute_link])
def test_a_link_that_leads_out_is_refused_before_it_is_sent(
    tmp_path: Path, leave: Callable[[Path], None]
) -> None:
    folder = _folder(tmp_path)
    leave(folder)
    with pytest.raises(Refused) as refused:
        packed([folder])
    assert str(refused.value) == (
        f"{folder}/x is a link that leads out of {folder}. Put a file in its place."
    )


def _tar(*members: tarfile.TarInfo) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return archive.getvalue()


def _member(name: str, *, to: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    if to:
        member.type, member.linkname = tarfile.SYMTYPE, to
    else:
        member.size = 1
    return member


@pytest.mark.parametrize(
    "members",
    [
        [_member("../escaped")],
        [_member("a", to=".."), _member("a/escaped")],
        [_member("a", to="/"), _member("a/escaped")],
    ],
)
async def test_nothing_in_a_tar_gets_out_of_its_folder(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    out = tmp_path / "work" / "out"
    out.parent.mkdir()
    blob = Blob(FOLDER, _tar(*members), {PLACE: str(out)})
    with pytest.raises(Refused, match=rf"^What belongs at {out} cannot be unpacked: "):
        await fetch(Shelf([blob]), REFERENCE, [out])
    assert not [names for _, _, names in os.walk(tmp_path) if "escaped" in names]


@pytest.mark.parametrize("place", ["{work}/other", "{work}/out/../other", "relative", "/etc/passwd"])
async def test_nothing_is_put_where_the_run_writes_nothing(tmp_path: Path, place: str) -> None:
    work = tmp_path / "work"
    named = place.format(work=work)
    blob = Blob(FILE, b"x", {PLACE: named})
    with pytest.raises(Refused) as refused:
        await fetch(Shelf([blob]), REFERENCE, [work / "out"])
    assert str(refused.value) == f"An artifact holds {named!r}, which belongs at none of its run's places."
