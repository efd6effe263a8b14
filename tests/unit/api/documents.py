"""A document that is valid, to be spoilt at one place."""

import pytest

from controller.api.load import InvalidDocument, load

VALID = """\
apiVersion: runtime.molecule.ai/v1alpha1
kind: WorkspaceRuntime
metadata: {name: molecule-runtime}
spec:
  version: "0.1.0"
  source: {directory: workspace}
  package: {index: {uploadURL: http://index/, simpleURL: http://index/simple/}}
  registry: {mode: Engine, artifacts: records}
  templates:
    - {name: echo, image: ws/echo, build: {directory: echo}}
    - {name: more, image: ws/more, build: {directory: more}}
  targets: {dockerHosts: [{name: local, endpoint: unix:///var/run/docker.sock}]}
  rollout: {maxUnavailable: 2}
"""


def refusal(text: str) -> str:
    with pytest.raises(InvalidDocument) as caught:
        load(text, file="runtime.yaml")
    return str(caught.value)


def with_(before: str, after: str) -> str:
    assert before in VALID
    return VALID.replace(before, after, 1)
