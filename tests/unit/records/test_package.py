"""What an index serves, as the planner reads it."""

from controller.model.package import IndexFile, Release, ServedPackage


def release(*names: str, version: str = "0.1.1") -> Release:
    return Release(version, tuple(IndexFile(name, f"http://index/{name}", "a" * 64) for name in names))


def test_the_universal_wheel_is_chosen_among_several() -> None:
    found = release(
        "x-0.1.1-cp311-cp311-linux_x86_64.whl", "x-0.1.1-py3-none-any.whl", "x-0.1.1.tar.gz"
    ).wheel
    assert found is not None
    assert found.name == "x-0.1.1-py3-none-any.whl"


def test_a_release_without_one_certain_wheel_has_none() -> None:
    assert release("x-0.1.1.tar.gz").wheel is None
    assert (
        release("x-0.1.1-cp311-cp311-linux_x86_64.whl", "x-0.1.1-cp312-cp312-linux_x86_64.whl").wheel is None
    )


def test_the_sdist_is_found_beside_the_wheel() -> None:
    found = release("x-0.1.1-py3-none-any.whl", "x-0.1.1.tar.gz").sdist
    assert found is not None
    assert found.name == "x-0.1.1.tar.gz"
    assert release("x-0.1.1-py3-none-any.whl").sdist is None


def test_the_newest_version_is_by_pep_440_and_not_by_text() -> None:
    served = ServedPackage("x", {v: release(version=v) for v in ("0.9.0", "0.10.0", "0.10.0rc1")})
    assert served.newest == "0.10.0"
    assert ServedPackage("x", {}).newest is None


def test_the_newest_final_version_is_what_installers_choose_unasked() -> None:
    versions = ("0.9.0", "0.10.0", "0.10.0.post1", "0.11.0rc1", "0.11.0.dev1")
    assert (
        ServedPackage("x", {v: release("x.whl", version=v) for v in versions}).newest_final == "0.10.0.post1"
    )
    assert ServedPackage("x", {"0.11.0rc1": release("x.whl")}).newest_final is None
