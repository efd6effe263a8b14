"""A full build for every wheel, with nothing of it left anywhere, and a shadow on an image that somebody else built."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker

from tests.integration.images.conftest import Built
from tests.integration.images.small import Run
from tests.parts.small_wheel import SmallWheel, make_wheel

NewEntry = Callable[..., dict[str, Any]]
InImage = Callable[..., str]


def test_every_wheel_gets_a_full_build_and_the_same_wheel_one_only(
    run: Run, new_entry: NewEntry, old_wheel: SmallWheel, new_wheel: SmallWheel, in_image: InImage
) -> None:
    always = {**new_entry("always"), "always": True}
    first = run.cascade(old_wheel, always).template("always")
    again = run.cascade(old_wheel, always).template("always")
    known = json.loads((run.out / "result.json").read_text())["templates"]["always"]["fullBuild"]
    known["inputsSha256"] = always["inputsSha256"]
    second = run.cascade(new_wheel, {**always, "fullBuild": known}).template("always")

    assert (first["built"], first["reason"]) == ("Full", "FullBuildMissing")
    assert again["digest"] == first["digest"]
    assert (second["built"], second["reason"]) == ("Full", "WheelChanged")
    assert in_image(second["candidate"], "molecule-runtime").strip() == "molecule-runtime 0.1.1"
    assert in_image(first["candidate"], "molecule-runtime").strip() == "molecule-runtime 0.1.0"


def _saved(engine: str, image: str) -> tarfile.TarFile:
    content = b"".join(docker.DockerClient(base_url=engine).images.get(image).save())
    return tarfile.open(fileobj=io.BytesIO(content))


def _files(saved: tarfile.TarFile, layers: list[str]) -> Iterator[tuple[str, bytes]]:
    """Path and content of all that stands in these layers, what later ones hide included."""
    for name in layers:
        packed = saved.extractfile(name)
        assert packed is not None
        with tarfile.open(fileobj=io.BytesIO(packed.read())) as layer:
            for member in layer:
                file = layer.extractfile(member) if member.isfile() else None
                yield f"/{member.name}", file.read() if file is not None else b""


def _json(saved: tarfile.TarFile, name: str) -> Any:  # noqa: ANN401 -- whatever stands there
    file = saved.extractfile(name)
    assert file is not None
    return json.load(file)


def test_nothing_of_the_build_is_in_any_layer_nor_in_the_history(  # noqa: PLR0913, PLR0917 -- fixtures
    run: Run,
    new_entry: NewEntry,
    new_wheel: SmallWheel,
    base_image: str,
    index: dict[str, str],
    tmp_path: Path,
) -> None:
    (tmp_path / "ca.crt").write_text("a certificate of this test")
    given = Run(run.engine, run.out, index={**index, "caFile": str(tmp_path / "ca.crt")})
    image = given.cascade(new_wheel, {**new_entry("traceless"), "always": True}).template("traceless")[
        "candidate"
    ]
    with _saved(run.engine, image) as saved, _saved(run.engine, base_image) as below:
        manifest, base = _json(saved, "manifest.json")[0], _json(below, "manifest.json")[0]
        config = _json(saved, manifest["Config"])
        ours = manifest["Layers"][len(base["Layers"]) :]
        assert len(ours) >= 3, "the template's steps make layers of their own"
        files = list(_files(saved, ours))
    assert [path for path, _ in files if path.endswith("/molecule_runtime/main.py")], (
        "the candidate is in one"
    )
    host = index["url"].split("/")[2].encode()
    secrets = [host, b"a certificate of this test", b"/dev/wsr", b"999999wsr", b"file:///"]
    for path, content in files:
        assert not path.startswith(("/dev", "/etc/pip.conf", "/run/secrets", "/root/.cache")), path
        assert "wsr" not in path
        found = [secret for secret in secrets if secret in content]
        assert not found, f"{path} tells {found}"
    told = json.dumps(config).replace(base_image, "")
    for word in (host.decode(), "wsr", "pip.conf", "constraint", "ca.crt", "--mount"):
        assert word not in told, f"the image's configuration tells {word}"


def test_a_shadow_is_the_wheel_on_the_served_image_and_moves_no_tag(
    built: Built, run: Run, new_wheel: SmallWheel, in_image: InImage
) -> None:
    client = docker.DockerClient(base_url=run.engine)
    served = str(built.full["fullBuild"]["digest"])
    repository = str(built.entry["image"])
    client.images.get(served).tag(repository, "latest")
    shadow = {
        "name": "polite",
        "image": repository,
        "shadowOf": {"image": f"{repository}:latest", "digest": served},
    }
    made = run.cascade(new_wheel, shadow).template("polite")
    result = json.loads((run.out / "result.json").read_text())["templates"]["polite"]
    assert made["built"] == "Append"
    assert made["candidate"].startswith(f"{repository}:candidate-")
    assert result["fullBuild"]["digest"] == served
    assert result["baseDigest"] == served
    assert in_image(made["candidate"], "molecule-runtime").strip() == "molecule-runtime 0.1.1"
    assert client.images.get(f"{repository}:latest").id == served


def test_a_shadow_is_refused_where_the_served_image_lacks_what_the_wheel_requires(
    built: Built, run: Run, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "0.1.2", requires=["small-dependency>=1"])
    served, repository = str(built.full["fullBuild"]["digest"]), str(built.entry["image"])
    shadow = {
        "name": "polite",
        "image": repository,
        "shadowOf": {"image": f"{repository}:x", "digest": served},
    }
    ended = run.cascade(wheel, shadow)
    assert (ended.code, ended.report["facts"]["failed"]) == (30, {"polite": "RequirementsUnmet"})
    assert f"{repository}:x@{served} lacks what 0.1.2 requires: small-dependency" in ended.report["message"]
