"""A bump changes the version and not one byte more."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.api.bump import bump_document
from controller.api.load import InvalidDocument
from controller.api.pin import bump_pin

HEAD = "apiVersion: runtime.molecule.ai/v1alpha1\nkind: WorkspaceRuntime\n"
PACKAGE = "molecule-ai-workspace-runtime"


def bump(text: str, version: str = "0.1.7", name: str | None = None) -> str:
    return bump_document(text, version, file="runtime.yaml", name=name).text


def refusal(text: str, name: str | None = None) -> str:
    with pytest.raises(InvalidDocument) as caught:
        bump(text, name=name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('spec: {version: "0.1.6", suspend: false} # why\n', 'spec: {version: "0.1.7", suspend: false} # why\n'),
        ("spec:\n  version: '0.1.6'\n", "spec:\n  version: '0.1.7'\n"),
        ("spec:\n  version: 0.1.6   # bump me\n", 'spec:\n  version: "0.1.7"   # bump me\n'),
        ("spec:\n  version: 0.10\n", 'spec:\n  version: "0.1.7"\n'),
        ('spec:\n  version:    "0.1.6"\r\n  suspend: no\r\n', 'spec:\n  version:    "0.1.7"\r\n  suspend: no\r\n'),
        ('spec:\n  version: &v "0.1.6"\n  also: *v\n', 'spec:\n  version: &v "0.1.7"\n  also: *v\n'),
        ('x: &v "0.1.6"\nspec:\n  version: *v\n', 'x: &v "0.1.7"\nspec:\n  version: *v\n'),
        ('spec:\n  version: !!str "0.1.6"\n', 'spec:\n  version: !!str "0.1.7"\n'),
        ('spec:\n  # 0.1.6\n  "version": "0.1.6"', 'spec:\n  # 0.1.6\n  "version": "0.1.7"'),
        ('spec:\n  version: "0.1\\\n    .6"\n', 'spec:\n  version: "0.1.7"\n'),
        ('spec:\n  package: {version: "0.1.6"}\n  version: ""\n', 'spec:\n  package: {version: "0.1.6"}\n  version: "0.1.7"\n'),
        ('# päckage → 0.1.6\nspec:\n  version: "0.1.6" # ✓\n', '# päckage → 0.1.6\nspec:\n  version: "0.1.7" # ✓\n'),
        ('spec:\n  extra: !include x.yaml\n  version: "0.1.6"\n', 'spec:\n  extra: !include x.yaml\n  version: "0.1.7"\n'),
    ],
)  # fmt: skip
def test_the_version_is_replaced_in_quotes_and_all_else_stays(before: str, after: str) -> None:
    assert bump(HEAD + before) == HEAD + after
    assert bump("\ufeff" + HEAD + before) == "\ufeff" + HEAD + after
    assert bump(HEAD + after) == HEAD + after


@given(
    comments=st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12), min_size=3, max_size=3),
    quote=st.sampled_from(["", '"', "'"]),
    spaces=st.integers(1, 5),
    version=st.sampled_from(["0.1.7", "0.10", "1!2.0rc1", "0.1.6.post1", "0.1.0+local"]),
)  # fmt: skip
def test_whatever_surrounds_it_only_the_value_differs(
    comments: list[str], quote: str, spaces: int, version: str
) -> None:
    first, second, third = comments
    before = f"# {first}\n{HEAD}spec: # {second}\n{' ' * spaces}version:{' ' * spaces}"
    after = f"  # {third}\n{' ' * spaces}suspend: true\n"
    done = bump(f"{before}{quote}0.1.6{quote}{after}", version)
    written = quote or '"'
    assert done == f"{before}{written}{version}{written}{after}"
    assert yaml.safe_load(done)["spec"]["version"] == version


OTHER = 'apiVersion: v1\nkind: ConfigMap\nspec: {version: "0.1.6"}\n'
FIRST = f'{HEAD}metadata: {{name: one}}\nspec: {{version: "0.1.6"}}\n'
SECOND = f'{HEAD}metadata: {{name: two}}\nspec: {{version: "0.1.6"}}\n'


def test_among_other_documents_only_the_runtimes_is_changed() -> None:
    text = f"{OTHER}---\n{FIRST}...\n---\n{OTHER}"
    assert bump(text) == f"{OTHER}---\n{FIRST.replace('0.1.6', '0.1.7')}...\n---\n{OTHER}"


def test_of_several_objects_the_named_one_is_changed() -> None:
    text = f"{FIRST}---\n{SECOND}"
    assert bump(text, name="two") == f"{FIRST}---\n{SECOND.replace('0.1.6', '0.1.7')}"
    assert refusal(text) == (
        "runtime.yaml:6: holds 2 of WorkspaceRuntime: one, two; say which with --name NAME"
    )
    assert refusal(text, "three") == (
        "runtime.yaml:1: holds no WorkspaceRuntime named three; it holds: one, two"
    )
    assert refusal(f"{text}---\n{SECOND}", "two") == (
        "runtime.yaml:11: holds 2 of WorkspaceRuntime named two; keep each in a file of its own"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "runtime.yaml:1: holds no WorkspaceRuntime; name the file that declares the runtime's version"),
        (OTHER, "runtime.yaml:1: holds no WorkspaceRuntime; name the file that declares the runtime's version"),
        ("- a\n- b\n", "runtime.yaml:1: holds no WorkspaceRuntime; name the file that declares the runtime's version"),
        ("kind: WorkspaceRuntime\napiVersion: other/v1\n", "runtime.yaml:1: holds no WorkspaceRuntime; name the file that declares the runtime's version"),
        (HEAD, "runtime.yaml:1: spec: is required and missing"),
        (HEAD + "spec:\n  suspend: false\n", "runtime.yaml:4: spec.version: is required and missing"),
        (HEAD + "spec: nothing\n", "runtime.yaml:3: spec.version: is required and missing"),
        (HEAD + 'spec:\n  version: "1"\n  version: "2"\n', "runtime.yaml:5: spec.version: stands twice; keep one"),
        (HEAD + "spec:\n  version: [0.1.6]\n", 'runtime.yaml:4: spec.version: must be one word in quotes; write it like "0.1.6"'),
        (HEAD + "spec:\n  version: |-\n    0.1.6\n", 'runtime.yaml:4: spec.version: must be one word in quotes; write it like "0.1.6"'),
        (HEAD + "spec:\n  version:\n", 'runtime.yaml:4: spec.version: must be one word in quotes; write it like "0.1.6"'),
        (HEAD + "spec: {version\n", "runtime.yaml:4: not readable as YAML: expected ',' or '}', but got '<stream end>'; correct the indentation or quoting there"),
        (HEAD + "spec: \x07\n", "runtime.yaml:1: not readable as YAML: character #x0007 is not allowed; remove it"),
    ],
)  # fmt: skip
def test_a_file_without_one_place_for_it_is_refused(text: str, words: str) -> None:
    assert refusal(text) == words


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{PACKAGE}==0.1.6\n", f"{PACKAGE}==0.1.7\n"),
        (f"# ours\nhttpx>=0.28\n{PACKAGE} >= 0.1.0,<1  # keep\r\nx==0.1.6", f"# ours\nhttpx>=0.28\n{PACKAGE} >= 0.1.7,<1  # keep\r\nx==0.1.6"),
        ("Molecule_AI.workspace-runtime[x]~=0.1.0; python_version >= '3.11'\n", "Molecule_AI.workspace-runtime[x]~=0.1.7; python_version >= '3.11'\n"),
        (f"{PACKAGE}<1,!=0.1.3,>=0.1.0\n", f"{PACKAGE}<1,!=0.1.3,>=0.1.7\n"),
        (f"{PACKAGE}===0.1.6", f"{PACKAGE}===0.1.7"),
    ],
)  # fmt: skip
def test_the_pin_of_the_package_is_replaced_and_all_else_stays(before: str, after: str) -> None:
    assert bump_pin(before, "0.1.7", package=PACKAGE, file="requirements.txt").text == after
    assert bump_pin(after, "0.1.7", package=PACKAGE, file="requirements.txt").text == after


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("httpx\n", f"requirements.txt:1: does not name {PACKAGE}; add the line {PACKAGE}==0.1.7"),
        (f"# {PACKAGE}==0.1.6\n{PACKAGE}-extra==0.1.6\n", f"requirements.txt:1: does not name {PACKAGE}; add the line {PACKAGE}==0.1.7"),
        (f"{PACKAGE}==1\n{PACKAGE}==2\n", f"requirements.txt:2: names {PACKAGE} once more; keep one line"),
        (f"{PACKAGE}\n", f"requirements.txt:1: '{PACKAGE}' does not pin one version; write {PACKAGE}==0.1.7"),
        (f"{PACKAGE}<1\n", f"requirements.txt:1: '{PACKAGE}<1' does not pin one version; write {PACKAGE}==0.1.7"),
        (f"{PACKAGE}==0.1.*\n", f"requirements.txt:1: '{PACKAGE}==0.1.*' does not pin one version; write {PACKAGE}==0.1.7"),
        (f"{PACKAGE}>=0.1,==0.1.6\n", f"requirements.txt:1: '{PACKAGE}>=0.1,==0.1.6' does not pin one version; write {PACKAGE}==0.1.7"),
        (f"{PACKAGE}>=0.1,<0.1.7\n", f"requirements.txt:1: '{PACKAGE}>=0.1,<0.1.7' excludes 0.1.7; correct <0.1.7 first"),
        (f"{PACKAGE}==0.1.6 --hash=sha256:0\n", "requirements.txt:1: goes on with hashes or options; they belong to one version, so edit it by hand"),
        (f"{PACKAGE}==0.1.6 \\\n  --hash=sha256:0\n", "requirements.txt:1: goes on with hashes or options; they belong to one version, so edit it by hand"),
        (f"{PACKAGE}=0.1.6\n", f"requirements.txt:1: '{PACKAGE}=0.1.6' is no requirement (PEP 508): Expected semicolon (after name with no version specifier) or end"),
    ],
)  # fmt: skip
def test_a_pin_that_cannot_be_moved_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        bump_pin(text, "0.1.7", package=PACKAGE, file="requirements.txt")
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("line", "version", "specifier"),
    [("~=0.1", "1", "~=1"), (">=0.1.6", "0.1.7+local", ">=0.1.7+local")],
)
def test_a_version_that_the_operator_cannot_hold_is_refused(line: str, version: str, specifier: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        bump_pin(PACKAGE + line, version, package=PACKAGE, file="requirements.txt")
    assert str(caught.value) == (
        f"requirements.txt:1: {specifier!r} would be no specifier (PEP 440); write {PACKAGE}=={version}"
    )
