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


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "build: {args: {A: b}}",
            "12: spec.templates[0].build: strategy Append needs directory; name the template's folder there",
        ),
        (
            "build: {strategy: Dockerfile}",
            "12: spec.templates[0].build: strategy Dockerfile needs directory; name the template's folder there",
        ),
        (
            "build: {strategy: Dispatch}",
            (
                "12: spec.templates[0].build: strategy Dispatch needs dispatch; name there the repository to tell, as in"
                " dispatch: {repository: OWNER/NAME}"
            ),
        ),
        (
            f"build: {{strategy: Dispatch, directory: echo, {TELL}}}",
            (
                "12: spec.templates[0].build: strategy Dispatch takes no directory: its repository's own CI builds the image;"
                " remove it, or use strategy Append or Dockerfile"
            ),
        ),
        (
            "build: {strategy: Follow, directory: echo}",
            (
                "12: spec.templates[0].build: strategy Follow takes no directory: somebody else builds the image; remove it, or"
                " use strategy Append or Dockerfile"
            ),
        ),
        (
            "build: {strategy: Follow, args: {A: b}}",
            (
                "12: spec.templates[0].build: strategy Follow takes no args: somebody else builds the image; remove it, or use"
                " strategy Append or Dockerfile"
            ),
        ),
        (
            f"build: {{strategy: Follow, {TELL}}}",
            (
                "12: spec.templates[0].build: strategy Follow takes no dispatch: somebody else builds the image; remove it, or"
                " use strategy Dispatch"
            ),
        ),
        (
            f"build: {{directory: echo, {TELL}}}",
            (
                "12: spec.templates[0].build: strategy Append takes no dispatch: the image is built here from directory; remove"
                " it, or use strategy Dispatch"
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
                "10: spec.templates[0]: promote: true goes with images that are built here; with strategy Follow the moving tags"
                " are moved by whoever builds them, so remove it"
            ),
        ),
        (
            "tags: []\n      build: {strategy: Follow}",
            (
                "10: spec.templates[0]: strategy Follow watches the moving tags and tries new versions on the image under the"
                " first of them; name at least one in tags"
            ),
        ),
        (
            "gate: AllowUntested\n      build: {directory: echo}",
            (
                "10: spec.templates[0]: gate AllowUntested is for strategies Dispatch and Follow; with strategy Append every"
                " image is tested, so use Required or AllowFailure"
            ),
        ),
    ],
)
def test_a_field_that_goes_with_another_strategy_is_refused(template: str, message: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read(template)
    assert str(caught.value) == f"runtime.yaml:{message}"


def test_nobody_else_can_deliver_to_one_engine() -> None:
    text = DOCUMENT.replace("TEMPLATE", "build: {strategy: Follow}")
    text = text.replace(
        "mode: Remote, artifacts: registry.example/team/artifacts", "mode: Engine, artifacts: x"
    )
    with pytest.raises(InvalidDocument) as caught:
        load(text, file="runtime.yaml")
    assert str(caught.value) == (
        "runtime.yaml:4: spec: template echo: strategy Follow needs registry.mode: Remote; nobody else can deliver an image"
        " to one engine"
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
