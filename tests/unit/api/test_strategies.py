"""A build strategy takes its own fields and no others; what nobody would look at is refused with what to do."""

import pytest

from controller.api.load import InvalidDocument, load
from controller.api.v1alpha1 import WorkspaceRuntime

DOCUMENT = """\
apiVersion: runtime.molecule.ai/v1alpha1
kind: WorkspaceRuntime
metadata: {name: molecule-runtime}
spec:
  version: "0.1.0"
  source: {directory: workspace}
  package: {index: {uploadURL: http://index/, simpleURL: http://index/simple/}}
  registry: {mode: Remote, artifacts: registry.example/team/artifacts}
  templates:
    - name: echo
      image: registry.example/team/echo
      TEMPLATE
  targets: {dockerHosts: [{name: local, endpoint: unix:///var/run/docker.sock}]}
"""
TELL = "dispatch: {repository: team/echo}"


def read(template: str) -> WorkspaceRuntime:
    return load(DOCUMENT.replace("TEMPLATE", template), file="runtime.yaml")


HERE = "the image is built here"
CI = "its repository's own CI builds the image"
THEY = "somebody else builds the image"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "build:\n        args: {A: b}",
            (
                "12: spec.templates[0].build.directory: strategy Append needs it or git; name the template's folder there,"
                " or its repository in git"
            ),
        ),
        (
            "build: {strategy: Dockerfile}",
            (
                "12: spec.templates[0].build.directory: strategy Dockerfile needs it or git; name the template's folder there,"
                " or its repository in git"
            ),
        ),
        (
            "build: {strategy: Dispatch}",
            (
                "12: spec.templates[0].build.dispatch: strategy Dispatch needs it; name there the repository to tell, as in"
                " {repository: OWNER/NAME}"
            ),
        ),
        (
            f"build:\n        strategy: Dispatch\n        directory: echo\n        {TELL}",
            (
                f"14: spec.templates[0].build.directory: nobody reads it with strategy Dispatch: {CI};"
                " remove it, or use strategy Append or Dockerfile"
            ),
        ),
        (
            "build: {strategy: Follow, directory: echo}",
            (
                f"12: spec.templates[0].build.directory: nobody reads it with strategy Follow: {THEY}; remove it, or"
                " use strategy Append or Dockerfile"
            ),
        ),
        (
            "build: {strategy: Follow, args: {A: b}}",
            (
                f"12: spec.templates[0].build.args: nobody reads it with strategy Follow: {THEY}; remove it, or use"
                " strategy Append or Dockerfile"
            ),
        ),
        (
            f"build: {{strategy: Follow, {TELL}}}",
            (
                f"12: spec.templates[0].build.dispatch: nobody reads it with strategy Follow: {THEY}; remove it, or"
                " use strategy Dispatch"
            ),
        ),
        (
            f"build: {{directory: echo, {TELL}}}",
            (
                f"12: spec.templates[0].build.dispatch: nobody reads it with strategy Append: {HERE}; remove"
                " it, or use strategy Dispatch"
            ),
        ),
        (
            "build: {strategy: Follow, fullBuild: 'registry.example/team/echo:arm'}",
            (
                f"12: spec.templates[0].build.fullBuild: nobody reads it with strategy Follow: {THEY}; remove it, or"
                " use strategy Append or Dockerfile"
            ),
        ),
        (
            "build:\n        strategy: Follow\n        platforms: [linux/amd64, linux/arm64]",
            (
                "14: spec.templates[0].build.platforms: has 2 entries, and with strategy Follow only the one that the gate"
                f" boots is read: {THEY}, for whichever platforms they like; keep one"
            ),
        ),
        (
            f"build:\n        strategy: Dispatch\n        {TELL}\n        rebuildOn: [Version,\n          Base]",
            (
                f"16: spec.templates[0].build.rebuildOn[1]: nobody looks at the base with strategy Dispatch: {CI};"
                " remove Base"
            ),
        ),
        (
            "preReleaseTags: [next]\n      build: {strategy: Follow}",
            (
                "12: spec.templates[0].preReleaseTags: nobody reads it with strategy Follow: the moving tags are moved by"
                " whoever builds the image; remove it"
            ),
        ),
        (
            "build: {strategy: Dispatch, dispatch: {repository: echo}}",
            "12: spec.templates[0].build.dispatch.repository: must be a repository of GitHub, as in OWNER/NAME, got 'echo'",
        ),
        (
            "build: {strategy: Push, directory: echo}",
            "12: spec.templates[0].build.strategy: must be 'Append', 'Dockerfile', 'Dispatch' or 'Follow', got 'Push'",
        ),
        (
            "promote: true\n      build: {strategy: Follow}",
            (
                "12: spec.templates[0].promote: true goes with images that are built here; with strategy Follow the moving"
                " tags are moved by whoever builds them, so remove it"
            ),
        ),
        (
            "build: {strategy: Follow}\n      tags: []",
            (
                "13: spec.templates[0].tags: strategy Follow watches the moving tags and tries new versions on the image under"
                " the first of them; name at least one"
            ),
        ),
        (
            "build: {directory: echo}\n      gate: AllowUntested",
            (
                "13: spec.templates[0].gate: AllowUntested is for strategies Dispatch and Follow; with strategy Append every"
                " image is tested, so use Required or AllowFailure"
            ),
        ),
    ],
)
def test_a_field_that_goes_with_another_strategy_is_refused_on_its_own_line(
    template: str, message: str
) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read(template)
    assert str(caught.value) == f"runtime.yaml:{message}"


