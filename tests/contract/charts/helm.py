"""Renders the charts with the real helm, without a cluster."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.build import helm
from tests.parts.ground import REPOSITORY

CHARTS = REPOSITORY / "charts"
OPERATOR = CHARTS / "workspace-runtime-operator"
CRDS = CHARTS / "workspace-runtime-crds"
program = cache(helm)


def run_helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What helm says, whether it succeeds or not."""
    return subprocess.run([program(), *arguments], capture_output=True, text=True, check=False)


def rendered(chart: Path, *options: str, namespace: str = "molecule") -> str:
    """The manifests of release `workspace-runtime`, as text."""
    done = run_helm("template", "workspace-runtime", str(chart), "-n", namespace, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(chart: Path, *options: str, kind: str = "", namespace: str = "molecule") -> list[dict[str, Any]]:
    """The objects of a release, of one kind if given."""
    found = [each for each in yaml.safe_load_all(rendered(chart, *options, namespace=namespace)) if each]
    return [each for each in found if kind in {"", each["kind"]}]
