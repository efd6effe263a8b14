"""Condition types and reasons: the stable vocabulary that dashboards, alerts and people match on."""

from __future__ import annotations

import enum


class ConditionType(enum.StrEnum):
    """The conditions of an object. Reconciling and Stalled are present only while they are true."""

    READY = "Ready"
    """The summary: everything asked for is true."""
    PUBLISHED = "Published"
    """The index serves the wanted version with the recorded bytes."""
    IMAGES_BUILT = "ImagesBuilt"
    """Every template has an image with the wanted version that booted and answered."""
    ROLLED_OUT = "RolledOut"
    """Every target reports the wanted version and content from inside."""
    RECONCILING = "Reconciling"
    """Work towards the wanted state is under way."""
    STALLED = "Stalled"
    """Nothing moves until someone changes something."""


class Reason(enum.StrEnum):
    """Why a condition has its status."""

    # everything is true
    UP_TO_DATE = "UpToDate"
    # work is under way
    BUILDING = "Building"
    PROVING = "Proving"
    PUBLISHING = "Publishing"
    INDEX_NOT_VISIBLE = "IndexNotVisible"
    PUBLISHED_ELSEWHERE = "PublishedElsewhere"
    ROLLING = "Rolling"
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"
    DRAINING = "Draining"
    SOAKING = "Soaking"
    OUTSIDE_WINDOW = "OutsideWindow"
    # not yet begun, or an earlier stage is not through
    PENDING = "Pending"
    # somebody else builds the image
    AWAITING_DELIVERY = "AwaitingDelivery"
    DISPATCH_REFUSED = "DispatchRefused"
    DISPATCH_SILENT = "DispatchSilent"
    IMAGE_GONE = "ImageGone"
    # no image exists yet to try a version on
    UNTESTED = "Untested"
    # a template failed and may
    TEMPLATES_HELD_BACK = "TemplatesHeldBack"
    # done on its own stage
    SERVED = "Served"
    PROVEN = "Proven"
    NO_TARGETS = "NoTargets"
    # cannot be known now
    UNKNOWN = "Unknown"
    TARGETS_UNKNOWN = "TargetsUnknown"
    # held or stopped by people or guards
    SUSPENDED = "Suspended"
    HELD = "Held"
    PAUSED = "Paused"
    TARGETS_HELD = "TargetsHeld"
    SHAPE_UNSAFE = "ShapeUnsafe"
    CONTAINER_NOT_FOUND = "ContainerNotFound"
    IMAGE_CONTESTED = "ImageContested"
    TARGET_OWNED = "TargetOwned"
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    # a person has to agree first
    AWAITING_APPROVAL = "AwaitingApproval"
    # someone must change something
    BUILD_FAILED = "BuildFailed"
    BUILD_FORBIDDEN = "BuildForbidden"
    BUILDER_IMAGE_UNUSABLE = "BuilderImageUnusable"
    REGISTRY_REFUSED = "RegistryRefused"
    GATE_FAILED = "GateFailed"
    GATE_MISCONFIGURED = "GateMisconfigured"
    GATE_UNREACHABLE = "GateUnreachable"
    ROLLOUT_FAILED = "RolloutFailed"
    ROLLED_BACK = "RolledBack"
    CREDENTIALS_MISSING = "CredentialsMissing"
    VERSION_REFUSED = "VersionRefused"
    PUBLISH_REFUSED = "PublishRefused"
    PUBLISHER_CONFLICT = "PublisherConflict"
    TAG_TAKEN = "TagTaken"
    TAG_MOVED = "TagMoved"
    NEWER_RELEASED = "NewerReleased"
    SOURCE_REFUSED = "SourceRefused"
    SOURCE_NOT_FOUND = "SourceNotFound"
    ADOPT_REFUSED = "AdoptRefused"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 -- a reason
    SECRET_INCOMPLETE = "SecretIncomplete"  # noqa: S105 -- a reason
    SECRET_EXPOSED = "SecretExposed"  # noqa: S105 -- a reason
    SECRET_NOT_ALLOWED = "SecretNotAllowed"  # noqa: S105 -- a reason
    SIGNING_KEY_INVALID = "SigningKeyInvalid"
    INDEX_REFUSED = "IndexRefused"
    INDEX_CORRUPT = "IndexCorrupt"
    INDEX_UNVERIFIABLE = "IndexUnverifiable"
    RECORD_CORRUPT = "RecordCorrupt"
    ARTIFACT_CORRUPT = "ArtifactCorrupt"
    ENGINE_MISSING = "EngineMissing"
    ENGINE_REFUSED = "EngineRefused"
    PULL_DENIED = "PullDenied"
    NAME_TAKEN = "NameTaken"
    OLD_CONTAINER_GONE = "OldContainerGone"
    CLUSTER_UNKNOWN = "ClusterUnknown"
    CLUSTER_UNAUTHORIZED = "ClusterUnauthorized"
    CLUSTER_FORBIDDEN = "ClusterForbidden"
    CLUSTER_REFUSED = "ClusterRefused"
    ADMISSION_DENIED = "AdmissionDenied"
    QUOTA_EXCEEDED = "QuotaExceeded"
    EXEC_FORBIDDEN = "ExecForbidden"
    WORKSPACE_URL_INVALID = "WorkspaceUrlInvalid"
    STANDALONE_ONLY = "StandaloneOnly"
    INVALID = "Invalid"
