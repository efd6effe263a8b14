"""Neither wheel nor sdist leaves the builder when the build backend changed what was proven."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from builder.contract import PackageRun
from builder.problems import Refused
from builder.stages import wheel
from builder.verbs.package import package


def alter_wheel(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("molecule_runtime/added.py", b"")


def alter_sdist(path: Path) -> None:
    with tarfile.open(path) as archive:
        members = [(member, archive.extractfile(member)) for member in archive.getmembers()]
        files = [(member, file.read() if file else b"") for member, file in members]
    with tarfile.open(path, "w:gz") as archive:
        for member, content in files:
            changed = content.replace(b"base", b"Base") if member.name.endswith("/config.py") else content
            archive.addfile(member, io.BytesIO(changed))


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("wheel", "molecule_ai_workspace_runtime-0.1.0-py3-none-any.whl: molecule_runtime/added.py was not put in. The build backend added it."),
        ("sdist", "molecule_ai_workspace_runtime-0.1.0.tar.gz: molecule_ai_workspace_runtime-0.1.0/molecule_runtime/config.py is not what was put in. The build backend changed or dropped it."),
    ],
)  # fmt: skip
def test_a_distribution_that_is_not_what_was_proven_is_not_let_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, complaint: str
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.py").write_text("def main_sync(): ...\n")
    (source / "config.py").write_text("VALUE = 'base'\n")
    really = wheel.build_distributions

    def build(tree: Path, backend: str, into: Path) -> tuple[Path, Path]:
        built = really(tree, backend, into)
        if kind == "wheel":
            alter_wheel(built[0])
        else:
            alter_sdist(built[1])
        return built

    monkeypatch.setattr(wheel, "build_distributions", build)
    run = PackageRun(source=source, version="0.1.0", out=tmp_path / "tree", dist=tmp_path / "dist")
    with pytest.raises(Refused) as caught:
        package(run)
    assert caught.value.reason == "ProofFailed"
    assert caught.value.complaints == (complaint,)
    assert not (tmp_path / "dist").exists()
