"""The WorkspaceRuntime document: what users type, with every field that this release acts on.

A field that is not here is refused, never ignored: a document must not ask for a guard that nobody keeps.
Field descriptions are user documentation. One file per subject; what others use of them is named here.
"""

from __future__ import annotations

from controller.api.v1alpha1._base import RENAMED, REPOSITORY, Document, ImageName, Platform
from controller.api.v1alpha1.build import Build, Dispatch
from controller.api.v1alpha1.document import Metadata, WorkspaceRuntime
from controller.api.v1alpha1.git import Git
from controller.api.v1alpha1.package import Index, Package, Signing
from controller.api.v1alpha1.probe import (
    EnvironmentVariable,
    Limits,
    Probe,
    Resources,
    SecurityContext,
)
from controller.api.v1alpha1.registry import Pruning, Registry
from controller.api.v1alpha1.rollout import Drain, Rollout, Wave
from controller.api.v1alpha1.source import Source
from controller.api.v1alpha1.spec import Spec
from controller.api.v1alpha1.targets import DockerHost, Selector, Targets, Workloads
from controller.api.v1alpha1.templates import Template
from controller.api.v1alpha1.windows import Window

__all__ = [
    "RENAMED",
    "REPOSITORY",
    "Build",
    "Dispatch",
    "DockerHost",
    "Document",
    "Drain",
    "EnvironmentVariable",
    "Git",
    "ImageName",
    "Index",
    "Limits",
    "Metadata",
    "Package",
    "Platform",
    "Probe",
    "Pruning",
    "Registry",
    "Resources",
    "Rollout",
    "SecurityContext",
    "Selector",
    "Signing",
    "Source",
    "Spec",
    "Targets",
    "Template",
    "Wave",
    "Window",
    "Workloads",
    "WorkspaceRuntime",
]