@pytest.mark.parametrize(
    "build",
    [
        "{strategy: Follow, platforms: [linux/arm64], rebuildOn: [Version, Template]}",
        f"{{strategy: Dispatch, {TELL}, platforms: [linux/arm64], rebuildOn: [Template]}}",
    ],
)
def test_what_is_read_of_an_image_that_somebody_else_builds_is_taken(build: str) -> None:
    assert read(f"build: {build}").spec.templates[0].build.platforms == ["linux/arm64"]


@pytest.mark.parametrize(
    ("request_", "whose"),
    [('{"echo": "CVE-1"}', "the image of template echo"), ('{"*": "CVE-1"}', "all images")],
)
def test_a_request_that_nobody_here_can_answer_is_refused(request_: str, whose: str) -> None:
    text = DOCUMENT.replace("TEMPLATE", "build: {strategy: Follow}").replace(
        "metadata: {name: molecule-runtime}",
        f"metadata:\n  name: molecule-runtime\n  annotations:\n    runtime.molecule.ai/rebuild: '{request_}'",
    )
    with pytest.raises(InvalidDocument) as caught:
        load(text, file="runtime.yaml")
    assert str(caught.value) == (
        f"runtime.yaml:6: metadata.annotations.runtime.molecule.ai/rebuild: somebody else builds {whose}; ask them, and"
        " remove this"
    )


def test_nobody_else_can_deliver_to_one_engine() -> None:
    text = DOCUMENT.replace("TEMPLATE", "build:\n        strategy: Follow")
    text = text.replace(
        "mode: Remote, artifacts: registry.example/team/artifacts", "mode: Engine, artifacts: x"
    )
    with pytest.raises(InvalidDocument) as caught:
        load(text, file="runtime.yaml")
    assert str(caught.value) == (
        "runtime.yaml:13: spec.templates[0].build.strategy: Follow needs registry.mode: Remote; nobody else can deliver an"
        " image to one engine"
    )


@pytest.mark.parametrize("build", ["{strategy: Follow}", f"{{strategy: Dispatch, {TELL}}}"])
def test_the_moving_tags_of_an_image_that_somebody_else_builds_are_theirs(build: str) -> None:
    template = read(f"build: {build}").spec.templates[0]
    assert (template.promote, template.gate, template.build.ours) == (False, "Required", False)


@pytest.mark.parametrize("strategy", ["Append", "Dockerfile"])
def test_an_image_that_is_built_here_is_promoted_and_required_unless_the_document_says_otherwise(
    strategy: str,
) -> None:
    template = read(f"build: {{strategy: {strategy}, directory: echo}}").spec.templates[0]
    assert (template.promote, template.gate, template.build.ours) == (True, "Required", True)


def test_a_dispatch_waits_an_hour_unless_the_document_says_otherwise() -> None:
    dispatch = read(f"build: {{strategy: Dispatch, {TELL}}}").spec.templates[0].build.dispatch
    assert dispatch is not None
    assert (dispatch.timeout_seconds, dispatch.token_secret_name) == (3600, None)
